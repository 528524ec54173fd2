"""A disk that fails when told to, and that forgets on a power cut what was not synced.

SQLite's own method: a VFS over the real one. It is written for apsw, whose connections are given
the few methods of `sqlite3` that the adapter uses, so the adapter's own code runs on it.
"""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import apsw

Kind = Literal["write", "sync", "truncate", "open"]
KINDS: tuple[Kind, ...] = ("write", "sync", "truncate", "open")
CODES = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "open": apsw.SQLITE_CANTOPEN,
}
_names = itertools.count(1)


class Image:
    """What is on the disk for certain, and what was written since the last sync."""

    def __init__(self, content: bytes) -> None:
        self.synced = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []  # without bytes: cut here

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.synced, *change)
        self.pending.clear()

    def after_power_cut(self, kept: Callable[[], bool]) -> bytes:
        content = bytearray(self.synced)
        for change in self.pending:
            if kept():
                _apply(content, *change)
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Disk(apsw.VFS):
    """Fails the `nth` operation of a kind: that one, or all from then on."""

    def __init__(self, kind: Kind, nth: int, for_ever: bool) -> None:
        self.name = f"faulty-{next(_names)}"
        self.kind, self.nth, self.for_ever = kind, nth, for_ever
        self.count = 0
        self.failed = False
        self.images: dict[str, Image] = {}
        self.connections: list[LikeSqlite3] = []
        super().__init__(self.name, "")

    def connect(self, path: str) -> LikeSqlite3:
        connection = LikeSqlite3(path, self.name)
        self.connections.append(connection)
        connection.execute("PRAGMA wal_autocheckpoint = 8")  # so that a short test sees some
        return connection

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 (SQLite's names)
        self.step("open")
        path = None if name is None else os.path.abspath(
            name if isinstance(name, str) else name.filename()
        )  # fmt: skip
        if path is not None and path not in self.images:
            there = Path(path)
            self.images[path] = Image(there.read_bytes() if there.exists() else b"")
        return File(self, path, name, flags)

    def xDelete(self, path: str, sync: bool) -> None:  # noqa: N802
        super().xDelete(path, sync)
        self.images.pop(os.path.abspath(path), None)

    def step(self, kind: Kind) -> None:
        """Count an operation; raises if it is the one that fails."""
        if kind != self.kind:
            return
        self.count += 1
        if self.count == self.nth or (self.for_ever and self.count > self.nth):
            self.failed = True
            error = apsw.IOError("the disk failed")
            error.extendedresult = CODES[kind]
            raise error

    def power_cut(self, target: Path, draw: random.Random | None) -> None:
        """Copy the files as a power cut would leave them: nothing unsynced, or any part of it."""
        kept = (lambda: False) if draw is None else (lambda: draw.random() < 0.5)
        for path, image in self.images.items():
            if os.path.exists(path) and not path.endswith("-shm"):
                (target / os.path.basename(path)).write_bytes(image.after_power_cut(kept))

    def excepthook(self, *what: Any) -> None:
        """SQLite ignores some errors on purpose: so do we."""


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str | None, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        self.path = path

    def _changed(self, offset: int, data: bytes | None) -> None:
        if self.path is not None:
            self.disk.images[self.path].pending.append((offset, data))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.disk.step("write")
        super().xWrite(data, offset)
        self._changed(offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.disk.step("truncate")
        super().xTruncate(size)
        self._changed(size, None)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.step("sync")
        super().xSync(flags)
        if self.path is not None:
            self.disk.images[self.path].sync()

    def excepthook(self, *what: Any) -> None:
        """See the disk's."""


class LikeSqlite3:
    """An apsw connection with the methods and the errors of `sqlite3`."""

    def __init__(self, path: str, vfs: str) -> None:
        self._connection = _as_sqlite3(lambda: apsw.Connection(path, vfs=vfs))

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> LikeCursor:
        return LikeCursor(_as_sqlite3(lambda: self._connection.execute(sql, values).fetchall()))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        _as_sqlite3(lambda: self._connection.executemany(sql, rows).fetchall())

    def close(self) -> None:
        _as_sqlite3(lambda: self._connection.close(True))


class LikeCursor:
    def __init__(self, rows: list[Any]) -> None:
        self.fetchall = lambda: rows


def _as_sqlite3(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except apsw.Error as error:
        like = sqlite3.OperationalError(str(error))
        like.sqlite_errorcode = error.extendedresult
        raise like from error
