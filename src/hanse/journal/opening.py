"""Which journal: from HANSE_JOURNAL, or the file in the home directory."""

from __future__ import annotations

import os
from pathlib import Path

from hanse.errors import UsageError
from hanse.journal.port import Journal

FILE = "journal.sqlite"


def open_journal(url: str | None, home: Path) -> Journal:
    """The journal that a URL names: sqlite:///path/of/a/file, or postgresql://user@host/database;
    without one the file in the home directory. Raises UsageError, JournalError."""
    path = _file(url, home)
    if path is not None:
        return _sqlite(path)
    assert url
    scheme, slashes, _ = url.partition("://")
    if scheme in ("postgresql", "postgres") and slashes:
        return _postgres(url)
    raise UsageError(  # without the URL, which may hold a password
        "HANSE_JOURNAL must be sqlite:///path/of/a/file or postgresql://user@host/database;"
        f" this one begins with {scheme + slashes if slashes else 'no scheme'!r}"
    )


def is_own(url: str | None, home: Path) -> bool:
    """Whether this is the journal of the home directory itself, and no other can be."""
    path = _file(url, home)
    return path is not None and os.path.realpath(path) == os.path.realpath(home / FILE)


def may_be_there(url: str | None, home: Path) -> bool:
    """False if opening it would make it. A file that is gone, while others say that it was there,
    is none that can be made: so it may. A database is only known by opening it."""
    path = _file(url, home)
    return path is None or any(_may_exist(f"{path}{end}") for end in ("", "-wal", ".id"))


def _may_exist(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except OSError:
        pass  # whoever opens it will say what is wrong
    return True


def _file(url: str | None, home: Path) -> Path | None:
    """The file that the URL names; None if it names something else."""
    if not url:
        return home / FILE
    scheme, slashes, rest = url.partition("://")
    if scheme == "sqlite" and slashes and rest.startswith("/") and len(rest) > 1:
        return Path(rest)
    return None


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
