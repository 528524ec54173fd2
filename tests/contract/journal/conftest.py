"""Every adapter, each test with an empty journal of its own."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract.journal.making import Open, open_journal
from postgres import Server

from hanse.journal import locks
from hanse.journal.port import Journal

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a journal or a descriptor open."""
    yield
    assert not locks._files
    gc.collect()
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert not [link for link in links if ".sqlite" in link]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal in a file may be made."""
    return tmp_path / "home" / "journal.sqlite"


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of a new database."""
    name = f"test{next(_numbers)}"
    server.run(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("database"))
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
def lose_lock(request: pytest.FixtureRequest, url: str) -> Callable[[], None]:
    """Lets a job's lock be lost without its holder knowing, as networks and file systems do."""

    def lose() -> None:
        if url.startswith("postgresql"):
            server = request.getfixturevalue("server")
            server.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{url.rpartition('/')[2]}'"
            )
            return
        Path(url.removeprefix("sqlite://") + ".locks").unlink(missing_ok=True)

    return lose
