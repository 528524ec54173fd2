"""Coming back to a job that a node runs: all results, as they come, and nothing is taken over."""

from __future__ import annotations

import operator
import threading
import time
from itertools import islice

import pytest
from system.programs import Program
from system.real import until

import hanse


@pytest.fixture
def first(node):
    with node.connect() as opened:
        yield opened


@pytest.fixture
def second(node):
    with node.connect() as opened:
        yield opened


def square(x):
    return x * x


def odd_fails(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


class SlowSquare:
    def __init__(self, gate, free):
        self.gate, self.free = gate, free

    def __call__(self, x):
        while x >= self.free and not self.gate.exists():
            time.sleep(0.01)
        return x * x


@pytest.fixture
def fed(first, tmp_path):
    """A job of which 100 items are done, 100 wait, and more come when it is released."""
    release = threading.Event()

    def inputs():
        yield from range(200)
        release.wait()
        yield from range(200, 300)

    job = first.map(SlowSquare(tmp_path / "gate", 100), inputs(), name="fed")

    def let_go():
        (tmp_path / "gate").touch()
        release.set()

    job.let_go = let_go
    until(lambda: job.progress().done >= 90)
    yield job
    let_go()
    job.join()


SQUARES = [x * x for x in range(300)]


def test_a_running_job_is_watched_from_its_first_result_on(fed, second):
    seen = second.job("fed")
    assert seen.id == fed.id
    assert seen.state == "running"
    assert list(islice(seen, 90)) == SQUARES[:90]
    assert second.job("fed") is seen
    fed.let_go()
    assert list(seen) == SQUARES[90:]
    assert list(fed) == SQUARES  # and it is fed as before
    assert seen.state == "done"


def test_letting_go_of_a_watched_job_does_not_stop_it(fed, second):
    seen = second.job("fed")
    assert next(iter(seen)) == 0
    del seen
    second.close()
    fed.let_go()
    assert list(fed) == SQUARES


def test_a_watched_job_is_reduced_here(fed, second):
    seen = second.job("fed")
    fed.let_go()
    assert seen.reduce(operator.add) == sum(SQUARES)
    fed.join()
    assert second.job("fed").reduce(operator.add) == sum(SQUARES)
    assert second.map(square, [3]).reduce(operator.add) == 9  # the client is as good as new


def test_a_watched_job_can_be_cancelled(fed, second):
    seen = second.job("fed")
    seen.cancel()
    with pytest.raises(hanse.JobCancelled):
        list(seen)
    fed.join()
    assert fed.state == "cancelled"


def test_failures_are_watched_too(first, second, tmp_path):
    def waits(x):
        while not (tmp_path / "gate").exists():
            time.sleep(0.01)
        return odd_fails(x)

    for name, on_error in (("all", "collect"), ("one", "raise")):
        (tmp_path / "gate").unlink(missing_ok=True)
        job = first.map(waits, range(6), name=name, on_error=on_error)
        until(lambda job=job: job.progress().running > 0)
        seen = second.job(name)
        (tmp_path / "gate").touch()
        if on_error == "collect":
            assert [type(x) for x in seen] == [int, ValueError] * 3
        else:
            with pytest.raises(ValueError, match="is odd"):
                list(seen)
        job.join()


def test_a_bar_asks_its_node_nothing_however_often_it_is_drawn(fed, first, second, monkeypatch):
    drawn = []
    monkeypatch.setenv("HANSE_PROGRESS", "1")
    monkeypatch.setattr("hanse.client.watcher.watch", lambda id, name, told: drawn.append(told))
    seen = second.job("fed")
    fed.let_go()
    assert list(seen) == SQUARES
    assert list(first.map(square, range(10))) == SQUARES[:10]
    for client in (first, second):
        monkeypatch.setattr(client._runtime, "running", None)
    assert [told().done for told in drawn] == [300, 10]


def test_a_node_that_is_killed_is_waited_for(fed, node, second):
    seen = second.job("fed")
    assert next(iter(seen)) == 0
    node.kill()
    node.start()
    fed.let_go()
    assert list(seen) == SQUARES[1:]


PROGRAM = """
    import hanse

    def square(x):
        return x * x

    if __name__ == "__main__":
        with hanse.connect() as client:
            list(client.map(square, range(2000), name="squares"))
            print("done")
            input()
"""


def test_another_program_reads_a_job_that_has_ended(node, second, tmp_path):
    program = Program(tmp_path, PROGRAM)
    process = program.start(env=node.env)
    assert process.stdout.readline() == "done\n"
    assert list(second.job("squares")) == [x * x for x in range(2000)]
    process.kill()
    process.communicate()


def test_a_job_that_is_not_there_is_told(second):
    with pytest.raises(hanse.NoSuchJob):
        second.job("nothing")
