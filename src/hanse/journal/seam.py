"""What an adapter has to bring: connections, transactions, locks, and names for its errors.

The rest, all SQL included, is in `hanse.journal.common`. Statements use `?`; an adapter whose
driver wants something else replaces it.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

from hanse.errors import JournalError
from hanse.ids import JobId

Row = tuple[Any, ...]


class Connection(Protocol):
    """One connection to the database, used by one thread at a time."""

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a statement; returns all its rows."""

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row."""

    def reset(self) -> bool:
        """Roll back what is open. False if the connection is of no more use. Raises nothing."""

    def close(self) -> None:
        """Let go. Raises nothing."""


class Transactions(ABC):
    """A connection that writes and one that reads, each made when it is first used, each under a
    lock, and each made anew on the next call after it broke."""

    where: str
    id: str
    types: ClassVar[Mapping[str, str]]  # for hanse.journal.schema
    begin: ClassVar[str]
    for_update: ClassVar[str] = ""  # what makes a SELECT hold its rows until the transaction ends
    failures: tuple[type[Exception], ...]  # what `translate` takes

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._writing = threading.RLock()
        self._reading = threading.RLock()
        self._writer: Connection | None = None
        self._reader: Connection | None = None

    # --- what an adapter brings ------------------------------------------------------------------
    @abstractmethod
    def dial(self, writing: bool) -> Connection:
        """A new connection to the same journal as before."""

    @abstractmethod
    def translate(self, error: Exception) -> JournalError:
        """One of the driver's errors in Hanse's words."""

    @abstractmethod
    def lock(self, job: JobId) -> bool:
        """Take the job's lock; False if anyone else has it. Called while writing is ours."""

    @abstractmethod
    def unlock(self, job: JobId) -> None:
        """Give the job's lock back. Called while writing is ours."""

    @abstractmethod
    def locked(self, job: JobId) -> bool:
        """Whether anyone has the job's lock, without taking it."""

    @abstractmethod
    def look(self) -> None:
        """Called before each transaction: whether all is as it was. Raises JournalError."""

    def kept(self) -> None:  # noqa: B027 - most have nothing to do
        """Called after each COMMIT, before anybody is told of it. Raises JournalError if what was
        committed may be lost all the same."""

    def hold_on(self) -> None:  # noqa: B027 - most lose no locks
        """See that the locks of what was claimed are still ours, and take again what was lost."""

    @abstractmethod
    def alone(self, sql: Connection) -> None:
        """Let no other transaction that calls this run beside it."""

    # --- what it gets -----------------------------------------------------------------------------
    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Everything in the block, durable when it ends, or nothing of it."""
        with self._writing, self.translated():
            connection = self.connected()
            self.look()
            try:
                connection.run(self.begin)
                yield connection
                connection.run("COMMIT")
                self.kept()
            except BaseException:
                self.reset(connection)
                raise

    def connected(self) -> Connection:
        """The connection that writes. Called while writing is ours."""
        self.usable()
        if self._writer is None:
            self._writer = self.dial(writing=True)
        return self._writer

    @contextmanager
    def reads(self) -> Iterator[Connection]:
        """Statements that only read, each by itself."""
        with self._reading, self.translated():
            self.usable()
            if self._reader is None:
                self._reader = self.dial(writing=False)
            connection = self._reader
            try:
                yield connection
            except BaseException:
                self.reset(connection)
                raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The driver's errors leave the block in Hanse's words."""
        try:
            yield
        except self.failures as error:
            raise self.translate(error) from error

    def usable(self) -> None:
        """Raises JournalError if this object may not be used (any more)."""
        if self._closed:
            raise JournalError(f"the journal {self.where} was closed by this program")
        if os.getpid() != self._pid:
            raise JournalError(
                f"the journal {self.where} was opened by the process that this one was forked "
                "from: open it here anew"
            )

    def disconnect(self) -> None:
        """Close both connections; the next call makes new ones."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    def reset(self, connection: Connection) -> None:
        if connection.reset():
            return
        connection.close()
        if connection is self._writer:
            self._writer = None
        if connection is self._reader:
            self._reader = None
