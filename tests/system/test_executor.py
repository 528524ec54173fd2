"""The executor is a drop-in: the same claims hold of the standard process pool and of ours.

Tests that take `pool` or `make` run against `concurrent.futures.ProcessPoolExecutor`,
`hanse.Executor` and, where it can be made so, `client.executor()`. What ours does better is at
the end, each with the reason why it differs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import itertools
import operator
import os
import threading
import time
from typing import Any

import pytest
from system.pools import (
    QUIET,
    OwnError,
    fail,
    fail_beside,
    hold,
    keywords,
    note,
    note_and_hold,
    reciprocal,
)
from system.real import until

pytestmark = QUIET


# --- submit ---------------------------------------------------------------------------------------
def test_submit_passes_all_kinds_of_arguments(pool):
    assert pool.submit(pow, 2, 5).result() == 32
    assert pool.submit(keywords, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})
    with pytest.raises(TypeError):
        pool.submit()
    with pytest.raises(TypeError):
        pool.submit(arg=1)


def test_a_future_tells_its_state(pool, tmp_path):
    future = pool.submit(hold, tmp_path / "flag", 7)
    assert isinstance(future, concurrent.futures.Future)
    until(future.running)
    assert not future.done()
    assert not future.cancel()
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.01)
    assert "running" in repr(future)
    (tmp_path / "flag").touch()
    assert future.result(timeout=30) == 7
    assert future.exception() is None
    assert (future.done(), future.running(), future.cancelled()) == (True, False, False)
    assert not future.cancel()
    assert "finished" in repr(future)


@pytest.mark.parametrize("error", [OwnError(3), ZeroDivisionError("by zero"), SystemExit(4)])
def test_an_exception_keeps_its_type_and_tells_where_it_came_from(pool, error):
    future = pool.submit(fail, error)
    caught = future.exception(30)
    assert type(caught) is type(error)
    assert caught.args == error.args
    with pytest.raises(type(error)) as raised:
        future.result()
    assert raised.value is caught
    assert "raise error" in str(caught.__cause__)


def test_a_call_that_waits_can_be_cancelled(pool, tmp_path):
    running = [pool.submit(hold, tmp_path / "flag") for _ in range(2)]
    waiting = [pool.submit(note, tmp_path, i) for i in range(20)]
    last = waiting[-1]
    called: list[object] = []
    last.add_done_callback(called.append)
    assert last.cancel()
    assert last.cancel()
    assert last.cancelled()
    assert last.done()
    assert called == [last]
    for ask in (last.result, last.exception):
        with pytest.raises(concurrent.futures.CancelledError):
            ask()
    (tmp_path / "flag").touch()
    assert [future.result(30) for future in waiting[:-1]] == list(range(19))
    assert [future.result(30) for future in running] == [None, None]
    assert not (tmp_path / "19").exists()


def test_callbacks_are_called_once_in_their_order(pool, tmp_path):
    future = pool.submit(hold, tmp_path / "flag", 1)
    called: list[object] = []
    future.add_done_callback(called.append)
    future.add_done_callback(lambda f: called.append(f.result()))
    assert not called
    (tmp_path / "flag").touch()
    until(lambda: len(called) == 2)
    assert called == [future, 1]
    future.add_done_callback(lambda f: called.append("late"))
    assert called[2:] == ["late"]


def test_a_callback_that_raises_harms_nothing(pool, tmp_path, caplog):
    future = pool.submit(hold, tmp_path / "flag")
    called: list[object] = []
    future.add_done_callback(lambda f: 1 / 0)
    future.add_done_callback(called.append)
    (tmp_path / "flag").touch()
    until(lambda: called)
    assert "exception calling callback" in caplog.text
    assert pool.submit(abs, -1).result() == 1


def test_a_callback_may_submit(pool):
    got: list[object] = []
    pool.submit(abs, -1).add_done_callback(
        lambda f: pool.submit(abs, -2).add_done_callback(lambda g: got.append(g.result()))
    )
    until(lambda: got == [2])


def test_wait_returns_as_it_was_asked(pool, tmp_path):
    quick = pool.submit(abs, -1)
    slow = pool.submit(hold, tmp_path / "flag")
    both = [quick, slow]
    done, rest = concurrent.futures.wait(both, return_when=concurrent.futures.FIRST_COMPLETED)
    assert (done, rest) == ({quick}, {slow})
    assert concurrent.futures.wait(both, timeout=0.01) == ({quick}, {slow})
    failing = pool.submit(fail, OwnError(1))
    done, rest = concurrent.futures.wait(
        [slow, failing], return_when=concurrent.futures.FIRST_EXCEPTION
    )
    assert (done, rest) == ({failing}, {slow})
    (tmp_path / "flag").touch()
    assert concurrent.futures.wait(both).not_done == set()


def test_as_completed_gives_what_ended_first(pool, tmp_path):
    slow = pool.submit(hold, tmp_path / "flag")
    quick = pool.submit(abs, -1)
    completed = concurrent.futures.as_completed([slow, quick, quick], timeout=30)
    assert next(completed) is quick
    (tmp_path / "flag").touch()
    assert list(completed) == [slow]
    open_ended = pool.submit(hold, tmp_path / "second")
    with pytest.raises(TimeoutError):
        list(concurrent.futures.as_completed([open_ended], timeout=0.01))
    (tmp_path / "second").touch()


def test_many_calls_come_back(pool):
    futures = [pool.submit(operator.neg, i) for i in range(1000)]
    assert [future.result() for future in futures] == [-i for i in range(1000)]


def test_several_threads_may_submit_and_map(pool):
    answers: list[int] = []

    def use(n: int) -> None:
        answers.append(sum(pool.map(abs, range(n), chunksize=50)) + pool.submit(abs, -n).result())

    threads = [threading.Thread(target=use, args=(n,)) for n in (100, 200, 300, 400)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [sum(range(n)) + n for n in (100, 200, 300, 400)]


def test_asyncio_runs_calls_in_it(pool):
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(pool, abs, -x) for x in range(10)]
        got = await asyncio.gather(*calls, return_exceptions=True)
        failed = await asyncio.gather(
            loop.run_in_executor(pool, reciprocal, 0), return_exceptions=True
        )
        return [*got, *map(type, failed)]

    assert asyncio.run(main()) == [*range(10), ZeroDivisionError]


def test_cancelling_an_awaited_call_cancels_the_call(pool, tmp_path):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            loop.run_in_executor(pool, hold, tmp_path / "flag")
        for i in range(20):
            last = loop.run_in_executor(pool, note, tmp_path, i)
        last.cancel()
        with pytest.raises(asyncio.CancelledError):
            await last
        (tmp_path / "flag").touch()
        assert await loop.run_in_executor(pool, abs, -5) == 5

    asyncio.run(main())
    pool.shutdown()
    assert (tmp_path / "18").exists()
    assert not (tmp_path / "19").exists()


# --- map ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("chunksize", [1, 3, 1000])
def test_map_gives_what_map_gives(pool, chunksize):
    assert list(pool.map(pow, range(40), range(40), chunksize=chunksize)) == [
        x**x for x in range(40)
    ]
    assert list(pool.map(abs, [], chunksize=chunksize)) == []
    assert list(pool.map(pow, [2, 3], [5, 6, 7], itertools.repeat(100))) == [32, 29]
    assert list(pool.map(abs)) == []


def test_map_gives_an_iterator(pool):
    results = pool.map(abs, [-1, -2])
    assert iter(results) is results
    assert next(results) == 1
    assert next(results) == 2
    with pytest.raises(StopIteration):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunksize_below_one_is_refused(pool, chunksize):
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(abs, [1], chunksize=chunksize)


def test_what_is_not_iterable_is_refused(pool):
    with pytest.raises(TypeError):
        pool.map(abs, 3)


def test_map_reads_its_iterables_at_the_call(pool):
    read: list[int] = []
    results = pool.map(abs, (read.append(i) or i for i in range(50)))
    assert read == list(range(50))
    assert list(results) == read


def test_an_iterable_that_raises_does_so_at_the_call(pool):
    with pytest.raises(ZeroDivisionError):
        pool.map(abs, (1 // x for x in (1, 0)))


def test_map_runs_though_nobody_iterates(pool, tmp_path):
    results = pool.map(functools.partial(note, tmp_path), range(5))
    pool.shutdown()
    assert sorted(path.name for path in tmp_path.iterdir()) == list("01234")
    assert list(results) == list(range(5))


def test_map_raises_what_a_call_raised_in_its_place(pool):
    results = pool.map(reciprocal, [1, 2, 0, 4])
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_map_times_out_since_the_call_of_map(pool, tmp_path):
    results = pool.map(hold, [tmp_path, tmp_path / "soon"], [1, 2], timeout=60)
    assert next(results) == 1
    (tmp_path / "soon").touch()
    assert next(results) == 2
    began = time.monotonic()
    results = pool.map(hold, [tmp_path, tmp_path / "flag"], [1, 2], timeout=0.7)
    with pytest.raises(TimeoutError):
        list(results)
    assert time.monotonic() - began >= 0.7
    (tmp_path / "flag").touch()
    assert list(pool.map(abs, [-1, -2], timeout=30)) == [1, 2]
    with pytest.raises(TimeoutError):
        list(pool.map(time.sleep, [0.2], timeout=0))


@pytest.mark.parametrize("how", ["closed", "collected", "failed"])
def test_a_map_that_is_given_up_cancels_what_waits_and_ends_what_runs(pool, tmp_path, how):
    flag, notes = tmp_path / "flag", tmp_path / "notes"
    notes.mkdir()
    calls = [functools.partial(note, notes, 0), *[
        functools.partial(note_and_hold, notes, flag, i) for i in range(1, 400)]]  # fmt: skip
    if how == "failed":
        calls[0] = functools.partial(fail_beside, notes)
    results = pool.map(operator.call, calls)
    if how == "failed":
        with pytest.raises(OwnError):
            next(results)
    else:
        assert next(results) == 0
    until(lambda: set(os.listdir(notes)) - {"0"})
    if how == "closed":
        results.close()
    del results
    gc.collect()
    after = pool.submit(note, tmp_path, "after")
    flag.touch()
    pool.shutdown()
    assert after.result() == "after"
    names = set(os.listdir(notes)) - {"0"}
    begun = {name for name in names if name.isdigit()}
    assert len(begun) < 200  # those that ran, and the few until the news was there
    assert names - begun == {f"{name}.ended" for name in begun}
