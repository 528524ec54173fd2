"""Real clients, real worker processes, real scripts."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from system.nodes import Node
from system.pools import STANDARD, Make
from system.real import Script, until

import hanse


@pytest.fixture
def client() -> Iterator[hanse.Client]:
    with hanse.connect(resources=hanse.Resources(cpus=2)) as opened:
        yield opened


@pytest.fixture(params=["standard", "hanse"])
def make(request) -> Make:
    return STANDARD if request.param == "standard" else hanse.Executor


@pytest.fixture(params=["standard", "hanse", "client"])
def pool(request) -> Iterator[concurrent.futures.Executor]:
    if request.param == "client":
        with (
            hanse.connect(resources=hanse.Resources(cpus=2)) as client,
            client.executor() as executor,
        ):
            yield executor
        return
    with (STANDARD if request.param == "standard" else hanse.Executor)(2) as executor:
        yield executor


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a process or a shared memory file behind."""
    before, children = shared_memory(), {child.pid for child in psutil.Process().children()}
    yield
    left = [each for child in started_since(children) for each in family(child)]
    _gone, alive = psutil.wait_procs(left, timeout=60)
    assert not alive
    until(lambda: shared_memory() <= before)  # others on this machine have some for a moment


def started_since(children: set[int]) -> list[psutil.Process]:
    """Our children but for those, and but for a database server, which serves several tests."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            ours = any("hanse-postgres-" in word for word in child.cmdline())
            if child.pid not in children and not ours:
                found.append(child)
    return found


def family(child: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child, *child.children(recursive=True)]
    return []


_FOREIGN = ("PostgreSQL.", "sem.mp-", ".org.chromium", ".com.google", "plasma", "ray")


def shared_memory() -> set[str]:
    names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    # Those of other tests that run beside these: a server's own, a browser's, Ray's, and
    # the locks of multiprocessing. Hanse uses none of these.
    return {name for name in names if not name.startswith(_FOREIGN)}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    started = Node(tmp_path / "there").start()
    yield started
    started.close()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run a program's text as a script of its own, as a user would."""

    def run(text: str, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text))
        return subprocess.run(
            [sys.executable, "-W", "error", str(path), *args],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    return run
