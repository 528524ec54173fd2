"""What must not stop, stall or falsify anything, however odd it is."""

from __future__ import annotations

import gc
import itertools
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from system.real import Script, until

import hanse


def test_a_call_may_be_cancelled_at_any_moment(client):
    for _ in range(200):
        client.submit(abs, -1).cancel()
    futures = [client.submit(abs, -i) for i in range(2000)]
    for future in futures[::3]:
        future.cancel()
    for i, future in enumerate(futures):
        if not future.cancelled():
            assert future.result(30) == i
    assert client.submit(abs, -5).result(30) == 5


def test_a_cancelled_future_as_an_argument_fails_only_the_call_that_needs_it(client):
    for _ in range(50):
        needed = client.submit(abs, -1)
        needed.cancel()
        after = client.submit(abs, needed)
        if needed.cancelled():
            assert isinstance(after.exception(30), hanse.DependencyFailed)
        else:
            assert after.result(30) == 1
    assert client.submit(abs, -5).result(30) == 5


def test_a_buffer_that_is_used_again_does_not_change_earlier_results(script: Script):
    done = script("""
        import collections, hanse
        BUFFER, SEEN = [0], collections.Counter()
        def fill(x):
            BUFFER[0] = x
            return BUFFER
        def seen(x):
            SEEN["all"] += 1
            return SEEN, SEEN["all"]
        with hanse.connect() as client:
            assert list(client.map(fill, range(3000))) == [[x] for x in range(3000)]
            assert [f.result() for f in [client.submit(fill, x) for x in range(1000)]] == [
                [x] for x in range(1000)]
            assert all(c["all"] == n for c, n in client.map(seen, range(3000)))
        print("good")
    """)
    assert done.stdout == "good\n", done.stderr


def test_inputs_that_are_one_object_here_are_one_for_each_item_there(client):
    shared: list[int] = []

    def append(values: list[int]) -> int:
        values.append(1)
        return len(values)

    assert list(client.map(append, [shared] * 500)) == [1] * 500


def test_a_function_is_sent_as_it_is_at_the_call(script: Script):
    done = script("""
        import hanse
        X, Y, Z = [0], 0, {}
        def inner(): return Y
        def outer(): return inner(), X[0], Z.get("z")
        with hanse.connect() as client:
            futures = []
            for i in range(50):
                X, Y, Z["z"] = [i], i, i
                futures.append(client.submit(outer))
            assert [f.result() for f in futures] == [(i, i, i) for i in range(50)]
        print("good")
    """)
    assert done.stdout == "good\n", done.stderr


def test_what_an_iterator_gave_does_not_wait_for_what_it_gives_next(client):
    inputs: queue.Queue[int | None] = queue.Queue()
    for i in range(5):
        inputs.put(i)
    results = iter(client.map(abs, iter(inputs.get, None)))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    for i in range(5, 50):
        inputs.put(i)
        assert next(results) == i
    inputs.put(None)
    assert list(results) == []


def test_an_iterator_may_need_earlier_results(client):
    got: list[int] = []

    def inputs() -> Iterator[int]:
        yield 1
        for n in range(1, 30):
            until(lambda: len(got) >= n)  # noqa: B023 - waited for at once
            yield got[-1]

    for result in client.map(lambda x: x + 1, inputs()):
        got.append(result)
    assert got == list(range(2, 32))


@pytest.mark.parametrize("leave", [SystemExit(3), KeyboardInterrupt(), ValueError()])
def test_a_callback_that_raises_or_exits_stops_nothing(client, leave, caplog):
    def callback(_: object) -> None:
        raise leave

    client.submit(abs, 1).add_done_callback(callback)
    until(lambda: caplog.records)
    assert client.submit(abs, -2).result(30) == 2


def test_a_callback_may_not_wait_for_what_it_holds_up(client):
    told: list[BaseException] = []

    def callback(_: object) -> None:
        try:
            client.map(abs, [1]).wait()
        except hanse.UsageError as error:
            told.append(error)

    client.submit(abs, 1).add_done_callback(callback)
    until(lambda: told)


def test_an_exception_that_is_slow_to_read_holds_up_nobody_else(client):
    class Slow(Exception):
        def __reduce__(self):
            return slow_to_read, ()

    def fail() -> None:
        raise Slow

    READ_ON.clear()
    failing = client.submit(fail)
    until(failing.done)
    try:
        assert client.submit(abs, -2).result(60) == 2
    finally:
        READ_ON.set()
    assert isinstance(failing.exception(), RuntimeError | hanse.TaskError)


READ_ON = threading.Event()


def slow_to_read() -> Exception:
    if not os.environ.get("HANSE_DEPTH"):
        READ_ON.wait(120)
    return RuntimeError("read")


def test_a_job_may_be_collected_while_its_results_are_locked(client):
    job = client.map(abs, itertools.count())
    next(iter(job))
    job.myself = job
    results = job._results
    del job
    with results.room:
        gc.collect()
    assert client.submit(abs, -2).result(30) == 2


def test_ctrl_c_while_inputs_are_pickled_reaches_the_program(client):
    class Interrupts:
        def __reduce__(self):
            os.kill(os.getpid(), signal.SIGINT)
            return int, (1,)

    with pytest.raises(KeyboardInterrupt):
        client.map(abs, [Interrupts()])
    assert client.submit(abs, -2).result(30) == 2


def test_an_executor_of_a_closed_client_refuses_calls():
    with hanse.connect() as client:
        executor = client.executor()
        assert executor.submit(abs, -1).result() == 1
    with pytest.raises(RuntimeError):
        executor.submit(abs, -1)
    with pytest.raises(RuntimeError):
        executor.map(abs, [1])


def test_a_call_that_races_with_the_end_of_its_client_comes_to_an_end():
    for _ in range(10):
        client = hanse.connect()
        futures: list[hanse.Future[int]] = []

        def submit(client: hanse.Client = client, futures: list[hanse.Future[int]] = futures):
            try:
                while True:
                    futures.append(client.submit(abs, -1))
            except hanse.ClientClosed:
                pass

        thread = threading.Thread(target=submit)
        thread.start()
        until(lambda: len(futures) > 10)  # noqa: B023 - waited for at once
        client.close()
        thread.join(30)
        assert not thread.is_alive()
        for future in futures:
            future.exception(30) if not future.cancelled() else None


def test_a_forked_child_that_ends_does_not_wait_for_its_parents_calls(script: Script):
    done = script("""
        import os, sys, warnings, hanse
        warnings.simplefilter("ignore")
        executor = hanse.Executor(2)
        executor.submit(abs, -1).result()
        pid = os.fork()
        if pid == 0:
            try:
                executor.submit(abs, 1)
            except RuntimeError:
                sys.exit(7)
            sys.exit(8)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        print(executor.submit(abs, -2).result())
    """)
    assert done.stdout == "2\n", done.stderr


def test_workers_that_cannot_start_end_the_job_and_say_why(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with hanse.connect() as client:
        with pytest.raises(hanse.EngineError):
            list(client.map(abs, [1, 2, 3]))
        with pytest.raises(hanse.EngineError):
            client.submit(abs, 1).result(60)


def test_a_future_of_another_client_is_refused(client):
    with hanse.connect() as other:
        future = other.submit(abs, -1)
        with pytest.raises(hanse.UsageError, match="another client"):
            client.submit(abs, future)
        assert client.submit(sum, other.put([1, 2])).result() == 3


def test_as_completed_goes_on_where_it_was_left_and_reduce_is_done_once(client):
    job = client.map(abs, range(1000))
    first = next(iter(job.as_completed()))
    rest = list(job.as_completed())
    assert sorted([first, *rest]) == [(i, i) for i in range(1000)]
    with pytest.raises(hanse.ResultsConsumed):
        job.as_completed()
    job = client.map(abs, range(10))
    assert job.reduce(max) == 9
    with pytest.raises(hanse.ResultsConsumed):
        job.reduce(max)


@pytest.mark.parametrize("name", ["", " ", "\x1b]0;owned\x07", "two\nlines", "x" * 201, 7])
def test_a_name_that_could_not_be_shown_is_refused(client, name):
    with pytest.raises(hanse.UsageError, match="printable"):
        client.map(abs, [1], name=name)


def test_many_failures_that_nobody_takes_are_bounded(client):
    read = itertools.count()

    def fail(_: int) -> None:
        raise ValueError("x" * 20_000)

    job = client.map(fail, read, on_error="collect")
    until(lambda: "No further inputs" in job.explain())
    assert next(read) < 20_000


PICKLING, PICKLE_ON = threading.Event(), threading.Event()


class SlowToPickle:
    def __reduce__(self):
        PICKLING.set()
        PICKLE_ON.wait(120)
        return int, (1,)


class ExitsWhenPickled:
    def __reduce__(self):
        sys.exit(3)


def test_inputs_that_are_slow_to_pickle_hold_up_nobody_else(client):
    PICKLING.clear()
    PICKLE_ON.clear()
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(lambda: list(client.map(abs, (SlowToPickle() for _ in range(4)))))
        try:
            assert PICKLING.wait(60)
            assert [client.submit(abs, -2).result(60) for _ in range(50)] == [2] * 50
        finally:
            PICKLE_ON.set()
        assert slow.result(60) == [1] * 4


@pytest.mark.parametrize("end", [None, ValueError("the source went away")])
def test_an_input_that_exits_when_pickled_ends_its_own_job_only(client, end):
    def inputs() -> Iterator[object]:
        yield from range(30)
        yield ExitsWhenPickled()
        if end is not None:
            raise end
        yield from range(30)

    job = client.map(lambda x: x, inputs())
    with pytest.raises(hanse.InputError):
        list(job)
    assert client.submit(abs, -2).result(30) == 2


def test_calls_go_on_once_workers_can_start_again(client, monkeypatch):
    from hanse.engines.local.pool import Pool

    def refuse(*_: object) -> None:
        raise hanse.EngineError("no descriptors left")

    with monkeypatch.context() as patch:
        patch.setattr(Pool, "spawn", refuse)
        with pytest.raises(hanse.EngineError, match="no descriptors left"):
            client.submit(abs, -1).result(30)
    assert client.submit(abs, -2).result(30) == 2


def test_a_function_with_attributes_is_sent_as_it_is_at_the_call(client):
    def read() -> int:
        return read.k

    futures = []
    for k in range(20):
        read.k = k
        futures.append(client.submit(read))
    assert [f.result(30) for f in futures] == list(range(20))


def test_a_long_chain_that_fails_is_told_at_its_end(client):
    future = client.submit(divmod, 1, 0)
    for _ in range(2000):
        future = client.submit(abs, future)
    assert isinstance(future.exception(60), hanse.DependencyFailed)
