"""The log beside a journal in a file (`-wal`): where commits go until SQLite moves them.

SQLite trusts that it is there. So that a log which was taken away is noticed, in use or after a
program was killed, two things are kept: which file it was, and a note on the disk, an empty file,
for as long as there is a log with commits in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hanse.errors import JournalDamaged
from hanse.journal import disk, private


class Log:
    """The log of the journal at a path, as one journal object sees it."""

    def __init__(self, path: str) -> None:
        self._journal = path
        self._path = path + disk.LOG
        self._note = path + disk.NOTE
        self._inode: disk.Inode | None = None  # where our commits go; None while nothing is open
        self._noted = False

    def look(self) -> None:
        """Before a journal is opened. Raises JournalDamaged if its log is gone."""
        if os.path.lexists(self._note) and not os.path.lexists(self._path):
            raise JournalDamaged(
                f"the log {self._path} is gone, with what was recorded last: a program was killed"
                " that wrote to it. Put it back; or, to go on with what is in"
                f" {self._journal} alone, remove {self._note} (nothing is missing if another"
                " program, such as sqlite3, has opened and closed the journal since)"
            )

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

    def note(self) -> None:
        """Something was committed. Who has no room for the note goes on without."""
        if not self._noted:
            with suppress(OSError):
                disk.make_file(self._note)
                self._noted = True

    @contextmanager
    def closing(self, alone: bool) -> Iterator[None]:
        """For a block that closes connections: who does so last takes the log away with them. The
        note goes first, so that whatever kills us, there is none without a log.

        Args:
            alone: nobody opens or closes the journal meanwhile; else the note is not made again.
        """
        self._noted = False
        with suppress(OSError):
            os.unlink(self._note)
            private.sync(os.path.dirname(self._note))
        yield
        if alone and os.path.lexists(self._path):  # others have it open
            with suppress(OSError):
                disk.make_file(self._note)
