"""What all tests share: no test touches the user's own state directory, and one database server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from packages import offline, wheel
from postgres import Server, serving


@pytest.fixture(autouse=True)
def hanse_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "hanse-home"
    monkeypatch.setenv("HANSE_HOME", str(home))
    for name in ("HANSE_JOURNAL", "HANSE_QUOTA", "HANSE_FRESH"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages that uv finds, and no others: `tiny` in two versions."""
    made = tmp_path / "index"
    for version in ("1.0", "2.0"):
        wheel(made, "tiny", version)
    for name, value in offline(made, tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL, installed if it is not there; tests that need it say so."""
    with serving() as started:
        yield started
