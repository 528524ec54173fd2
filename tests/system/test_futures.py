"""Submitted calls, graphs of them, and values that are sent once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import operator
import os
import pickle
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from system.real import until

import hanse


def test_a_future_is_one_of_concurrent_futures(client):
    futures = [client.submit(pow, x, 2) for x in range(100)]
    assert all(isinstance(f, concurrent.futures.Future) for f in futures)
    done, not_done = concurrent.futures.wait(futures, timeout=30)
    assert not not_done
    assert sorted(f.result() for f in concurrent.futures.as_completed(done)) == [
        x * x for x in range(100)
    ]


def test_callbacks_are_called_with_the_result_there(client):
    got: list[int] = []
    future = client.submit(pow, 2, 5)
    future.add_done_callback(lambda f: got.append(f.result()))
    until(lambda: got == [32])


def test_a_future_can_be_awaited(client):
    async def main() -> list[int]:
        return [await client.submit(abs, -1), *await asyncio.gather(
            *[asyncio.wrap_future(client.submit(abs, -x)) for x in range(5)])]  # fmt: skip

    assert asyncio.run(main()) == [1, 0, 1, 2, 3, 4]

    async def failing() -> None:
        await client.submit(operator.truediv, 1, 0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(failing())


def test_a_timeout_is_for_the_wait_alone(client):
    future = client.submit(time.sleep, 0.5)
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    assert future.result(timeout=30) is None


def test_a_call_that_waits_can_be_cancelled_and_one_that_runs_cannot(client, tmp_path):
    flag = tmp_path / "flag"
    running = [client.submit(hold, flag) for _ in range(2)]
    until(lambda: all(f.running() for f in running))
    waiting = client.submit(touch, tmp_path / "never")
    after = client.submit(abs, waiting)
    assert waiting.cancel()
    assert waiting.cancel()
    assert waiting.cancelled()
    assert not running[0].cancel()
    flag.touch()
    assert [f.result(30) for f in running] == [None, None]
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result()
    with pytest.raises(hanse.DependencyFailed):
        after.result(30)
    assert not (tmp_path / "never").exists()


def hold(flag) -> None:
    until(flag.exists)


def touch(path) -> None:
    path.touch()


def test_futures_anywhere_inside_arguments_stand_for_their_results(client):
    one, two = client.submit(abs, -1), client.submit(abs, -2)
    merged = client.submit(lambda a, b: (a, b), {"x": [one, (two,)]}, b={one.result(): two})
    assert merged.result() == ({"x": [1, (2,)]}, {1: 2})
    assert client.submit(operator.add, one, one).result() == 2
    assert list(client.map(operator.add, [one, two], [10, client.submit(abs, -20)])) == [11, 22]


def test_a_graph_of_calls_runs_in_its_order(client):
    layer = [client.submit(abs, x) for x in range(512)]
    while len(layer) > 1:
        layer = [client.submit(operator.add, *layer[i : i + 2]) for i in range(0, len(layer), 2)]
    assert layer[0].result() == sum(range(512))


@settings(max_examples=15, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(graph=st.lists(st.lists(st.integers(0, 30), max_size=3), max_size=30))
def test_any_graph_gives_what_running_it_in_order_gives(client, graph):
    futures: list[hanse.Future[int]] = []
    expected: list[int] = []
    for index, needs in enumerate(graph):
        known = [n for n in needs if n < index]
        futures.append(client.submit(lambda i, xs: i + sum(xs), index, [futures[n] for n in known]))
        expected.append(index + sum(expected[n] for n in known))
    assert [f.result(60) for f in futures] == expected


def test_what_needs_a_failed_call_fails_with_its_reason(client):
    failed = client.submit(operator.truediv, 1, 0)
    after = client.submit(abs, failed)
    last = client.submit(abs, after)
    for future in (after, last):
        with pytest.raises(hanse.DependencyFailed) as caught:
            future.result(30)
        assert caught.value.__cause__ is not None
    with pytest.raises(ZeroDivisionError):
        failed.result()


def test_a_chain_goes_on_behind_a_worker_that_dies(client, tmp_path):
    def die_once(x):
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return x + 1

    for _ in range(3):  # until leases hold more than one
        [f.result() for f in [client.submit(abs, x) for x in range(200)]]
    first = last = client.submit(abs, -1)
    for n in range(30):
        last = client.submit(die_once if n == 15 else operator.add, *(last, 1)[: 1 + (n != 15)])
    assert last.result(60) == 31
    assert first.result() == 1


def test_a_future_travels_only_inside_arguments(client):
    with pytest.raises(hanse.PickleError, match=r"result\(\)"):
        pickle.dumps(client.submit(abs, 1))


def test_a_value_that_is_put_once_serves_many_calls(client):
    table = client.put(list(range(1000)))
    assert [f.result() for f in [client.submit(operator.getitem, table, i) for i in (5, 999)]] == [
        5, 999,
    ]  # fmt: skip
    assert list(client.map(functools.partial(lambda t, i: t[i], table), range(20))) == [*range(20)]
    assert table.result()[7] == 7


def test_arguments_are_taken_as_they_are_at_the_call(client):
    argument = [1]
    future = client.submit(sum, argument)
    argument.append(100)
    assert future.result() == 1


def test_twenty_thousand_calls_come_back(client):
    futures = [client.submit(operator.neg, i) for i in range(20_000)]
    assert [f.result() for f in futures] == [-i for i in range(20_000)]


def test_leaving_the_client_cancels_what_was_not_waited_for():
    with hanse.connect() as client:
        futures = [client.submit(time.sleep, 60) for _ in range(5)]
    for future in futures:
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(60)


def test_a_client_is_of_no_use_in_a_forked_child(client):
    client.submit(abs, 1).result()
    pid = os.fork()
    if pid == 0:
        try:
            client.submit(abs, 1)
        except hanse.ClientClosed as error:
            os._exit(0 if "forked" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.submit(abs, -3).result() == 3


@pytest.mark.parametrize("memory", ["bytes", "array"])
def test_large_values_travel_both_ways_unharmed_and_can_be_changed(client, memory):
    import numpy as np

    values = [np.full(1 << 20, i, np.float64) if memory == "array" else bytes([i]) * (8 << 20)
              for i in range(6)]  # fmt: skip
    for i, result in enumerate(client.map(lambda x: x, values)):
        if memory == "array":
            assert (result == i).all()
            result[0] = -1
        else:
            assert result == values[i]


def test_hundreds_of_large_results_can_be_held(client):
    import numpy as np

    held = list(client.map(lambda i: np.full(1 << 16, i), range(400)))
    assert all(array[-1] == i for i, array in enumerate(held))
