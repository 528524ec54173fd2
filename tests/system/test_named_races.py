"""Programs that want the same name at the same moment."""

from __future__ import annotations

import itertools
import threading

import pytest
from system.programs import Program, record

import hanse
from hanse.journal.sqlite import SqliteJournal
from hanse.records.state import open_state


def append_to(path, item):
    with open(path, "a") as log:
        log.write(f"{item}\n")
    return item


@pytest.mark.parametrize("fresh", [False, True], ids=["goes-on", "fresh"])
def test_a_job_that_was_made_and_done_meanwhile_is_not_lost(
    client, hanse_home, tmp_path, monkeypatch, fresh
):
    log = tmp_path / "log"
    inputs = [str(log)] * 10, range(10)
    create = SqliteJournal.create

    def create_late(*args):
        monkeypatch.setattr(SqliteJournal, "create", create)
        with hanse.connect() as quicker:
            assert sum(quicker.map(append_to, *inputs, name="race")) == 45
        return create(*args)

    monkeypatch.setattr(SqliteJournal, "create", create_late)
    assert sum(client.map(append_to, *inputs, name="race", fresh=fresh)) == 45
    assert len(log.read_text().split()) == (20 if fresh else 10)
    state = open_state()
    assert state is not None
    assert [head.superseded for head in state.journal.heads()] == ([False, True] if fresh else
                                                                   [False])  # fmt: skip
    state.close()


def test_a_job_that_begins_again_takes_nothing_from_others(tmp_path):
    """Its earlier run may be forgotten by the very report that brings another job's results."""
    program = Program(tmp_path, """
        import hanse, time
        def quick(x): return x + 1
        def slow(x):
            time.sleep(0.002)
            return x
        def main():
            with hanse.connect(resources=hanse.Resources(cpus=2)) as client:
                loop = client._runtime.loop
                other = client.map(quick, range(20_000), name="other")
                other.run_ahead()
                for _ in range(4):
                    job = client.map(slow, iter(range(500)), name="again")
                    next(iter(job))
                    del job
                    again = client.map(slow, iter(range(500)), name="again")
                    loop.post(lambda: time.sleep(0.3))  # one report brings more than one thing
                    del again
                print(len(list(other)), other.state)
        main()
    """)  # fmt: skip
    assert program.result() == "20000 done"
    found = record("other")
    assert found is not None
    assert len(found.settled) == 20_000


class Slow:
    """An input that takes its time to be pickled: the first time until somebody else pickles it."""

    times = itertools.count()
    begun, gate = threading.Event(), threading.Event()
    reader = threading.current_thread()

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slow) and other.x == self.x

    def __hash__(self) -> int:
        return self.x

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        if self.x == 3:
            time = next(Slow.times)
            if time == 0:
                Slow.reader = threading.current_thread()
                Slow.begun.set()
                assert Slow.gate.wait(60)
            elif time == 1:
                Slow.gate.set()
                Slow.reader.join(60)
        return int, (self.x,)


def test_inputs_of_a_run_that_was_let_go_and_of_the_next_are_not_mixed(client):
    """Its reader is in the middle of a block when the next run of the job begins."""
    job = client.map(abs, [Slow(x) for x in range(20)], name="slow to read")
    assert Slow.begun.wait(60)
    del job
    for _ in range(2):  # it goes on, and what is recorded of it is what it was given
        again = client.map(abs, [Slow(x) for x in range(20)], name="slow to read")
        assert list(again) == [*range(20)]
