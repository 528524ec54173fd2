"""Between the port's values and the database's rows.

A head has a column for each of its fields; `entries` counts a job's entries, so it is the number of
the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hanse.errors import InternalError, NoSuchJob
from hanse.ids import JobId
from hanse.journal.port import Append, Entry, Head, Holder
from hanse.journal.seam import Connection

FIELDS = Head.__struct_fields__
COLUMNS = tuple("username" if name == "user" else name for name in FIELDS)
HEAD = ", ".join(COLUMNS)
_KEPT = {"id", "name", "superseded"}  # what an append does not change
CHANGED = tuple(name for name in COLUMNS if name not in _KEPT)
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


def text(text: str) -> str:
    """Text that any database takes: file names may hold bytes that are no text, names a zero."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
