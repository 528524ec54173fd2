"""What blobs need of a disk: private files, durable writes, bounded locks, and errors that say
which path failed and what to do. Nothing here knows what a blob is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from hanse.errors import JournalError, JournalFull, JournalUnavailable
from hanse.limits import BLOB_LOCK_LOOK_NS, BLOB_LOCK_WAIT_NS

_FULL = {errno.ENOSPC, errno.EDQUOT}
_MORE_ROOM = "free some space there, run `hanse gc`, or set HANSE_HOME to a disk with more"
_NEXT = {
    errno.EROFS: "set HANSE_HOME to a disk that can be written",
    errno.EACCES: "give this user the right to it, or set HANSE_HOME to another directory",
    errno.EPERM: "give this user the right to it, or set HANSE_HOME to another directory",
    errno.ELOOP: "there is a symbolic link where only Hanse's own files belong: remove it",
    errno.EBADF: "remove it",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.EIO: "the disk fails: look at the system's log, and set HANSE_HOME to another disk",
}


@contextlib.contextmanager
def saying(path: Path) -> Iterator[None]:
    """An OSError inside comes out as a JournalFull or JournalError that names the path."""
    try:
        yield
    except OSError as error:
        where, why = error.filename or path, error.strerror or str(error)
        if error.errno in _FULL:
            raise JournalFull(f"{where}: {why}: {_MORE_ROOM}") from error
        step = _NEXT.get(error.errno or 0, "see to that, or set HANSE_HOME to another directory")
        raise JournalError(f"{where}: {why}: {step}") from error


def open_own(path: Path, flags: int) -> int:
    """Open a regular file without following a link; what is made is for this user alone."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EBADF, "not a regular file", str(path))
    return fd


def make_directory(path: Path) -> None:
    """Make a directory for this user alone. One that is there is left as it is, but must be a
    directory and no link."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        mode = os.lstat(path).st_mode
        if not stat.S_ISDIR(mode):
            kind = errno.ELOOP if stat.S_ISLNK(mode) else errno.ENOTDIR
            raise OSError(kind, "not a directory", str(path)) from None


def sync(fd: int) -> None:
    """Wait until the disk has it. On macOS fsync alone leaves it in the disk's own cache."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, full)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing, such as SMB
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool, awaited: str) -> Iterator[int]:
    """Hold a file's lock, and get its descriptor. A process that dies gives it back.

    Raises JournalUnavailable, which says what was `awaited`, after BLOB_LOCK_WAIT_NS.
    """
    with saying(path):
        fd = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        with saying(path):
            _wait_for(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, path, awaited)
        yield fd
    finally:
        # By name, not by closing alone: a child that was forked meanwhile has the descriptor too.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _wait_for(fd: int, kind: int, path: Path, awaited: str) -> None:
    end = time.monotonic_ns() + BLOB_LOCK_WAIT_NS
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic_ns() >= end:
                seconds = BLOB_LOCK_WAIT_NS // 1_000_000_000
                raise JournalUnavailable(
                    f"{path}: waited {seconds} s for {awaited}: try again when it is done"
                ) from None
        time.sleep(BLOB_LOCK_LOOK_NS / 1e9)
