"""The journal in one SQLite file: WAL, and a sync of the disk before an append returns.

Beside the file lie its log (`-wal`, `-shm`: SQLite's), its locks, and a marker with the random id
that is also inside. The marker is why nothing starts silently: a journal that is gone, empty or
exchanged is an error with words, not a fresh start that would run everything again. The same goes
for its log (`hanse.journal.log`).

SQLite's locks belong to the process, and closing *any* descriptor of the file drops them all. Then
the next program that closes the journal takes itself for the last, and removes the log under those
that write to it. So nothing here opens the file but SQLite once it has it open; and because a
program may do so all the same (copy the file, say), each commit is acknowledged only if the log is
still the one that it went to.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from hanse import limits
from hanse.errors import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalUnavailable,
    NoSuchJob,
)
from hanse.ids import JobId, job_number
from hanse.journal import disk, locks, schema
from hanse.journal.common import SqlJournal
from hanse.journal.log import Log
from hanse.journal.seam import Connection, Row

if TYPE_CHECKING:
    from pathlib import Path

Connect = Callable[[str], Any]
_in_use: list[disk.Inode] = []  # the files that this process has open, one for each journal

_SETTINGS = (
    f"PRAGMA busy_timeout = {int(limits.JOURNAL_WAIT_S * 1000)}",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = 1",  # macOS: a sync that reaches the disk; nothing elsewhere
    f"PRAGMA journal_size_limit = {limits.JOURNAL_LOG_BYTES}",
    "PRAGMA cell_size_check = 1",  # damage is found when a page is read, not when it has spread
)


class SqliteJournal(SqlJournal):
    """The journal of one machine's programs.

    Args:
        path: The file; it and its directory are made if they never were.
        connect: Makes a connection like those of `sqlite3`, for tests of broken disks.
    """

    types: ClassVar[Mapping[str, str]] = {
        "int": "INTEGER",
        "real": "REAL",
        "bytes": "BLOB",
        "serial": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "compact": " WITHOUT ROWID",
    }
    begin: ClassVar[str] = "BEGIN IMMEDIATE"
    failures = (sqlite3.Error, OSError)

    def __init__(self, path: str | Path, *, connect: Connect | None = None) -> None:
        super().__init__()
        self.path = os.path.abspath(path)
        self.where = self.path
        self._connect = connect or _connect
        self._marker = self.path + ".id"
        self.id = ""
        self._inode: disk.Inode | None = None
        self._log = Log(self.path)
        self._locks: locks.LockFile | None = None
        try:
            with self.translated():
                disk.prepare(self.path)
                self._locks = locks.open_locks(self.path + ".locks")
                with self._locks.waiting(locks.OPENING):
                    self._open()
        except BaseException:
            self.close()
            raise

    # --- opening ----------------------------------------------------------------------------------
    def _open(self) -> None:
        marked = disk.read_small(self._marker)
        there = disk.size(self.path) > 0
        if not there and (marked is not None or disk.size(self.path + "-wal") > 0):
            raise JournalDamaged(
                f"the journal {self.path} is {'empty' if os.path.exists(self.path) else 'gone'},"
                f" though jobs may have been recorded in it ({self._marker} says that it was"
                " made): put it back; or, to begin with an empty one, remove that file"
            )
        unknown = there and marked is None and disk.inode(self.path) not in _in_use
        if unknown and not disk.is_sqlite(self.path):
            raise self._foreign()  # SQLite itself would write over a very short file
        disk.make_file(self.path)
        self._writer = connection = self._settled(fresh=not there)
        self._inode = disk.inode(self.path)
        if self._inode is not None:
            _in_use.append(self._inode)
        about = _about(connection)
        self._log.see()
        if not about and (marked is not None or connection.run("SELECT 1 FROM sqlite_master")):
            raise self._foreign()
        self._bring_forward(connection, about)
        self.id = _about(connection).get("id", "")
        if not self.id or marked not in (None, self.id):
            raise self._foreign()
        if marked is None:
            disk.write_small(self._marker, self.id)

    def _bring_forward(self, connection: Connection, about: Mapping[str, str]) -> None:
        if about and schema.version(about, self.where) == schema.VERSION:
            return
        try:
            connection.run(self.begin)
            if not about:
                connection.run(schema.ABOUT)
                connection.run("INSERT INTO about VALUES ('id', ?)", (os.urandom(16).hex(),))
            schema.bring_forward(connection.run, self.types, about, self.where)
            connection.run("COMMIT")
        except BaseException:
            connection.reset()
            raise

    def _foreign(self) -> JournalDamaged:
        return JournalDamaged(
            f"{self.path} is not the journal that was made here, or none at all: put the right one"
            f" back; or, if this one is right, remove {self._marker}"
        )

    def _settled(self, fresh: bool = False) -> Connection:
        connection = _Connection(self._connect(self.path), self._log)
        try:
            if fresh:  # room of removed jobs can be given back
                connection.run("PRAGMA auto_vacuum = INCREMENTAL")
            for setting in _SETTINGS:
                connection.run(setting)
            ((mode,),) = connection.run("PRAGMA journal_mode = WAL")
            if mode != "wal":
                raise JournalError(
                    f"the disk of {self.path} cannot hold SQLite's log (mode {mode!r}): move"
                    " HANSE_HOME to a local disk"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    # --- more than the common part ----------------------------------------------------------------
    def remove(self, job: JobId) -> None:
        """See the port. The room goes back to the disk, where that needs no room first."""
        super().remove(job)
        with self._writing:
            try:
                with self.translated():
                    connection = self.connected()
                    assert isinstance(connection, _Connection)
                    connection.give_back()
            except (JournalFull, JournalUnavailable):
                pass  # later entries use it

    # --- what the seam wants ----------------------------------------------------------------------
    def dial(self, writing: bool) -> Connection:
        """See the seam. The same file as before, or an error."""
        if self._writer is None and self._reader is None:
            self._log.forget()
        self.look()
        connection = self._settled()
        if _about(connection).get("id") != self.id:
            connection.close()
            raise self._foreign()
        self._log.see()
        return connection

    def look(self) -> None:
        """See the seam: what is written to a file that was removed is lost, and SQLite does not
        say so."""
        if disk.inode(self.path) != self._inode:
            raise JournalDamaged(
                f"the journal {self.path} was removed or exchanged while it was in use: put it"
                " back and start the program again"
            )
        if self._log.parted:
            raise JournalDamaged(
                f"the log of the journal {self.path} was removed while this program wrote to it,"
                " and nothing more can be recorded here. A program that opens the journal's file"
                " by itself, to copy it for example, lets go of the locks that protect it: start"
                " the program again; what was acknowledged before is kept"
            )

    def kept(self) -> None:
        """See the seam: a commit went to the log, and counts if others will find it there."""
        self.look()

    def reset(self, connection: Connection) -> None:
        """See the seam."""
        super().reset(connection)
        if self._writer is None and self._reader is None:
            self._log.forget()  # it was closed, and SQLite may have removed the log

    def alone(self, sql: Connection) -> None:
        """See the seam: who writes is alone here anyway."""

    def lock(self, job: JobId) -> bool:
        """See the seam."""
        return self._lock_file().take(_number(job))

    def unlock(self, job: JobId) -> None:
        """See the seam."""
        self._lock_file().give(_number(job))

    def locked(self, job: JobId) -> bool:
        """See the seam."""
        return self._lock_file().taken(_number(job))

    def _lock_file(self) -> locks.LockFile:
        assert self._locks is not None
        return self._locks

    def damages(self) -> list[str]:
        """What SQLite finds wrong with the file."""
        try:
            with self.reads() as sql:
                rows = sql.run(f"PRAGMA integrity_check({limits.JOURNAL_DAMAGES})")
        except JournalDamaged as error:
            return [str(error)]
        return [f"{self.path}: {line}" for (text,) in rows for line in _lines(text)]

    def stored_bytes(self) -> int:
        """The file and its log."""
        return sum(disk.size(self.path + end) for end in ("", "-wal", "-shm"))

    def close(self) -> None:
        """See the port."""
        with self._closing():
            super().close()
        if self._inode in _in_use:
            _in_use.remove(self._inode)
            self._inode = None
        if self._locks is not None:
            self._locks.close()
            self._locks = None

    @contextmanager
    def _closing(self) -> Iterator[None]:
        if self._locks is None or (self._writer is None and self._reader is None):
            yield
            return
        with ExitStack() as stack:
            with suppress(JournalUnavailable, OSError):
                stack.enter_context(self._locks.waiting(locks.OPENING))
            yield

    # --- errors -----------------------------------------------------------------------------------
    def translate(self, error: Exception) -> JournalError:
        """See the seam."""
        if isinstance(error, OSError):
            return disk.translate(error, self.path)
        extended = getattr(error, "sqlite_errorcode", None)
        if extended is None:  # text that is no UTF-8, a number that is none
            return self._damaged(error)
        code = extended & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
            return JournalUnavailable(
                f"another program has been writing to {self.path} for {limits.JOURNAL_WAIT_S:g} s"
                f" ({error}): try again, or look for one that is stopped"
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self._damaged(error)
        if code == sqlite3.SQLITE_FULL:
            return disk.full(self.path)
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and disk.is_full(self.path):
            return disk.full(self.path)
        if code == sqlite3.SQLITE_READONLY:
            return disk.translate(OSError(errno.EROFS, str(error)), self.path)
        if code == sqlite3.SQLITE_ERROR and "no such" in str(error):
            return self._damaged(error)
        return JournalError(
            f"the journal {self.path} cannot be used: {error}; look at the disk (`dmesg`, `hanse"
            " doctor`); what was recorded before is kept"
        )

    def _damaged(self, error: Exception) -> JournalDamaged:
        return JournalDamaged(
            f"the journal {self.path} is damaged: {error}; put a copy in its place, or move it and"
            f" {self._marker} away to begin with an empty one"
        )


class _Connection:
    """A connection of `sqlite3`, or one that is like it."""

    def __init__(self, connection: Any, log: Log) -> None:
        self._connection = connection
        self._log = log

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        rows: list[Row] = self._connection.execute(sql, values).fetchall()
        return rows

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def give_back(self) -> None:
        # A script, because this statement does a page for each step, and `execute` makes one.
        self._connection.executescript("PRAGMA incremental_vacuum")

    def reset(self) -> bool:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return True
        except sqlite3.Error:
            return False

    def close(self) -> None:
        try:
            if self._log.parted:
                _abandon(self._connection)
            else:
                self._connection.close()
        except (sqlite3.Error, OSError):
            pass  # it has nothing that was acknowledged and is not in the file


def _connect(path: str) -> sqlite3.Connection:
    # The threads of a program share it, one at a time, under our own lock.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _abandon(connection: Any) -> None:
    """Never close it, not even when the program ends: SQLite would then write what it has into the
    file that others went on with."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _about(connection: Connection) -> dict[str, str]:
    if not connection.run("SELECT 1 FROM sqlite_master WHERE name = 'about'"):
        return {}
    return dict(connection.run("SELECT key, value FROM about"))


def _lines(text: str) -> list[str]:
    return [] if text == "ok" else [line for line in text.splitlines() if line != "ok"]


def _number(job: JobId) -> int:
    try:
        return job_number(job)
    except ValueError as error:
        raise NoSuchJob(f"there is no job {job!r}: {error}") from None
