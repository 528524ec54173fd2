"""Between the port's values and the database's rows.

A head has a column for each of its fields; `entries` counts a job's entries, so it is the number of
the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hanse.decoding import from_builtins
from hanse.errors import InternalError, JournalDamaged, NoSuchJob
from hanse.ids import JobId, job_number
from hanse.journal.port import Append, Entry, Head, Holder
from hanse.journal.seam import Connection, Row

FIELDS = Head.__struct_fields__
COLUMNS = tuple("username" if name == "user" else name for name in FIELDS)
HEAD = ", ".join(COLUMNS)
_KEPT = {"id", "name", "superseded"}  # what an append does not change
CHANGED = tuple(name for name in COLUMNS if name not in _KEPT)
_LATEST_S = 253_402_300_799.0  # the last second of the year 9999: no calendar has later ones
NOBODY_KNOWS = Holder("an unknown machine", 0, 0.0)
UPDATE = ", ".join(f"{name} = ?" for name in CHANGED)


def insert(sql: Connection, head: Head, holder: Holder) -> None:
    names = (*COLUMNS, "entries", "run", "holder_host", "holder_pid", "holder_since_s")
    row = (*values(head), 0, 0, text(holder.host), holder.pid, holder.since_s)
    marks = ", ".join("?" * len(names))
    sql.run(f"INSERT INTO jobs ({', '.join(names)}) VALUES ({marks})", row)


def next_run(sql: Connection, job: JobId, holder: Holder) -> int:
    sql.run(
        "UPDATE jobs SET run = run + 1, holder_host = ?, holder_pid = ?, holder_since_s = ?"
        " WHERE id = ?",
        (text(holder.host), holder.pid, holder.since_s, job),
    )
    rows = sql.run("SELECT run FROM jobs WHERE id = ?", (job,))
    if not rows:
        raise NoSuchJob(f"there is no job {job}")
    return int(rows[0][0])


def insert_entries(sql: Connection, job: JobId, entries: Sequence[Entry]) -> None:
    if entries:
        sql.many(
            "INSERT INTO entries (job, seq, body, seal, payload) VALUES (?, ?, ?, ?, ?)",
            [(job, one.seq, one.body, one.check, one.payload) for one in entries],
        )
    blobs = sorted({blob for one in entries for blob in one.blobs})
    if blobs:
        sql.many(
            "INSERT INTO blob_refs (job, blob) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(job, blob) for blob in blobs],
        )


def end(one: Append, there: int) -> int:
    """The number after the batch's last entry. Raises InternalError if it leaves a gap."""
    if not one.entries:
        return there
    first = one.entries[0].seq
    whole = all(entry.seq == first + i for i, entry in enumerate(one.entries))
    if not whole or first > there:
        raise InternalError(
            f"entries of job {one.head.id} leave a gap: {[entry.seq for entry in one.entries][:9]}"
            f" after {there}"
        )
    return first + len(one.entries)


def values(head: Head) -> tuple[Any, ...]:
    """A head's fields as its columns hold them."""
    return tuple(
        int(value) if isinstance(value, bool) else text(value) if isinstance(value, str) else value
        for value in (getattr(head, name) for name in FIELDS)
    )


def head(row: Row, where: str) -> Head:
    """A head from its columns. Raises JournalDamaged if they cannot be one."""
    values = dict(zip(FIELDS, row, strict=True))
    try:
        values["superseded"] = bool(values["superseded"])
        found = from_builtins(values, Head, builtin_types=(bytes,))  # else text is base64
        _check(found)
    except (msgspec.ValidationError, ValueError) as error:
        raise unreadable(values["id"], where, error) from None
    return found


def unreadable(job: object, where: str, error: BaseException | None) -> JournalDamaged:
    return JournalDamaged(
        f"the head of job {job!r} in {where} is damaged ({error}): remove that job (`hanse rm"
        f" {job}`), or put a copy of the journal in its place"
    )


def _check(head: Head) -> None:
    job_number(head.id)
    for name in ("created_s", "updated_s", "ended_s"):
        if not 0 <= (getattr(head, name) or 0) <= _LATEST_S:
            raise ValueError(f"{name} is {getattr(head, name)}, which is no time")
    for name in ("size", "total", "done", "failed", "stored_bytes"):
        if (getattr(head, name) or 0) < 0:
            raise ValueError(f"{name} is {getattr(head, name)}")


def damaged(job: object, name: object = "") -> Head:
    """What lists show of a job whose head is damaged."""
    return Head(
        id=JobId(str(job)), name=name if isinstance(name, str) else "", state="damaged",
        function="", script="", user="", host="", created_s=0.0, updated_s=0.0,
    )  # fmt: skip


def holder(row: Row) -> Holder:
    """A holder from its columns: whoever it is, the lock says that there is one."""
    try:
        found = from_builtins(dict(zip(Holder.__struct_fields__, row, strict=True)), Holder)
    except msgspec.ValidationError:
        return NOBODY_KNOWS
    return found if 0 <= found.since_s <= _LATEST_S else NOBODY_KNOWS


def text(text: str) -> str:
    """Text that any database takes: file names may hold bytes that are no text, names a zero."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
