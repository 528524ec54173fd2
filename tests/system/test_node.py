"""A node: the same program runs on it, and neither side's death loses or doubles anything."""

from __future__ import annotations

import operator
import random
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
from system.nodes import Node
from system.programs import Program
from system.real import until

import hanse
from hanse.core.events import SegmentCommitted
from hanse.records.record import open_record
from hanse.remote.records import RemoteRecords


@pytest.fixture
def client(node):

    with node.connect() as opened:
        yield opened


def square(x):
    return x * x


def plus_size(value, x):
    return len(value) + x


def plus_one(array):
    return array + 1


def odd_fails(x):
    print(f"item {x} begins")
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def test_results_are_those_of_a_plain_loop(client):
    assert list(client.map(square, range(5000))) == [x * x for x in range(5000)]
    assert sorted(client.map(square, range(100), ordered=False)) == [x * x for x in range(100)]
    assert dict(client.map(square, iter(range(50))).as_completed()) == {x: x * x for x in range(50)}
    total = client.map(square, range(3000)).reduce(operator.add)
    assert total == sum(x * x for x in range(3000))
    assert list(client.map(operator.add, range(9), range(9))) == [2 * x for x in range(9)]
    assert list(client.map(square, [])) == []


def test_large_values_go_there_and_come_back(client):
    arrays = [np.full(300_000, n, dtype=float) for n in range(5)]
    for sent, got in zip(arrays, client.map(plus_one, arrays), strict=True):
        assert (got == sent + 1).all()


def test_values_that_were_put_travel_with_a_maps_function(client):
    value = client.put(b"x" * 3_000_000)
    job = client.map(partial(plus_size, value), range(40))
    assert list(job) == [n + 3_000_000 for n in range(40)]
    with pytest.raises(hanse.UsageError, match="with the function"):
        list(client.map(str, [(1, 2), (3, value)]))
    with pytest.raises(hanse.UsageError, match="not done"):
        client.map(partial(plus_size, client.submit(time.sleep, 60)), range(4))


def test_functions_of_main_and_lambdas_travel(client):
    offset = 7
    assert list(client.map(lambda x: x + offset, range(5))) == [7, 8, 9, 10, 11]


def test_errors_say_everything(client):
    with pytest.raises(ValueError, match="is odd") as caught:
        list(client.map(odd_fails, range(4)))
    told = caught.value.__cause__
    assert isinstance(told, hanse.TaskError)
    assert told.failure.item in (1, 3)
    assert f"item {told.failure.item} begins" in told.failure.output
    collected = list(client.map(odd_fails, range(4), on_error="collect"))
    assert [type(x) for x in collected] == [int, ValueError, int, ValueError]


def test_a_job_can_be_cancelled_and_explained(client, tmp_path):
    gate = tmp_path / "gate"

    def wait(x):
        import time

        (gate.parent / f"began-{x}").touch()
        while not gate.exists():
            time.sleep(0.01)

    job = client.map(wait, range(100))
    until((tmp_path / "began-0").exists)
    assert "100 items" in job.explain()
    assert job.progress().running > 0
    job.cancel()
    job.join()
    assert job.state == "cancelled"
    assert not (tmp_path / "began-99").exists()


def test_inputs_without_end_are_read_as_results_are_taken(client):
    read = []

    def endless():
        n = 0
        while True:
            read.append(n)
            yield bytes(100_000)
            n += 1

    job = client.map(len, endless())
    taken = [size for size, _ in zip(job, range(200), strict=False)]
    assert taken == [100_000] * 200
    assert len(read) < 2000  # 32 MiB of inputs wait at most
    job.cancel()
    job.join()


def test_an_input_that_breaks_off_is_an_input_error(client):
    def breaks():
        yield from range(10)
        raise OSError("gone")

    job = client.map(square, breaks())
    got = []
    with pytest.raises(hanse.InputError, match="gone"):
        for value in job:
            got.append(value)
    assert got == [x * x for x in range(10)]


SQUARES = """
    import os, sys, time
    import hanse

    def square(x):
        with open(LOG, "a") as log:
            log.write(f"{x}\\n")
        time.sleep(0.002)
        return x * x

    LOG = os.environ["LOG"]

    if __name__ == "__main__":
        with hanse.connect() as client:
            print(sum(client.map(square, (x for x in range(3000)), name="squares")))
"""


def committed(node):
    """The items that the node has committed, and how often each entry says so."""
    records = RemoteRecords(node.dial())
    head = records.journal.find("squares")
    if head is None:
        return set(), []
    facts = open_record(records, head).facts if head.size else []
    spans = [(f.start, f.stop) for f in facts if isinstance(f, SegmentCommitted)]
    return {item for start, stop in spans for item in range(start, stop)}, spans


def test_a_program_that_is_killed_comes_back_to_its_job(node, tmp_path, monkeypatch):
    program = Program(tmp_path, SQUARES)
    for name, value in node.env.items():
        monkeypatch.setenv(name, value)
    moments = random.Random(3)
    for _ in range(5):
        program.kill_after(moments.randrange(1, 300))
    assert int(program.result()) == sum(x * x for x in range(3000))
    _, spans = committed(node)
    items = [item for start, stop in spans for item in range(start, stop)]
    assert sorted(items) == list(range(3000))  # each committed once


def test_a_job_goes_on_though_its_program_has_gone(node, tmp_path, monkeypatch):
    program = Program(tmp_path, SQUARES.replace("(x for x in range(3000))", "range(3000)"))
    for name, value in node.env.items():
        monkeypatch.setenv(name, value)
    program.kill_after(800)  # all inputs have left it long before
    until(lambda: len(committed(node)[0]) == 3000)
    assert int(program.result()) == sum(x * x for x in range(3000))
    assert len(program.lines()) == 3000  # nothing ran again


def test_a_node_that_is_killed_again_and_again_loses_nothing(node, tmp_path, monkeypatch):
    program = Program(tmp_path, SQUARES)
    for name, value in node.env.items():
        monkeypatch.setenv(name, value)
    process = program.start()
    known = []
    for _ in range(4):
        before = len(program.lines())
        until(lambda before=before: len(program.lines()) > before + 200)
        done, _ = committed(node)
        node.kill()
        known.append((done, len(program.lines())))
        node.start()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert int(out.splitlines()[-1]) == sum(x * x for x in range(3000))
    _, spans = committed(node)
    items = [item for start, stop in spans for item in range(start, stop)]
    assert sorted(items) == list(range(3000))
    ran = [int(line) for line in program.lines()]
    for done, lines in known:
        again = done.intersection(ran[lines:])
        # A worker that outlived its node for a moment may have begun items of a lease; none of
        # them was committed when we looked.
        assert not again


def test_a_node_ends_in_order_and_leaves_nothing(node):
    assert node.command("down").returncode == 0
    node.process.wait(60)
    assert node.place.running() is None
    again = node.command("down")
    assert again.returncode != 0
    assert "no node runs" in again.stderr


def test_two_nodes_in_one_directory_are_refused(node):
    ran = node.command("up", "--listen", "127.0.0.1:0")
    assert ran.returncode != 0
    assert "runs in" in ran.stderr


def test_a_port_that_is_taken_is_told(node, tmp_path):
    other = Node(tmp_path / "other")
    ran = other.command("up", "--listen", f"127.0.0.1:{node.port}")
    assert ran.returncode != 0
    assert "--listen" in ran.stderr


def test_no_process_of_a_killed_node_is_left(node, tmp_path):
    import psutil

    children = psutil.Process(node.process.pid).children(recursive=True)
    node.kill()
    until(lambda: not any(child.is_running() for child in children))


def test_a_second_client_is_told_that_a_job_is_fed(node, client, monkeypatch):
    release = threading.Event()

    def slowly():
        yield from range(10)
        release.wait()

    from hanse.client.connecting import _to_node
    from hanse.remote import address

    first = client.map(square, slowly(), name="fed")
    assert next(iter(first)) == 0
    with _to_node(address.encode(node.address), None) as second, pytest.raises(hanse.JobBusy):
        second.map(square, range(10), name="fed")
    release.set()
    first.join()


def test_ctrl_c_ends_a_node(node):
    node.process.send_signal(signal.SIGINT)
    assert node.process.wait(20) == 0


def test_a_list_is_handed_over_whole_before_its_client_leaves(node):

    with node.connect() as client:
        job = client.map(len, [bytes(10_000)] * 3000, name="left")
    until(lambda: RemoteRecords(node.dial()).journal.find("left").done == 3000)
    assert job.state in {"cancelled", "done"}  # here: its client left, before all was done or after
    with node.connect() as client:
        assert list(client.job("left")) == [10_000] * 3000


def test_the_end_of_a_job_reaches_a_client_that_still_feeds_it(client):
    def inputs():
        yield -1
        yield from range(100_000)

    with pytest.raises(ValueError, match="negative"):
        for _ in client.map(root, inputs()):
            pass


def root(x):
    if x < 0:
        raise ValueError("negative")
    return x


def test_a_node_that_could_not_start_leaves_the_one_that_runs_alone(node):
    assert node.command("up", "--listen", "127.0.0.1:0").returncode != 0
    assert node.place.running() is not None
    assert node.command("down").returncode == 0
