"""What all journals in SQL do alike: everything in the port, over an adapter's few primitives.

Each job has one row (its head, how many entries it has, its run and its last holder) and its
entries have one each. An append reads and changes the job's row in the transaction that adds the
entries, so it knows for certain whether it is late (another run), repeated, or next.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from hanse import limits
from hanse.errors import (
    Fenced,
    JobBusy,
    JournalDamaged,
    NameTaken,
    NoSuchJob,
)
from hanse.ids import BlobId, JobId
from hanse.journal import columns
from hanse.journal.port import Append, Entry, Head, Holder
from hanse.journal.seal import sound
from hanse.journal.seam import Connection, Row, Transactions

_CHUNK = 500  # names in one statement: drivers allow some thousand values


class SqlJournal(Transactions):
    """A journal in a database that speaks SQL. See `hanse.journal.port` for what it promises."""

    def __init__(self) -> None:
        super().__init__()
        self._held: set[JobId] = set()  # what this object claimed; guarded by self._writing

    # --- who writes -------------------------------------------------------------------------------
    def create(self, head: Head, holder: Holder, older: JobId | None = None) -> int:
        """See the port. A repeated call, after an error, finds its job there and claims it."""
        with (
            self._writing,
            self._taking(head.id),
            ExitStack() as locks,  # they are given back after the transaction
            self.transaction() as sql,
        ):
            self.alone(sql)
            for (old,) in sql.run(
                "SELECT id FROM jobs WHERE name = ? AND name <> '' AND superseded = 0 AND id <> ?",
                (columns.text(head.name), head.id),
            ):
                if old != older:
                    raise self._taken(head.name, JobId(old))
                locks.enter_context(self._locking(JobId(old)))
                sql.run("UPDATE jobs SET superseded = 1 WHERE id = ?", (old,))
            if not sql.run("SELECT 1 FROM jobs WHERE id = ?", (head.id,)):
                columns.insert(sql, head, holder)
            return columns.next_run(sql, head.id, holder)

    def claim(self, job: JobId, holder: Holder) -> int:
        """See the port. Who holds the job already gets a new run number."""
        with self._writing, self._taking(job), self.transaction() as sql:
            return columns.next_run(sql, job, holder)

    def release(self, job: JobId) -> None:
        """See the port."""
        with self._writing:
            if job in self._held:
                self._held.discard(job)
                self._give(job)

    def remove(self, job: JobId) -> None:
        """See the port."""
        with self._writing, self._locking(job), self.transaction() as sql:
            for table in ("entries", "blob_refs", "questions"):
                sql.run(f"DELETE FROM {table} WHERE job = ?", (job,))
            sql.run("DELETE FROM jobs WHERE id = ?", (job,))

    @contextmanager
    def _taking(self, job: JobId) -> Iterator[None]:
        """The job is ours from here on, unless the block raises."""
        if job in self._held:
            yield
            return
        self._take(job)
        try:
            yield
        except BaseException:
            self._give(job)
            raise
        self._held.add(job)

    @contextmanager
    def _locking(self, job: JobId) -> Iterator[None]:
        """The job's lock for a block. Raises JobBusy, also if this object holds the job."""
        self._take(job)
        try:
            yield
        finally:
            self._give(job)

    def _take(self, job: JobId) -> None:
        with self.translated():
            self.usable()
            if job in self._held or not self.lock(job):
                raise self._busy(job)

    def _give(self, job: JobId) -> None:
        with self.translated():
            self.unlock(job)

    def _taken(self, name: str, job: JobId) -> JobBusy:
        if self.locked(job):
            return self._busy(job)
        return NameTaken(
            f"another program made a job {name!r} ({job}) just now: run this one again to go on"
            " with that one, or give the new job another name"
        )

    def _busy(self, job: JobId) -> JobBusy:
        found = self._name_and_holder(job)
        if found is None:
            return JobBusy(f"job {job} is being made or removed by another process; try again")
        name, holder = found
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since_s))
        return JobBusy(
            f"job {name or job!r} ({job}) is run by process {holder.pid} on {holder.host}"
            f" since {since}: wait for it, or stop it with `hanse cancel {job}`"
        )

    # --- writing ----------------------------------------------------------------------------------
    def append(self, batch: Sequence[Append]) -> None:
        """See the port."""
        with self.transaction() as sql:
            for one in sorted(batch, key=lambda one: one.head.id):  # one order: nobody deadlocks
                self._append(sql, one)

    def _append(self, sql: Connection, one: Append) -> None:
        job = one.head.id
        rows = sql.run(f"SELECT run, entries FROM jobs WHERE id = ?{self.for_update}", (job,))
        if not rows or rows[0][0] != one.run:
            raise Fenced(self._fenced(one, rows))
        there: int = rows[0][1]
        end = columns.end(one, there)
        again = [entry for entry in one.entries if entry.seq < there]
        if again:
            self._same(sql, job, again)
        columns.insert_entries(sql, job, [entry for entry in one.entries if entry.seq >= there])
        if end >= there:  # else it was repeated after later ones, whose head is newer
            values = dict(zip(columns.COLUMNS, columns.values(one.head), strict=True))
            sql.run(
                f"UPDATE jobs SET {columns.UPDATE}, entries = ? WHERE id = ?",
                (*(values[name] for name in columns.CHANGED), end, job),
            )

    def _fenced(self, one: Append, rows: list[Row]) -> str:
        if not rows:
            return f"job {one.head.id} was removed from the journal while it ran"
        return (
            f"job {one.head.name or one.head.id!r} ({one.head.id}) was taken over by another run"
            f" (number {rows[0][0]}, this is {one.run}): this one can record nothing any more;"
            " what it had recorded is kept"
        )

    def _same(self, sql: Connection, job: JobId, again: Sequence[Entry]) -> None:
        """What is given again must be what is there."""
        found: dict[int, bytes] = dict(
            sql.run(
                "SELECT seq, seal FROM entries WHERE job = ? AND seq >= ? AND seq <= ?",
                (job, again[0].seq, again[-1].seq),
            )
        )
        for entry in again:
            if found.get(entry.seq) != entry.check:
                raise JournalDamaged(
                    f"entry {entry.seq} of job {job} in {self.where} is not what this program"
                    " wrote there: run `hanse doctor`, and start the job over with fresh=True"
                )

    # --- reading ----------------------------------------------------------------------------------
    def find(self, id_or_name: str) -> Head | None:
        """See the port."""
        try:
            rows = self._found(columns.HEAD, columns.text(id_or_name))
        except JournalDamaged as error:  # such as text that is none
            for (job,) in self._found("id", columns.text(id_or_name)):
                raise columns.unreadable(job, self.where, error.__cause__) from error
            raise
        return columns.head(rows[0], self.where) if rows else None

    def _found(self, what: str, text: str) -> list[Row]:
        with self.reads() as sql:
            return sql.run(
                f"SELECT {what} FROM jobs WHERE id = ? OR (name = ? AND name <> '' AND"
                " superseded = 0) ORDER BY (id = ?) DESC, number DESC LIMIT 1",
                (text, text, text),
            )

    def heads(self, limit: int = 1000) -> list[Head]:
        """See the port. Newest is what was made last, whatever clocks say."""
        newest = "FROM jobs ORDER BY number DESC LIMIT ?"
        try:
            with self.reads() as sql:
                rows = sql.run(f"SELECT {columns.HEAD} {newest}", (limit,))
        except JournalDamaged:  # such as text that is none: the others can still be read
            with self.reads() as sql:
                ids = sql.run(f"SELECT id {newest}", (limit,))
            return [self._listed(JobId(job)) for (job,) in ids]
        return [self._shown(row) for row in rows]

    def _listed(self, job: JobId) -> Head:
        try:
            return self.find(job) or columns.damaged(job)
        except JournalDamaged:
            return columns.damaged(job)

    def _shown(self, row: Row) -> Head:
        try:
            return columns.head(row, self.where)
        except JournalDamaged:
            return columns.damaged(*row[:2])

    def holder(self, job: JobId) -> Holder | None:
        """See the port."""
        with self.translated():
            self.usable()
            if not self.locked(job):
                return None
        found = self._name_and_holder(job)
        return found[1] if found else None

    def _name_and_holder(self, job: JobId) -> tuple[str, Holder] | None:
        try:
            with self.reads() as sql:
                rows = sql.run(
                    "SELECT name, holder_host, holder_pid, holder_since_s FROM jobs WHERE id = ?",
                    (job,),
                )
        except JournalDamaged:
            return "", columns.NOBODY_KNOWS
        return (str(rows[0][0]), columns.holder(rows[0][1:])) if rows else None

    def read(self, job: JobId, first: int = 0) -> Iterator[Entry]:
        """See the port. No lock is held between entries."""
        rows: list[Row] = [()]
        while rows:
            with self.reads() as sql:
                count = sql.run("SELECT entries FROM jobs WHERE id = ?", (job,))
                rows = sql.run(
                    "SELECT seq, body, seal FROM entries WHERE job = ? AND seq >= ?"
                    " ORDER BY seq LIMIT ?",
                    (job, first, limits.JOURNAL_READ_ROWS),
                )
            if not count:
                raise NoSuchJob(f"there is no job {job} in the journal {self.where}")
            for row in rows:
                yield self._sound(job, first, Entry(*row))
                first += 1
        if first < count[0][0]:
            raise self._lost(job, first)

    def _sound(self, job: JobId, seq: int, entry: Entry) -> Entry:
        if entry.seq != seq:
            raise self._lost(job, seq)
        if not (isinstance(entry.body, bytes) and sound(job, entry)):
            raise JournalDamaged(
                f"entry {seq} of job {job} in {self.where} is not what was written: start that"
                " job over with fresh=True, or put a copy of the journal in its place; other jobs"
                " are not touched by it"
            )
        return entry

    def _lost(self, job: JobId, seq: int) -> JournalDamaged:
        return JournalDamaged(
            f"entry {seq} of job {job} is missing in {self.where}: start that job over with"
            " fresh=True, or put a copy of the journal in its place; other jobs are not touched"
        )

    def payloads(self, job: JobId, seqs: Sequence[int]) -> list[bytes]:
        """See the port."""
        found: list[bytes] = []
        size = 0
        for seq in seqs:
            if size >= limits.PAYLOADS_BYTES:
                break
            found.append(self._payload(job, seq))
            size += len(found[-1])
        return found

    def _payload(self, job: JobId, seq: int) -> bytes:
        with self.reads() as sql:
            rows = sql.run("SELECT payload FROM entries WHERE job = ? AND seq = ?", (job, seq))
        if not rows or not isinstance(rows[0][0], bytes):
            raise JournalDamaged(f"entry {seq} of job {job} in {self.where} has no payload")
        return rows[0][0]

    def blobs(self) -> Iterator[BlobId]:
        """See the port. No lock is held between them."""
        last = ""
        while True:
            with self.reads() as sql:
                rows = sql.run(
                    "SELECT DISTINCT blob FROM blob_refs WHERE blob > ? ORDER BY blob LIMIT ?",
                    (last, limits.JOURNAL_READ_ROWS),
                )
            if not rows:
                return
            yield from (BlobId(blob) for (blob,) in rows)
            last = rows[-1][0]

    # --- asking a running job ---------------------------------------------------------------------
    def ask(self, job: JobId, question: str) -> int:
        """See the port. Raises NoSuchJob."""
        with self.transaction() as sql:
            sql.run("UPDATE jobs SET asked = asked + 1 WHERE id = ?", (job,))
            rows = sql.run("SELECT asked FROM jobs WHERE id = ?", (job,))
            if not rows:
                raise NoSuchJob(f"there is no job {job} in the journal {self.where}")
            number = int(rows[0][0])
            sql.run(
                "INSERT INTO questions (job, number, question) VALUES (?, ?, ?)",
                (job, number, columns.text(question)),
            )
            sql.run(
                "DELETE FROM questions WHERE job = ? AND number <= ?",
                (job, number - limits.QUESTIONS_KEPT),
            )
        return number

    def questions(self, jobs: Iterable[JobId]) -> Mapping[JobId, tuple[int, str]]:
        """See the port."""
        self.hold_on()
        wanted = list(jobs)
        found: dict[JobId, tuple[int, str]] = {}
        for start in range(0, len(wanted), _CHUNK):
            some = wanted[start : start + _CHUNK]
            marks = ", ".join("?" * len(some))
            with self.reads() as sql:
                rows = sql.run(
                    "SELECT job, number, question FROM questions WHERE answer IS NULL"
                    f" AND job IN ({marks}) ORDER BY number",
                    some,
                )
            found.update((JobId(job), (number, question)) for job, number, question in rows)
        return found

    def answer(self, job: JobId, number: int, text: str) -> None:
        """See the port."""
        with self.transaction() as sql:
            sql.run(
                "UPDATE questions SET answer = ? WHERE job = ? AND number = ?",
                (columns.text(text), job, number),
            )

    def answered(self, job: JobId, number: int) -> str | None:
        """See the port."""
        with self.reads() as sql:
            rows = sql.run(
                "SELECT answer FROM questions WHERE job = ? AND number = ?", (job, number)
            )
        return rows[0][0] if rows else None

    # --- the whole --------------------------------------------------------------------------------
    def check(self) -> list[str]:
        """See the port. Reads everything but payloads, whose digests are in bodies."""
        found = self.damages()
        try:
            with self.reads() as sql:
                jobs = sql.run("SELECT id FROM jobs ORDER BY number")
                strays = sql.run(
                    "SELECT DISTINCT job FROM entries WHERE job NOT IN (SELECT id FROM jobs)"
                )
        except JournalDamaged as error:
            return [*found, str(error)]
        found += [f"entries of job {job} belong to no job in {self.where}" for (job,) in strays]
        return found + [line for (job,) in jobs for line in self._damages_of(JobId(job))]

    def damages(self) -> list[str]:
        """What the database itself finds damaged."""
        return []

    def _damages_of(self, job: JobId) -> list[str]:
        try:
            self.find(job)
            for _ in self.read(job):
                pass
        except JournalDamaged as error:
            return [str(error)]
        except NoSuchJob:  # removed meanwhile
            pass
        return []

    def close(self) -> None:
        """See the port."""
        with self._writing, self._reading:
            if self._closed:
                return
            for job in list(self._held):
                self.release(job)
            self._closed = True
            self.disconnect()
