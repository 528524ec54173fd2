"""`hanse.checkpoint()`: a later attempt of an item starts from what an earlier one saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from system.command import environment
from system.real import until
from system.test_links import Hosts, link, ran_at, read

import hanse

STEPS = 6


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.close()


def note(ledger: str, item: int) -> None:
    with open(ledger, "a") as file:
        file.write(f"{item} {os.environ.get('HANSE_HOME', '-')}\n")


def steps(item: int, end: str) -> tuple[int, int]:
    """Saves after each step, and fails in the middle the first time. Returns where it began."""
    ckpt = hanse.checkpoint()
    began = done = ckpt.load(0)
    while done < STEPS:
        done += 1
        ckpt.save(done)
        assert ckpt.load() == done
        if done == 4 and began == 0 and item % 3 == 0:
            if end == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError(end)
    return item, began


@pytest.mark.parametrize("end", ["raises", "dies"])
def test_an_item_that_failed_starts_from_what_it_saved(end: str) -> None:
    with hanse.connect() as client:
        found = client.map(partial(steps, end=end), range(7), retries=1)
        assert list(found) == [(item, 0 if item % 3 else 4) for item in range(7)]


def large(item: int) -> int:
    """A megabyte of an array, beside values that share it."""
    ckpt = hanse.checkpoint()
    state = ckpt.load()
    if state is None:
        array = np.arange(1 << 17)
        ckpt.save({"one": array, "other": array, "item": item})
        array[:] = 0  # what is saved is what it was
        raise RuntimeError("again")
    assert (state["one"] == np.arange(1 << 17)).all()
    return int(state["item"])


def test_large_values_are_saved_as_they_are() -> None:
    with hanse.connect() as client:
        assert list(client.map(large, range(5), retries=1)) == list(range(5))


def unsendable(item: int) -> str:
    ckpt = hanse.checkpoint()
    try:
        ckpt.save(lambda: item if item else sys._getframe())
        ckpt.save(sys._getframe())
    except hanse.PickleError as error:
        ckpt.save(7)
        return type(error).__name__
    return ""


def test_a_value_that_cannot_be_pickled_is_refused_where_it_is_saved() -> None:
    with hanse.connect() as client:
        assert list(client.map(unsendable, [1])) == ["PickleError"]


def test_outside_of_a_job_a_function_with_checkpoints_works_too() -> None:
    assert steps(1, "") == (1, 0)
    assert not hanse.checkpoint().due()


def walks(item: int, ledger: str, gate: str) -> list[int]:
    """Steps that each say so; waits behind the third until it may go on."""
    ckpt = hanse.checkpoint()
    made: list[int] = ckpt.load([])
    while len(made) < STEPS:
        made.append(os.getpid())
        ckpt.save(made)
        note(ledger, len(made))
        while len(made) == 3 and not os.path.exists(gate):
            time.sleep(0.02)
    return made


PROGRAM = """
import sys
import hanse
from functools import partial
from system.test_checkpoints import walks
with hanse.connect() as client:
    job = client.map(partial(walks, ledger=sys.argv[1], gate=sys.argv[2]), [0], name="walks")
    (made,) = job
    print(len(set(made)), len(made))
"""


def test_a_program_that_was_killed_goes_on_within_its_items(
    tmp_path: Path, hanse_home: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    command = [sys.executable, "-c", PROGRAM, str(ledger), str(gate)]
    paths = os.pathsep.join(sys.path)
    env = environment(hanse_home, PYTHONPATH=paths)
    first = subprocess.Popen(command, env=env, process_group=0)
    saved = hanse_home / "saved"
    until(lambda: len(read(ledger)) == 3)
    until(lambda: any(saved.glob("j-*/0")))
    time_of = next(saved.glob("j-*/0")).stat  # the third may still be on its way
    until(lambda: time_of().st_mtime < time.time() - 0.5)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    gate.touch()
    second = subprocess.run(
        command, check=False, env=env, capture_output=True, text=True, timeout=60
    )
    assert second.stdout.split() == ["2", "6"], second.stderr
    assert [step for step, _ in read(ledger)] == [1, 2, 3, 4, 5, 6], "no step was made twice"
    assert not list(saved.glob("j-*")), "what is done needs no place"


def until_wanted(item: int, ledger: str) -> list[int]:
    """Two steps, of which the second is saved only when somebody asks for it."""
    ckpt = hanse.checkpoint()
    made: list[int] = ckpt.load([])
    if not made:
        ckpt.save([1])
        note(ledger, item)
        while not ckpt.due():
            time.sleep(0.02)
        ckpt.save([1, 2])
        while True:  # it cannot end here
            time.sleep(0.02)
    return [*made, 3]


def test_a_machine_that_takes_over_starts_from_what_was_saved_at_one_that_was_taken_away(
    hosts: Hosts, tmp_path: Path
) -> None:
    home, ledger, file = hosts.node("home", "--no-work"), tmp_path / "ledger", tmp_path / "evict"
    site = hosts.node("site", "--cpus", "1", "--evict-file", str(file))
    link(site, home)
    with home.connect() as client:
        job = client.map(partial(until_wanted, ledger=str(ledger)), [0])
        until(lambda: ran_at(site, ledger))
        file.write_text("6")
        other = hosts.node("other")
        link(other, home)
        assert list(job) == [[1, 2, 3]]
    until(lambda: not list((home.home / "node" / "saved").glob("j-*")))


def at_the_end(item: int) -> int:
    """Saves much, and fails at once: that is soon said, and what it saved takes a while."""
    ckpt = hanse.checkpoint()
    if (made := ckpt.load(None)) is None:
        ckpt.save(np.ones(4_000_000))
        raise RuntimeError("again")
    return int(made.sum())


def test_what_an_item_at_a_link_saves_at_its_very_end_is_there_for_the_next_attempt(
    hosts: Hosts,
) -> None:
    home, site = hosts.node("home", "--no-work"), hosts.node("site", "--cpus", "1")
    link(site, home)
    with home.connect() as client:
        assert list(client.map(at_the_end, range(4), retries=1)) == [4_000_000] * 4
