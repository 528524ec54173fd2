"""The files around a journal in a file: its directory, its marker, and what a disk says no to."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from hanse.errors import JournalError, JournalFull
from hanse.journal import private

Inode = tuple[int, int]
"""Which file a path means: its device and its number there."""

_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "beegfs", "ceph"} | {
    "fuse.sshfs",
    "fuse.glusterfs",
}
LOG = "-wal"
_ENDS = ("", LOG, "-shm", "-journal", ".id", ".locks")
_ROOM_BYTES = 256 * 1024  # less than this free: an error of the disk means that it is full
_SMALL_BYTES = 1024


def prepare(path: str) -> None:
    """Make the directory of a journal, for its owner alone. Raises JournalError where others could
    write to it, or SQLite's log would not be safe."""
    directory = os.path.dirname(path)
    private.directory(directory)
    private.files(path + end for end in _ENDS)
    kind = _file_system(directory)
    if kind in _REMOTE:
        raise JournalError(
            f"{directory} is on a network file system ({kind}), where two machines that write to"
            " one SQLite file damage it: set HANSE_HOME to a local disk, or HANSE_JOURNAL to"
            " postgresql://..."
        )


def _file_system(directory: str) -> str:
    """The kind of file system; empty where it is not easy to see."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            return file_system(file.read(), os.stat(directory).st_dev)
    except OSError:
        return ""


def file_system(mounts: str, device: int) -> str:
    """The kind of a device's file system, from the text of /proc/self/mountinfo."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2:3] == [number]:
            return after.split()[0] if after else ""
    return ""


def size(path: str) -> int:
    """The bytes of a file; 0 if it is not there."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def inode(path: str) -> Inode | None:
    """Which file a path means now; None for none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def make_file(path: str) -> None:
    """Make an empty file for its owner alone; one that is there is not even opened."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        pass


def is_sqlite(path: str) -> bool:
    """Whether a file is SQLite's, or was just being made when a power cut came."""
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0" or os.path.exists(path + "-journal")


def read_small(path: str) -> str | None:
    """A small text file, without its line's end; None if it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_SMALL_BYTES).strip()
    except FileNotFoundError:
        return None


def write_small(path: str, text: str) -> None:
    """Write a small text file so that it is there as a whole and for good, or not at all."""
    fresh = f"{path}.{os.urandom(8).hex()}.new"  # a name that nobody can lay a link under
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(fresh, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
    private.sync(os.path.dirname(path))


def is_full(path: str) -> bool:
    """Whether the disk of a path has next to no room."""
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES


def full(path: str) -> JournalFull:
    """The error that says so."""
    return JournalFull(
        f"there is no room for the journal {path}: make room on that disk (removing jobs needs a"
        " little room first); what was recorded before is kept"
    )


def translate(error: OSError, path: str) -> JournalError:
    """An error of the operating system in Hanse's words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full(path)
    words = error.strerror or str(error)
    if error.errno == errno.EROFS:
        return JournalError(
            f"the journal {path} is on a disk that cannot be written ({words}): set HANSE_HOME to"
            " a directory that can"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return JournalError(
            f"this user may not write the journal {path} ({words}): give it the right to, or set"
            " HANSE_HOME to a directory of its own"
        )
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return JournalError(f"{path} cannot be a journal ({words}: {error.filename})")
    return JournalError(f"the journal {path} cannot be used: {words}")
