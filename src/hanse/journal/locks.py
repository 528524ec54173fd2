"""Locks between the processes of one machine: numbered bytes of one small file.

These are POSIX record locks, and not flock or OFD locks, because of fork: those belong to the open
file, so any child that was forked while a job ran would keep its lock alive after its holder died.
Record locks belong to the process: a child never has them, and the kernel drops them with the
process, however it dies. They need care in two things, which is why this file exists: a process
never conflicts with itself, so who holds what here is written down too; and closing *any*
descriptor of the file drops all its locks, so each process opens it once and shares it.

One file with a byte for each job instead of a file for each: nothing has to be removed with a job,
so there is no race between removing and taking. And all of it is advice only: what keeps an old
holder from writing is the run number (see `hanse.journal.port`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hanse import limits
from hanse.errors import JournalUnavailable

OPENING = 1 << 48
"""The byte that is held while a process looks whether there is a journal; jobs have smaller."""

_LOOK_S = 0.01
_files: dict[tuple[int, int], LockFile] = {}
_files_lock = threading.Lock()


class LockFile:
    """The locks of one file, shared by all in this process that opened it."""

    def __init__(self, path: str, fd: int, key: tuple[int, int]) -> None:
        self._path = path
        self._fd = fd
        self._key = key
        self._users = 0
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def take(self, number: int) -> bool:
        """Take a lock; False if any process holds it, this one too. Never waits."""
        with self._lock:
            if number in self._taken:
                return False
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    return False
                raise
            self._taken.add(number)
            return True

    def give(self, number: int) -> None:
        """Give a lock back."""
        with self._lock:
            if number in self._taken:
                self._taken.discard(number)
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)

    def taken(self, number: int) -> bool:
        """Whether any process holds the lock. Asks without taking it, so nobody else is refused
        because somebody looked."""
        with self._lock:
            return number in self._taken or _held_elsewhere(self._fd, number)

    @contextmanager
    def waiting(self, number: int) -> Iterator[None]:
        """Hold a lock for a block; waits for it, up to a bound."""
        end = time.monotonic() + limits.JOURNAL_WAIT_S
        while not self.take(number):
            if time.monotonic() > end:
                raise JournalUnavailable(
                    f"another process has been opening the journal for {limits.JOURNAL_WAIT_S:g} s"
                    f" (it holds {self._path}): try again, or look for one that is stopped"
                )
            time.sleep(_LOOK_S)
        try:
            yield
        finally:
            self.give(number)

    def close(self) -> None:
        """Let go. What this user took it must have given back; the last one closes the file."""
        with _files_lock:
            self._users -= 1
            if self._users == 0 and _files.get(self._key) is self:
                del _files[self._key]
                os.close(self._fd)


def open_locks(path: str) -> LockFile:
    """The locks of a file, which is made if it is not there."""
    with _files_lock:
        found = _known(path)
        if found is None:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            found = LockFile(path, fd, _key(os.fstat(fd)))
            _files[found._key] = found
        found._users += 1
        return found


def _known(path: str) -> LockFile | None:
    """Found without opening the file a second time: closing that one would drop the locks."""
    try:
        return _files.get(_key(os.stat(path)))
    except FileNotFoundError:
        return None


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_LAYOUT = "qqihh" if sys.platform == "darwin" else "hhqqi0q"
"""`struct flock`; the standard library takes locks, but leaves asking for them to its callers."""


def _held_elsewhere(fd: int, number: int) -> bool:
    if sys.platform == "darwin":
        asked = struct.pack(_LAYOUT, number, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
        type_at = 3
    else:
        asked = struct.pack(_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        type_at = 0
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, asked)
    return bool(struct.unpack(_LAYOUT, answer)[type_at] != fcntl.F_UNLCK)


def _forget() -> None:
    """In a forked child: it has none of the locks, and opens its own file if it wants some."""
    global _files_lock
    _files_lock = threading.Lock()
    _files.clear()


os.register_at_fork(after_in_child=_forget)
