"""Single calls on a node: futures, graphs, executors, and what survives the node's death."""

from __future__ import annotations

import operator
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from system.real import until

import hanse
from hanse.remote.records import RemoteRecords


@pytest.fixture
def client(node):

    with node.connect() as opened:
        yield opened


def add(a, b):
    return a + b


def fails(x):
    raise ValueError(x)


def slowly(x):
    time.sleep(0.05)
    return x


def test_calls_and_graphs_give_what_a_plain_call_gives(client):
    assert client.submit(add, 1, b=2).result() == 3
    assert [f.result() for f in [client.submit(add, n, 1) for n in range(300)]] == [
        n + 1 for n in range(300)
    ]
    leaves = [client.submit(add, n, 0) for n in range(64)]
    while len(leaves) > 1:
        leaves = list(map(client.submit, [add] * len(leaves), leaves[::2], leaves[1::2]))
    assert leaves[0].result() == sum(range(64))
    chain = client.submit(add, 0, 0)
    for _ in range(100):
        chain = client.submit(add, chain, 1)
    assert chain.result() == 100
    assert client.submit(add, chain, chain).result() == 200  # of what has long arrived here


def test_functions_by_value_and_put_values_are_sent_once_and_used_by_later_calls(client):
    big = client.put(np.arange(300_000))
    for round in range(3):
        calls = [client.submit(lambda a, i: int(a[i]), big, i + round) for i in range(5)]
        assert [call.result() for call in calls] == [i + round for i in range(5)]
    functions = [eval(f"lambda x: x * {n}") for n in range(100)]
    twice = [[client.submit(f, 2) for f in functions] for _ in range(2)]
    assert [[call.result() for call in calls] for calls in twice] == [
        [2 * n for n in range(100)]
    ] * 2


def test_failures_reach_their_futures_and_those_that_need_them(client):
    failed = client.submit(fails, "no")
    with pytest.raises(ValueError, match="no"):
        failed.result()
    with pytest.raises(hanse.DependencyFailed):
        client.submit(add, failed, 1).result()
    with pytest.raises(hanse.ArgumentError):
        client.submit(add, (n for n in []), 1).result()
    assert client.submit(add, 1, 1).result() == 2


def test_calls_with_other_options_may_need_each_other(client):
    patient = hanse.task(retries=2)(slowly)
    assert client.submit(add, client.submit(patient, 3), client.submit(slowly, 4)).result() == 7


def test_an_executor_works_on_a_node(client):
    with client.executor() as executor:
        assert list(executor.map(operator.add, range(20), range(20))) == [2 * n for n in range(20)]
        future = executor.submit(slowly, 1)
    assert future.result() == 1


def test_what_has_not_begun_can_be_cancelled(client):
    futures = [client.submit(slowly, n) for n in range(200)]
    assert futures[-1].cancel()
    assert futures[0].result() == 0
    with pytest.raises(CancelledError):
        futures[-1].result()
    for future in futures:
        future.cancel()


def test_calls_outlive_the_death_of_their_node(node, client):
    futures = [client.submit(slowly, n) for n in range(60)]
    total = client.submit(add, futures[0], futures[-1])
    assert futures[3].result() == 3
    node.kill()
    node.start()
    more = client.submit(add, futures[5], 100)
    assert [future.result() for future in futures] == list(range(60))
    assert total.result() == 59
    assert more.result() == 105


def test_calls_end_with_their_client(node):

    with node.connect() as client:
        for n in range(2000):
            client.submit(slowly, n)
        assert client.submit(abs, -1) is not None
    (head,) = RemoteRecords(node.dial()).journal.heads()
    until(lambda: RemoteRecords(node.dial()).journal.find(head.id).state == "cancelled")


def test_calls_of_a_client_that_is_gone_for_good_are_cancelled():
    from hanse.node.held import Held

    held = Held(None, "j-000000000000", None)
    assert held.alone_ns(time.monotonic_ns()) < 60 * 10**9
    feeder = held.take()
    end = held.follow(lambda: None, feeder)
    assert held.alone_ns(time.monotonic_ns() + 10**12) == 0
    end()
    assert held.alone_ns(time.monotonic_ns() + 10**12) >= 10**12


def test_a_client_that_leaves_at_once_still_ends_its_calls(node):
    for _ in range(5):
        with node.connect() as client:
            assert client.submit(abs, -1).result() == 1
    records = RemoteRecords(node.dial())
    until(lambda: [head.state for head in records.journal.heads()] == ["cancelled"] * 5)
