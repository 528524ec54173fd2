"""What items have saved for later attempts, on a disk: one file for each, the newest in its place.

    root/<job>/<item>   BLAKE3 of the rest, and a parcel of one payload
    root/<job>/.new     what is being written

A save appears by a rename, whole and durable, over the one before; what is damaged is not there.
It is no entry of the journal and no blob, because those are kept as they were, and of saves the
last one counts: an item that saves every minute for a week would leave ten thousand. Bytes count to
the quota of the blobs. Methods may be called from any thread and any process; of each job one
writes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from hanse import limits
from hanse.blobs.codes import Room
from hanse.blobs.disk import make_directory, open_own, saying, sync, sync_directory
from hanse.errors import JournalError
from hanse.ids import JobId
from hanse.payloads.parcel import BadParcel, Deferred, Unwrapping, shape_in, wrap
from hanse.payloads.payload import Payload

_JOB = re.compile(r"[\w-]{1,100}")
_DIGEST = 32


class SavedStates:
    """The states below `root`, which is made when the first one is put."""

    def __init__(self, root: Path, room: Room | None = None) -> None:
        self._root = root
        self._room = room

    def count(self) -> int:
        """How many bytes there are."""
        return sum(self._size(job) for job in self.jobs())

    def jobs(self) -> list[JobId]:
        with contextlib.suppress(FileNotFoundError):
            return [JobId(name) for name in os.listdir(self._root) if _JOB.fullmatch(name)]
        return []

    def items(self, job: JobId) -> list[int]:
        """Of which something is saved."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(int(name) for name in os.listdir(self._of(job)) if name.isdecimal())
        return []

    def put(self, job: JobId, item: int, payload: Payload) -> None:
        """Keep this for the item, durably, in place of what there was. Raises JournalFull,
        JournalError."""
        directory = self._of(job)
        path, new = directory / str(item), directory / ".new"
        with saying(directory):
            make_directory(self._root)
            make_directory(directory)
            new.unlink(missing_ok=True)
        pieces = [memoryview(piece) for piece in wrap(None, [payload])]
        taken = _DIGEST + sum(piece.nbytes for piece in pieces)
        if self._room is not None:
            self._room.take(taken)
        try:
            with saying(new):
                _write(new, pieces)
                before = _size_of(path)
                os.rename(new, path)
                taken = before
                sync_directory(directory)
                sync_directory(self._root)
        finally:
            if self._room is not None and taken:
                self._room.give_back(taken)

    def find(self, job: JobId, item: int) -> Deferred | None:
        """What was saved last, to be sent from where it is; None if there is nothing whole. Takes
        as long as reading it, and no memory."""
        path = self._of(job) / str(item)
        try:
            with _opened(path) as file:
                about = os.fstat(file.fileno())
                digest, hasher = file.read(_DIGEST), blake3()
                while piece := file.read(limits.PIECE_BYTES):
                    hasher.update(piece)
                if hasher.digest() != digest:
                    return None
                file.seek(_DIGEST)
                shape, at = shape_in(file), file.tell()
        except (OSError, BadParcel):
            return None
        found = Deferred(shape, lambda: _read(path, _which(about), at))
        whole = at + found.nbytes == about.st_size and found.count == 1
        most = limits.CHECKPOINT_BYTES + limits.LABEL_BYTES  # as `get` takes: its parts are padded
        return found if whole and found.nbytes <= most else None

    def get(self, job: JobId, item: int) -> Payload | None:
        """The same, in memory."""
        try:
            with _opened(self._of(job) / str(item)) as file:
                digest, hasher = file.read(_DIGEST), blake3()
                taking = Unwrapping(limits.CHECKPOINT_BYTES + limits.LABEL_BYTES)
                while piece := file.read(limits.PIECE_BYTES):
                    hasher.update(piece)
                    taking.feed(piece)
            taking.end()
        except (OSError, BadParcel):
            return None
        whole = hasher.digest() == digest and len(taking.payloads) == 1
        return taking.payloads[0] if whole and taking.payloads[0].count == 1 else None

    def drop(self, job: JobId, item: int) -> None:
        """It is needed no more. Raises JournalError."""
        path = self._of(job) / str(item)
        with saying(path):
            size = _size_of(path)
            path.unlink(missing_ok=True)
            self._gone(size)

    def drop_job(self, job: JobId) -> int:
        """Nothing of the job is needed any more; returns the bytes. Raises JournalError."""
        directory = self._of(job)
        with saying(directory):
            size = self._size(job)
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(directory)
                self._gone(size)
        return size

    def _gone(self, size: int) -> None:
        if self._room is not None and size:
            self._room.give_back(size)

    def _of(self, job: JobId) -> Path:
        if _JOB.fullmatch(job) is None:
            raise JournalError(f"{job!r} is no id of a job")
        return self._root / job

    def _size(self, job: JobId) -> int:
        size = 0
        with contextlib.suppress(OSError), os.scandir(self._of(job)) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
        return size


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(open_own(path, os.O_RDONLY), "rb")


def _which(about: os.stat_result) -> tuple[int, ...]:
    """What tells a save from the one that took its place."""
    return about.st_ino, about.st_size, about.st_mtime_ns


def _read(path: Path, which: tuple[int, ...], at: int) -> Iterator[bytes]:
    """The file from there on. Raises OSError if it is another one by now."""
    with _opened(path) as file:
        if _which(os.fstat(file.fileno())) != which:
            raise OSError(errno.ESTALE, "it was saved anew meanwhile", str(path))
        file.seek(at)
        while piece := file.read(limits.PIECE_BYTES):
            yield piece


def _write(path: Path, pieces: list[memoryview]) -> None:
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(hasher.digest())
        for piece in pieces:
            file.write(piece)
        file.flush()
        sync(file.fileno())


def _size_of(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(path).st_size
    return 0
