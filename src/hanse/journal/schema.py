"""The tables, as numbered migrations: the same for every adapter, but for the names of types.

A version is never edited once it was released, because journals of it exist: what changes is a new
migration at the end. Each runs inside the transaction that records its number, so a journal is of
one version or the next, never between. `{int}`, `{real}`, `{bytes}`, `{serial}` and `{compact}` are
what an adapter calls a 64 bit number, a double, bytes, a key that counts up, and a table that is
its own index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hanse.errors import JournalDamaged, JournalVersion

Run = Callable[..., list[tuple[Any, ...]]]

ABOUT = "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL)"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # 1
        """CREATE TABLE jobs (
            number {serial}, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
            function TEXT NOT NULL, script TEXT NOT NULL, username TEXT NOT NULL,
            host TEXT NOT NULL, created_s {real} NOT NULL, updated_s {real} NOT NULL,
            ended_s {real}, state TEXT NOT NULL, size {int} NOT NULL, total {int},
            done {int} NOT NULL, failed {int} NOT NULL, stored_bytes {int} NOT NULL,
            summary {bytes} NOT NULL,
            entries {int} NOT NULL, run {int} NOT NULL, holder_host TEXT NOT NULL,
            holder_pid {int} NOT NULL, holder_since_s {real} NOT NULL)""",
        # The payload comes last: reading the columns before it does not touch its pages.
        """CREATE TABLE entries (
            job TEXT NOT NULL, seq {int} NOT NULL, body {bytes} NOT NULL, seal {bytes} NOT NULL,
            payload {bytes}, PRIMARY KEY (job, seq))""",
        """CREATE TABLE blob_refs (
            job TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (job, blob)){compact}""",
        "CREATE INDEX blob_refs_blob ON blob_refs (blob)",
    ),
    (  # 2: a name belongs to its newest job; running jobs can be asked something
        "ALTER TABLE jobs ADD COLUMN superseded {int} NOT NULL DEFAULT 0",
        """UPDATE jobs SET superseded = 1 WHERE name <> '' AND EXISTS (
            SELECT 1 FROM jobs AS newer WHERE newer.name = jobs.name
            AND newer.number > jobs.number)""",
        "CREATE UNIQUE INDEX jobs_name ON jobs (name) WHERE superseded = 0 AND name <> ''",
        "ALTER TABLE jobs ADD COLUMN asked {int} NOT NULL DEFAULT 0",
        """CREATE TABLE questions (
            job TEXT NOT NULL, number {int} NOT NULL, question TEXT NOT NULL, answer TEXT,
            PRIMARY KEY (job, number)){compact}""",
    ),
)
VERSION = len(MIGRATIONS)


def bring_forward(
    run: Run, types: Mapping[str, str], about: Mapping[str, str], where: str, to: int = VERSION
) -> None:
    """Make the tables what version `to` says, inside the caller's transaction.

    `about` is what the journal says of itself, empty for a new one. Raises JournalVersion if it is
    newer than this program.
    """
    found = version(about, where)
    if found > VERSION:
        raise JournalVersion(
            f"the journal {where} is of version {found} and this Hanse knows versions up to "
            f"{VERSION}: install a newer Hanse, or give this one another place (HANSE_HOME or "
            "HANSE_JOURNAL)"
        )
    for number in range(found, to):
        for statement in MIGRATIONS[number]:
            run(statement.format_map(types))
    if found < to:
        run("DELETE FROM about WHERE key = 'version'")
        run("INSERT INTO about (key, value) VALUES ('version', ?)", (str(to),))


def version(about: Mapping[str, str], where: str) -> int:
    """The version that a journal says it has; 0 for a new one."""
    text = about.get("version", "" if about else "0")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise JournalDamaged(
            f"the journal {where} does not say which version it has: put a copy of it in its place"
        )
    return int(text)
