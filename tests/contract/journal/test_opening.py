"""Which journal a URL means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hanse.errors import UsageError
from hanse.journal.opening import open_journal


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_url_it_is_a_file_in_the_home_directory(url: str | None, tmp_path: Path) -> None:
    journal = open_journal(url, tmp_path / "home")
    assert journal.where == str(tmp_path / "home" / "journal.sqlite")
    journal.close()


def test_a_url_may_name_another_file(tmp_path: Path) -> None:
    journal = open_journal(f"sqlite://{tmp_path}/a b.sqlite", Path("/nonexistent"))
    assert (tmp_path / "a b.sqlite").exists()
    journal.close()


@pytest.mark.parametrize(
    "url", ["mysql://u:hunter2@h/d", "/a/path", "sqlite://", "sqlite://a.sqlite", "sqlite:///", "x"]
)
def test_anything_else_is_explained_without_being_shown(url: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///path") as caught:
        open_journal(url, Path("/nonexistent"))
    assert "hunter2" not in str(caught.value)


def test_no_database_is_loaded_before_a_journal_is_opened() -> None:
    text = (
        "import sys, hanse.journal.opening\n"
        "print([name for name in ('sqlite3', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
