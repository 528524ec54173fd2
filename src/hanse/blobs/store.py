"""Blobs on a disk: immutable bytes, named by their BLAKE3 hash.

    root/ab/ab12...   one file a blob, 64 hex digits, in the directory of the first two
    root/tmp/         what is being written; nobody reads it
    root/lock         shared by all who put, alone for the one who collects
    root/used         how many bytes there are (see `use`)

A blob appears under its name by a rename, whole and durable, or not at all. It may go only when no
journal entry refers to it, and an entry is written after its blobs; so whoever puts blobs stays in
`writing()` until the entry is committed, and `collect` reads what is referred to when nobody is.

Every method may be called from any thread and any process, and waits for the disk. Paths are made
of parsed ids alone. Errors name the path and the next step: JournalFull, JournalDamaged,
JournalUnavailable (somebody holds the lock long), and JournalError for the rest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hanse.blobs.disk import locked, make_directory, open_own, saying, sync, sync_directory
from hanse.blobs.use import Use
from hanse.errors import JournalDamaged, JournalError
from hanse.ids import BlobId, blob_id, parse_blob_id
from hanse.limits import BLOB_CHUNK

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_DIRECTORY = re.compile("[0-9a-f]{2}")
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class BlobFile(NamedTuple):
    """An open blob, checked. The descriptor is the caller's: `File.received(*blob)` owns it."""

    fd: int
    size: int


@dataclass(frozen=True)
class Collected:
    """What a collection removed: blobs and leftovers of programs that died."""

    count: int
    bytes: int


class _Found(NamedTuple):
    path: Path
    id: BlobId | None  # None: not a blob's name, or not in its place
    size: int


class BlobStore:
    """The blobs below `root`, which is made when the first one is put."""

    def __init__(
        self, root: Path, quota_bytes: int | None, beside: Callable[[], int] = int
    ) -> None:
        """`beside`: measures what else counts towards the quota (see `take`)."""
        self._root = root
        self._beside = beside
        self._tmp = root / "tmp"
        self._use = Use(root, quota_bytes, self._count)
        self._durable: set[Path] = set()  # directories whose own names are known to be on the disk
        # Blobs whose names the disk refused to keep. A later sync that goes well says nothing of
        # what an earlier one lost, so they are written again.
        self._doubted: set[BlobId] = set()

    # --- putting ------------------------------------------------------------------------------
    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing is collected meanwhile. Held from the first `put` to the commit of the entry
        that refers to it; may be held by many, and more than once by one."""
        with saying(self._root):
            self._make(self._root)
            self._make(self._tmp)
        with self._locked(shared=True, awaited="`hanse gc`, which collects blobs"):
            yield

    def put(self, data: ReadableBuffer | Iterable[ReadableBuffer]) -> BlobId:
        """Keep these bytes, or these pieces joined; durable once this returns.

        Bytes that are kept already are not written again, unless those on the disk are damaged: a
        job that is recorded anew rests on nothing broken. It leaves nothing if it fails.
        """
        with self.writing():
            whole = _as_bytes(data)
            if whole is not None:
                found = blob_id(blake3(whole).digest())
                if self._is_there(found, whole.nbytes):
                    return found
            pieces = (whole,) if whole is not None else map(_piece, data)  # type: ignore[arg-type]
            return self._put(pieces)

    def _put(self, pieces: Iterable[memoryview]) -> BlobId:
        path = self._tmp / secrets.token_hex(16)
        taken = 0  # bytes that are counted as used and will not be, unless they stay
        try:
            with saying(path):
                file = os.fdopen(open_own(path, _NEW_FILE), "wb", buffering=0)
            with file:
                hasher = blake3()
                for piece in pieces:
                    self._use.take(piece.nbytes)
                    taken += piece.nbytes
                    hasher.update(piece)
                    with saying(path):
                        _write_all(file.fileno(), piece)
                with saying(path):
                    sync(file.fileno())
            found = blob_id(hasher.digest())
            if not self._is_there(found, taken):
                taken = self._rename(path, found)
                self._settle(found)
            return found
        finally:
            with contextlib.suppress(OSError, JournalError):  # too high a number does little harm
                path.unlink(missing_ok=True)
                if taken:
                    self._use.give_back(taken)

    def _rename(self, path: Path, found: BlobId) -> int:
        """Give the file its name; the size of a damaged one that had it."""
        target = self._path(found)
        with saying(target):
            self._make(target.parent)
            replaced = _size(target)
            os.replace(path, target)
        return replaced or 0

    def _settle(self, found: BlobId) -> None:
        """Make the blob's name durable."""
        directory = self._path(found).parent
        with saying(directory):
            self._make(directory)
            try:
                sync_directory(directory)
            except OSError:
                self._doubted.add(found)
                raise
        self._doubted.discard(found)

    def _is_there(self, wanted: BlobId, size: int) -> bool:
        path = self._path(wanted)
        with saying(path):
            there = wanted not in self._doubted and _is_whole(path, wanted, size)
        if there:  # whoever put it may have been killed between the rename and this
            self._settle(wanted)
        return there

    def _make(self, directory: Path) -> None:
        """A directory that is there after a power failure too, whoever made it."""
        if directory in self._durable and directory.is_dir():
            return
        if not directory.parent.is_dir():
            self._make(directory.parent)
        make_directory(directory)
        try:
            sync_directory(directory.parent)
        except OSError:
            with contextlib.suppress(OSError):  # so that it is made, and synced, anew
                directory.rmdir()
            raise
        self._durable.add(directory)

    # --- reading ------------------------------------------------------------------------------
    def get(self, wanted: BlobId) -> BlobFile:
        """Open a blob for reading, once all its bytes are found to be right.

        It can be read from this descriptor whatever is collected. Raises JournalDamaged.
        """
        path = self._path(wanted)
        with saying(path):
            try:
                fd = open_own(path, os.O_RDONLY)
            except FileNotFoundError:
                raise JournalDamaged(f"{path}: a blob that a job refers to is missing") from None
            try:
                digest, size = _hash(fd)
                if blob_id(digest) != wanted:
                    raise JournalDamaged(
                        f"{path}: a blob of {size:,} bytes is not what was written: "
                        "restore this file from a backup, or run its job again with fresh=True"
                    )
            except BaseException:
                os.close(fd)
                raise
        return BlobFile(fd, size)

    def __contains__(self, wanted: BlobId) -> bool:
        """Whether there is a blob of this id, whole or damaged."""
        return self._path(wanted).exists()

    def read(self, wanted: BlobId) -> bytes:
        """A blob's bytes, checked. Raises JournalDamaged."""
        fd, size = self.get(wanted)
        with saying(self._path(wanted)), os.fdopen(fd, "rb", buffering=0) as file:
            found = bytearray(size)
            view = memoryview(found)
            while view and (count := file.readinto(view)):
                view = view[count:]
        return bytes(found)

    def _path(self, wanted: BlobId) -> Path:
        name = parse_blob_id(wanted)
        return self._root / name[:2] / name

    # --- the whole ----------------------------------------------------------------------------
    def collect(self, referred: Callable[[], Iterable[BlobId]]) -> Collected:
        """Remove every blob that is not referred to, and what killed programs left.

        `referred` is called when nobody is writing, so that it cannot miss an entry that is about
        to be committed; that is why it is a function. If it raises, nothing is removed.
        Raises JournalUnavailable if somebody writes for very long.
        """
        if not self._root.is_dir():
            return Collected(0, 0)
        with self._locked(shared=False, awaited="programs that write blobs now"):
            kept = {bytes.fromhex(parse_blob_id(each)) for each in referred()}
            with saying(self._root):
                return self._remove_all_but(kept)

    def _remove_all_but(self, kept: set[bytes]) -> Collected:
        count = gone = used = 0
        for found in self._walk():
            unused = found.id is not None and bytes.fromhex(found.id) not in kept
            if unused or found.path.parent == self._tmp:
                os.unlink(found.path)
                count, gone = count + 1, gone + found.size
            else:
                used += found.size
        self._use.set(used + self._beside())
        return Collected(count, gone)

    def take(self, size: int) -> None:
        """Count bytes that are about to be written beside the blobs. Raises JournalFull."""
        with saying(self._root):
            self._make(self._root)
        self._use.take(size)

    def give_back(self, size: int) -> None:
        """These were not written, or are gone."""
        self._use.give_back(size)

    def used_bytes(self) -> int:
        """What the blobs take, with what is beside them, from a number that is kept; see `use` for
        how true it is."""
        return self._use.known() if self._root.is_dir() else 0

    def check(self) -> list[str]:
        """Verify every blob; one line for each that is damaged and each file that is not ours."""
        with saying(self._root):
            found = [found for found in self._walk() if found.path.parent != self._tmp]
        return [line for each in found if (line := self._complaint(each))]

    def _complaint(self, found: _Found) -> str | None:
        if found.id is None:
            return f"{found.path}: this is no blob: remove it"
        try:
            os.close(self.get(found.id).fd)
        except JournalError as error:
            # Collected since we saw it, which is no damage.
            return str(error) if os.path.lexists(found.path) else None
        return None

    def _count(self) -> int:
        return sum(found.size for found in self._walk()) + self._beside()

    def _walk(self) -> Iterator[_Found]:
        """Every file, also those that do not belong here. Files may come and go meanwhile."""
        for directory in _entries(self._root):
            ours = directory.name == "tmp" or _DIRECTORY.fullmatch(directory.name)
            if not ours or not directory.is_dir(follow_symlinks=False):
                continue
            for entry in _entries(Path(directory.path)):
                with contextlib.suppress(FileNotFoundError):
                    size = entry.stat(follow_symlinks=False).st_size
                    if entry.is_dir(follow_symlinks=False):
                        continue  # somebody else's
                    yield _Found(Path(entry.path), _id_of(directory.name, entry.name), size)

    def _locked(self, *, shared: bool, awaited: str) -> contextlib.AbstractContextManager[int]:
        return locked(self._root / "lock", shared=shared, awaited=awaited)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except FileNotFoundError:
        return []


def _id_of(directory: str, name: str) -> BlobId | None:
    try:
        found = parse_blob_id(name)
    except ValueError:
        return None
    return found if name[:2] == directory else None


def _as_bytes(data: ReadableBuffer | Iterable[ReadableBuffer]) -> memoryview | None:
    """The buffer as bytes; None if it is an iterable of buffers."""
    try:
        return _piece(memoryview(data))  # type: ignore[arg-type]
    except TypeError:
        if isinstance(data, Iterable):
            return None
        raise


def _piece(buffer: ReadableBuffer) -> memoryview:
    view = memoryview(buffer)
    return view.cast("B") if view.nbytes else memoryview(b"")


def _size(path: Path) -> int | None:
    """The size of a regular file; None if there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _is_whole(path: Path, wanted: BlobId, size: int) -> bool:
    """Whether the file has these bytes: a size alone is soon right by chance or by damage."""
    if _size(path) != size:
        return False
    fd = open_own(path, os.O_RDONLY)
    try:
        return blob_id(_hash(fd)[0]) == wanted
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False  # it cannot be read any more
    finally:
        os.close(fd)


def _write_all(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def _hash(fd: int) -> tuple[bytes, int]:
    """The digest and size of a file, read by its descriptor: what is checked is what is mapped."""
    hasher, size, buffer = blake3(), 0, bytearray(BLOB_CHUNK)
    view = memoryview(buffer)
    while count := os.preadv(fd, [buffer], size):
        hasher.update(view[:count])
        size += count
    return hasher.digest(), size
