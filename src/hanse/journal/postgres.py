"""The journal in a PostgreSQL database, in a schema of its own: for homes that many share.

A claim is an advisory lock of the session that writes, so the server gives it back when the session
ends, also when the machine of its holder vanished (keepalives). A session that broke is made anew
by the next call, which takes the locks again; a holder that has nothing to write makes one every
while, by looking for questions. Whoever claimed a job in between has changed its run, so an append
of ours is fenced. A COMMIT whose answer was lost is given again by the caller: entries
that are there already are no error.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from hanse import limits
from hanse.errors import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalUnavailable,
    NoSuchJob,
    UsageError,
)
from hanse.ids import JobId, job_number
from hanse.journal import schema
from hanse.journal.common import SqlJournal
from hanse.journal.seam import Connection, Row

_WAIT_MS = int(limits.JOURNAL_WAIT_S * 1000)
_SETTINGS = (
    "SET search_path TO hanse",
    "SET synchronous_commit TO on",
    f"SET lock_timeout TO {_WAIT_MS}",
    # A holder that stopped in the middle of a transaction does not keep others out for ever,
    f"SET idle_in_transaction_session_timeout TO {2 * _WAIT_MS}",
    # nor does one whose machine vanished.
    "SET tcp_keepalives_idle TO 10",
    "SET tcp_keepalives_interval TO 5",
    "SET tcp_keepalives_count TO 4",
)
_DEFAULTS = {  # what a URL may say otherwise: no call waits for ever for a server that is gone
    "connect_timeout": int(limits.JOURNAL_WAIT_S),
    "tcp_user_timeout": 2 * _WAIT_MS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "application_name": "hanse",
}
_LOCKS = 0x4841 << 48  # job ids are the lower 48 bits of a lock's number
_CREATING = 0x4842 << 48
_OPENING = _CREATING + 1
_opened: weakref.WeakSet[PostgresJournal] = weakref.WeakSet()
_FOR_GOOD = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password",
    "invalid ",
)


class PostgresJournal(SqlJournal):
    """The journal of everyone who has the URL."""

    types: ClassVar[Mapping[str, str]] = {
        "int": "BIGINT",
        "real": "DOUBLE PRECISION",
        "bytes": "BYTEA",
        "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "compact": "",
    }
    begin: ClassVar[str] = "BEGIN"
    for_update: ClassVar[str] = " FOR UPDATE"
    failures = (psycopg.Error,)

    def __init__(self, url: str) -> None:
        super().__init__()
        _opened.add(self)
        self._parameters = _parse(url)
        self.where = _shown(self._parameters)
        self._unlocked: set[JobId] = set()  # held, but the new session could not lock them yet
        try:
            with self.transaction() as sql:
                sql.run("SELECT pg_advisory_xact_lock(?)", (_OPENING,))
                self._bring_forward(sql)
                self.id = self._read_id(sql)
        except BaseException:
            self.close()
            raise

    def _bring_forward(self, sql: Connection) -> None:
        if sql.run("SELECT 1 WHERE to_regclass('hanse.about') IS NULL"):
            if sql.run("SELECT 1 WHERE to_regnamespace('hanse') IS NULL"):
                sql.run("CREATE SCHEMA hanse")
            sql.run(schema.ABOUT)
            schema.bring_forward(sql.run, self.types, {}, self.where)
            sql.run("INSERT INTO about VALUES ('id', ?)", (os.urandom(16).hex(),))
            return
        about: dict[str, str] = dict(sql.run("SELECT key, value FROM about"))
        if not about:
            raise JournalDamaged(
                f"the journal {self.where} does not say what it is: restore the table hanse.about"
            )
        schema.bring_forward(sql.run, self.types, about, self.where)

    def _read_id(self, sql: Connection) -> str:
        for (found,) in sql.run("SELECT value FROM about WHERE key = 'id'"):
            return str(found)
        raise JournalDamaged(
            f"the journal {self.where} has lost its id: restore the table hanse.about"
        )

    def hang_up(self) -> None:
        """In a forked child: let go of the parent's sessions without ending them. The server ends
        a session, and frees its locks, when the last process that has its socket is gone."""
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for connection in (self._reader, self._writer):
            if isinstance(connection, _Connection) and (fd := connection.fileno()) is not None:
                os.dup2(nowhere, fd, inheritable=False)
        os.close(nowhere)

    # --- what the seam wants ----------------------------------------------------------------------
    def dial(self, writing: bool) -> Connection:
        """See the seam."""
        try:
            connection = _Connection(psycopg.connect(**self._parameters, autocommit=True))
        except psycopg.Error as error:
            # Without its cause: that one's words are not ours to vouch for.
            raise self._unreachable(error) from None
        try:
            for setting in _SETTINGS:
                connection.run(setting)
            if writing:
                self._unlocked = set(self._held)
                self._lock_again(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lock_again(self, connection: Connection) -> None:
        """A session that broke may live on for a while on the server's side, locks and all: what
        cannot be locked now is tried again later. The run number guards the job meanwhile."""
        for job in sorted(self._unlocked):
            if _lock(connection, job):
                self._unlocked.discard(job)

    def look(self) -> None:
        """See the seam."""
        self._unlocked &= self._held
        if self._unlocked:
            self._lock_again(self.connected())

    def hold_on(self) -> None:
        """See the seam. It also keeps the session from being ended as an idle one."""
        with self._writing, self.translated():
            if not self._held:
                return
            connection = self.connected()
            try:
                connection.run("SELECT 1")
            except psycopg.Error:
                self.reset(connection)
                self.connected()
            self.look()

    def alone(self, sql: Connection) -> None:
        """See the seam."""
        sql.run("SELECT pg_advisory_xact_lock(?)", (_CREATING,))

    def lock(self, job: JobId) -> bool:
        """See the seam."""
        _number(job)
        connection = self.connected()
        try:
            return _lock(connection, job)
        except psycopg.Error:
            self.reset(connection)
            raise

    def unlock(self, job: JobId) -> None:
        """See the seam. A session that is gone has no locks."""
        self._unlocked.discard(job)
        if self._writer is None:
            return
        try:
            self._writer.run("SELECT pg_advisory_unlock(?)", (_number(job),))
        except psycopg.Error:
            self.reset(self._writer)

    def locked(self, job: JobId) -> bool:
        """See the seam."""
        number = _number(job)
        with self.reads() as sql:
            return bool(
                sql.run(
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    " AND classid::bigint = ? AND objid::bigint = ? AND objsubid = 1 AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())",
                    (number >> 32, number & 0xFFFFFFFF),
                )
            )

    def stored_bytes(self) -> int:
        """The tables with their indexes."""
        tables = ("jobs", "entries", "blob_refs", "questions")
        with self.reads() as sql:
            sizes = [sql.run("SELECT pg_total_relation_size(?::regclass)", (t,)) for t in tables]
        return sum(rows[0][0] for rows in sizes)

    # --- errors -----------------------------------------------------------------------------------
    def _unreachable(self, error: psycopg.Error) -> JournalError:
        words = self._words(error)
        if any(sign in words for sign in _FOR_GOOD):
            return JournalError(f"the journal {self.where} cannot be opened: {words}")
        return JournalUnavailable(f"the journal {self.where} cannot be reached: {words}")

    def translate(self, error: Exception) -> JournalError:
        """See the seam."""
        assert isinstance(error, psycopg.Error)
        state, words = error.sqlstate or "", self._words(error)
        if state in ("53100", "53200"):
            return JournalFull(
                f"the server of the journal {self.where} is out of room: {words}; make room there,"
                " or remove ended jobs (`hanse rm`); what was recorded before is kept"
            )
        if state in ("XX001", "XX002"):
            return JournalDamaged(f"the journal {self.where} is damaged: {words}")
        if state in ("42P01", "42703", "3F000"):  # a table, a column or the schema is gone
            return JournalDamaged(f"the journal {self.where} lacks what was made there: {words}")
        passing = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        if passing or state == "25006":  # a server that turned into one for reading
            return JournalUnavailable(f"the journal {self.where} cannot be reached: {words}")
        return JournalError(f"the journal {self.where} cannot be used: {words}")

    def _words(self, error: Exception) -> str:
        words = " ".join(str(error).split())
        password = str(self._parameters.get("password") or "")
        return words.replace(password, "***") if password else words


class _Connection:
    """A session of psycopg."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def fileno(self) -> int | None:
        try:
            return self._connection.fileno()
        except psycopg.Error:
            return None

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self._connection.execute(_marked(sql), values or None)
        return cursor.fetchall() if cursor.description else []

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_marked(sql), rows)

    def reset(self) -> bool:
        try:
            if self._connection.info.transaction_status != TransactionStatus.IDLE:
                self._connection.execute("ROLLBACK")
            return not self._connection.broken and not self._connection.closed
        except psycopg.Error:
            return False

    def close(self) -> None:
        try:
            self._connection.close()
        except psycopg.Error:
            pass  # the server ends it by itself


@lru_cache(maxsize=128)
def _marked(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _lock(connection: Connection, job: JobId) -> bool:
    return bool(connection.run("SELECT pg_try_advisory_lock(?)", (_number(job),))[0][0])


def _number(job: JobId) -> int:
    try:
        return _LOCKS + job_number(job)
    except ValueError as error:
        raise NoSuchJob(f"there is no job {job!r}: {error}") from None


def _parse(url: str) -> dict[str, Any]:
    """A URL's parameters. Its errors do not show it, because of the password that may be in it."""
    # Characters of a password that were not written as %40 and the like end up in a host, a port or
    # a database, which are shown: nothing that looks like it is taken.
    authority, _, rest = url.partition("://")[2].partition("/")
    try:
        found = conninfo_to_dict(url)
        odd = not str(found.get("port", "0")).replace(",", "").isdigit()
    except psycopg.Error:
        odd = True
    if odd or "@" in rest or authority.count("@") > 1 or "@" in authority.partition("?")[2]:
        raise UsageError(
            "the URL of the journal must be postgresql://user:password@host:port/database, with"
            " special characters of the password written as %40 and the like"
        )
    return {**_DEFAULTS, **found}


def _shown(parameters: Mapping[str, Any]) -> str:
    user, host, port = (str(parameters.get(key) or "") for key in ("user", "host", "port"))
    database = str(parameters.get("dbname") or "")
    return f"postgresql://{user}{'@' if user else ''}{host}{':' if port else ''}{port}/{database}"


def _hang_up() -> None:
    for journal in list(_opened):
        journal.hang_up()


os.register_at_fork(after_in_child=_hang_up)
