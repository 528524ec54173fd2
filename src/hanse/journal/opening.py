"""Which journal: from HANSE_JOURNAL, or the file in the home directory."""

from __future__ import annotations

from pathlib import Path

from hanse.errors import UsageError
from hanse.journal.port import Journal

FILE = "journal.sqlite"


def open_journal(url: str | None, home: Path) -> Journal:
    """The journal that a URL names: sqlite:///path/of/a/file, or postgresql://user@host/database;
    without one the file in the home directory. Raises UsageError, JournalError."""
    if not url:
        return _sqlite(home / FILE)
    scheme, slashes, rest = url.partition("://")
    if scheme == "sqlite" and slashes and rest.startswith("/") and len(rest) > 1:
        return _sqlite(Path(rest))
    if scheme in ("postgresql", "postgres") and slashes:
        return _postgres(url)
    raise UsageError(  # without the URL, which may hold a password
        "HANSE_JOURNAL must be sqlite:///path/of/a/file or postgresql://user@host/database;"
        f" this one begins with {scheme + slashes if slashes else 'no scheme'!r}"
    )


def _sqlite(path: Path) -> Journal:
    from hanse.journal.sqlite import SqliteJournal  # so that who has no journal loads no SQLite

    return SqliteJournal(path)


def _postgres(url: str) -> Journal:
    try:
        from hanse.journal.postgres import PostgresJournal
    except ImportError as error:
        raise UsageError(
            f"a journal in PostgreSQL needs psycopg ({error}): pip install 'hanse[postgres]'"
        ) from error
    return PostgresJournal(url)
