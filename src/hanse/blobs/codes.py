"""The code of projects on a disk: directories of sources, each named by what is in it.

    root/<digest>/manifest   the names of the files, and the hashes of their bytes
    root/<digest>/src/...    the files: a worker has this directory in its sys.path
    root/.new-...            what is being written; nobody reads it

A code appears under its name by a rename, whole and durable, or not at all, and changes no more
(Python keeps compiled modules beside the sources). Files that a new code shares with a recent one
are copied from there, so a client sends what has changed and nothing else. Each copy is compared
with its hash: what was changed on the disk is asked for again.

Every method may be called from any thread and any process. Errors name the path: JournalFull,
JournalError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hanse.blobs.disk import make_directory, open_own, saying, sync, sync_directory
from hanse.decoding import msgpack_decoder
from hanse.errors import CodeMissing, JournalFull, UsageError
from hanse.limits import CODE_BYTES, CODE_GRACE_S, CODES, CODES_LOOKED_AT
from hanse.wire.code import Manifest, check_manifest, code_digest, file_digest, is_digest

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_manifests = msgpack_decoder(dict[str, str])


class Room(Protocol):
    """Where bytes are counted, against a quota."""

    def take(self, size: int) -> None:
        """Raises JournalFull."""

    def give_back(self, size: int) -> None: ...


class Codes:
    """The codes below `root`, which is made when the first one is added. What Python compiles
    beside the sources is not counted: it comes and goes."""

    def __init__(self, root: Path, room: Room | None = None) -> None:
        self._root = root
        self._room = room

    def count(self) -> int:
        """How many bytes there are."""
        return sum(_size_of(path) for path in _entries(self._root))

    @property
    def there(self) -> bool:
        """Whether there may be any."""
        return self._root.is_dir()

    def find(self, digest: str) -> Path:
        """The directory to import from. Raises CodeMissing."""
        if not is_digest(digest) or not self._is_there(digest):
            raise CodeMissing(f"the project's code {digest[:12]!r} is not on this node")
        return self._root / digest / "src"

    def manifest(self, digest: str) -> dict[str, str]:
        """Which files a code has. Raises CodeMissing."""
        path = self.find(digest).parent
        with saying(self._root):
            return _manifests.decode(_read(path / "manifest"))

    def content(self, manifest: Manifest, digests: Sequence[str]) -> list[bytes]:
        """The files with these hashes, of a code that is here. Raises UsageError if it has no such
        files, CodeMissing."""
        check_manifest(manifest)
        self.find(code_digest(manifest))
        if not set(digests) <= set(manifest.values()):
            raise UsageError("the code has no such files")
        found = self._content({n: d for n, d in manifest.items() if d in set(digests)})
        try:
            return [found[each] for each in digests]
        except KeyError as error:
            raise CodeMissing("files of the code have changed on the disk") from error

    def lacks(self, manifest: Manifest) -> list[str]:
        """The hashes of the files that have to be given before `add` can do the rest. Raises
        UsageError if it is no manifest."""
        check_manifest(manifest)
        if self._is_there(code_digest(manifest)):
            return []
        return sorted(set(manifest.values()) - self._content(manifest).keys())

    def add(self, manifest: Manifest, given: Mapping[str, bytes | memoryview]) -> str:
        """Keep a code, durably; returns its name. It leaves nothing if it fails.

        Args:
            given: the files that it lacks, by their hash.

        Raises UsageError if it is no manifest, or if files are missing, too many or too large.
        """
        check_manifest(manifest)
        digest = code_digest(manifest)
        if self._is_there(digest):
            return digest
        wanted = set(manifest.values())
        for told, content in given.items():
            if told not in wanted or file_digest(content) != told:
                raise UsageError(f"a file was sent that is not the one with the hash {told[:12]}")
        found = {**self._content(manifest, given), **given}
        if missing := wanted - found.keys():
            raise UsageError(f"{len(missing)} files of the code are missing, and were not sent")
        if sum(len(found[each]) for each in manifest.values()) > CODE_BYTES:
            raise UsageError(f"code has at most {CODE_BYTES:,} bytes, and this has more")
        with saying(self._root):
            self._make(digest, manifest, found)
        return digest

    def collect(self, used: Collection[str], now_s: float | None = None) -> int:
        """Remove all codes but these and those that came, or were asked for, just now, and what
        killed programs left. Returns how many there were."""
        gone, now_s = 0, time.time() if now_s is None else now_s
        with saying(self._root):
            for path in _entries(self._root):
                if path.name in used or now_s - os.lstat(path).st_mtime <= CODE_GRACE_S:
                    continue
                # Renamed first: what is half removed must not be taken for a code.
                size = _size_of(path)
                going = self._root / f".new-{secrets.token_hex(8)}"
                os.rename(path, going)
                shutil.rmtree(going)
                gone += 1
                if self._room is not None:
                    self._room.give_back(size)
        return gone

    # --- inside ---------------------------------------------------------------------------------
    def _is_there(self, digest: str) -> bool:
        """Whether it is there; then it is not collected for a while."""
        try:
            os.utime(self._root / digest)
        except FileNotFoundError:
            return False
        return True

    def _content(self, manifest: Manifest, but: Collection[str] = ()) -> dict[str, bytes]:
        """The files of this manifest that recent codes have, by their hash."""
        wanted = set(manifest.values()).difference(but)
        found: dict[str, bytes] = {}
        size = 0
        for code, files in self._recent():
            for name, digest in files.items():
                if digest in wanted and digest not in found:
                    with contextlib.suppress(OSError):
                        content = _read(code / "src" / name)
                        if file_digest(content) == digest:
                            found[digest] = content
                            size += len(content)
            if len(found) == len(wanted) or size > CODE_BYTES:
                break
        return found

    def _recent(self) -> Iterator[tuple[Path, dict[str, str]]]:
        """Codes and their manifests, the newest first."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root) as entries:
            for entry in entries:
                if is_digest(entry.name):
                    with contextlib.suppress(OSError):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
        for _, path in sorted(found, reverse=True)[:CODES_LOOKED_AT]:
            with contextlib.suppress(OSError, msgspec.MsgspecError, UsageError):
                manifest = _manifests.decode(_read(Path(path) / "manifest"))
                check_manifest(manifest)  # paths are made of it
                yield Path(path), manifest

    def _make(
        self, digest: str, manifest: Manifest, content: Mapping[str, bytes | memoryview]
    ) -> None:
        make_directory(self._root)
        if len(os.listdir(self._root)) >= CODES:
            raise JournalFull(
                f"{self._root} holds {CODES:,} codes: `hanse gc --older-than 7d` removes those of "
                "old jobs"
            )
        new = self._root / f".new-{secrets.token_hex(8)}"
        written = {f"src/{name}": content[digest] for name, digest in manifest.items()}
        written["manifest"] = msgspec.msgpack.encode(manifest)
        taken = sum(map(len, written.values()))
        if self._room is not None:
            self._room.take(taken)
        try:
            make_directory(new)
            _write_all(new, written)
            try:
                os.rename(new, self._root / digest)
                taken = 0
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # else somebody was quicker
                    raise
            sync_directory(self._root)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            if self._room is not None and taken:
                self._room.give_back(taken)


def _entries(root: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return [root / name for name in os.listdir(root)]
    return []


def _size_of(code: Path) -> int:
    """Its sources and its manifest. Files may go meanwhile."""
    size = 0
    for directory, _, names in os.walk(code):
        for name in names:
            if name == "manifest" or name.endswith(".py"):
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(directory, name)).st_size
    return size


def _write_all(new: Path, written: Mapping[str, bytes | memoryview]) -> None:
    """The files first, then the disk is waited for: one wait takes most of them along."""
    directories, files = [new], []
    _make_directory(new / "src", directories)
    for name, data in sorted(written.items()):
        path = new / name
        _make_directory(path.parent, directories)
        with os.fdopen(open_own(path, _NEW_FILE), "wb") as file:
            file.write(data)
        files.append(path)
    for path in files:
        with open(path, "rb") as written_file:
            sync(written_file.fileno())
    for path in directories:
        sync_directory(path)


def _make_directory(path: Path, made: list[Path]) -> None:
    if path not in made:
        _make_directory(path.parent, made)
        make_directory(path)
        made.append(path)


def _read(path: Path) -> bytes:
    """A file that is there as it was written: no link, and no more than may be."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read(CODE_BYTES + 1)
