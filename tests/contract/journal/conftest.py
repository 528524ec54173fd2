"""Every adapter, each test with an empty journal of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from journal.making import Open, open_journal

from hanse.journal.port import Journal


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/home/journal.sqlite"


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Opens the same journal once more; all are closed at the end."""
    made: list[Journal] = []

    def open_it() -> Journal:
        made.append(open_journal(url, Path("/nonexistent")))
        return made[-1]

    yield open_it
    for one in made:
        one.close()


@pytest.fixture
def journal(opened: Open) -> Journal:
    return opened()


@pytest.fixture
def lose_lock(url: str) -> Callable[[], None]:
    """Lets a job's lock be lost without its holder knowing, as networks and file systems do."""

    def lose() -> None:
        Path(url.removeprefix("sqlite://") + ".locks").unlink()

    return lose
