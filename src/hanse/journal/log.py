"""The log beside a journal in a file (`-wal`): where commits go until SQLite moves them.

SQLite trusts that it is there. So that a log which was taken away under a running program is
noticed, it is remembered which file it was.
"""

from __future__ import annotations

from hanse.journal import disk


class Log:
    """The log of the journal at a path, as one journal object sees it."""

    def __init__(self, path: str) -> None:
        self._path = path + disk.LOG
        self._inode: disk.Inode | None = None  # where our commits go; None while nothing is open

    def see(self) -> None:
        """A connection is open: this is its log."""
        self._inode = self._inode or disk.inode(self._path)

    def forget(self) -> None:
        """No connection of ours is open: SQLite may have removed the log, as it should."""
        self._inode = None

    @property
    def parted(self) -> bool:
        """Whether the log that we write to is not the one that others read."""
        return self._inode is not None and disk.inode(self._path) != self._inode
