"""An executor's life: its options, its shutdown, what breaks it, the end of the interpreter.

The same claims of both pools, as in test_executor.py; at the end what ours does better.
"""

from __future__ import annotations

import concurrent.futures
import functools
import gc
import itertools
import operator
import os
import pickle
import signal
import sys
import threading
import weakref
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from system.pools import (
    QUIET,
    STANDARD,
    OwnError,
    Unpicklable,
    fail,
    hold,
    note,
    note_and_hold,
    pid_after,
    remember,
    remembered,
)
from system.real import Script, until

import hanse

pytestmark = QUIET


# --- shutdown -------------------------------------------------------------------------------------
def test_nothing_is_accepted_after_shutdown(pool):
    assert pool.submit(abs, -1).result() == 1
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, -1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.map(abs, [-1])
    pool.shutdown()
    pool.shutdown(wait=False, cancel_futures=True)


def test_a_pool_that_was_never_used_shuts_down(make):
    make(1).shutdown()
    make(1).shutdown(wait=False)
    with make(1):
        pass


def test_shutdown_waits_for_all_calls(make, tmp_path):
    pool = make(2)
    futures = [pool.submit(note, tmp_path, i) for i in range(20)]
    results = pool.map(functools.partial(note, tmp_path), range(20, 40))
    pool.shutdown(wait=True)
    assert all(future.done() for future in futures)
    assert len(os.listdir(tmp_path)) == 40
    assert list(results) == list(range(20, 40))


def test_shutdown_without_wait_returns_and_the_calls_run_on(make, tmp_path):
    pool = make(2)
    futures = [pool.submit(hold, tmp_path / "flag", i) for i in range(6)]
    results = pool.map(functools.partial(hold, tmp_path / "flag"), range(6))
    pool.shutdown(wait=False)
    assert not any(future.done() for future in futures)
    (tmp_path / "flag").touch()
    assert [future.result(30) for future in futures] == list(range(6))
    assert list(results) == list(range(6))
    pool.shutdown(wait=True)


@pytest.mark.parametrize("wait", [True, False])
def test_shutdown_can_cancel_what_waits_but_ends_what_runs(make, tmp_path, wait):
    pool = make(2)
    flag = tmp_path / "flag"
    running = [pool.submit(hold, flag, i) for i in range(2)]
    until(lambda: all(future.running() for future in running))
    waiting = [pool.submit(hold, flag, i) for i in range(30)]
    threading.Timer(0.2, flag.touch).start()
    pool.shutdown(wait=wait, cancel_futures=True)
    assert [future.result(30) for future in running] == [0, 1]
    until(lambda: all(future.done() for future in waiting))
    assert sum(future.cancelled() for future in waiting) > 20
    assert all(f.cancelled() or f.exception() is None for f in waiting)
    pool.shutdown()


def test_shutdown_can_cancel_a_map_but_ends_what_runs_of_it(make, tmp_path):
    pool = make(2)
    flag, notes = tmp_path / "flag", tmp_path / "notes"
    notes.mkdir()
    results = pool.map(functools.partial(note_and_hold, notes, flag), range(400))
    until(lambda: len(os.listdir(notes)) == 2)
    threading.Timer(0.2, flag.touch).start()
    pool.shutdown(cancel_futures=True)
    begun = list(notes.glob("*[0-9]"))
    assert len(begun) < 200
    assert len(list(notes.glob("*.ended"))) == len(begun)
    got = []
    with pytest.raises(concurrent.futures.CancelledError):
        for result in results:
            got.append(result)
    assert got == list(range(len(got)))
    assert got[:1] == [0]  # the next may have waited behind it


def test_leaving_the_with_block_waits(make, tmp_path):
    with make(2) as pool:
        futures = [pool.submit(note, tmp_path, i) for i in range(5)]
    assert all(future.done() for future in futures)
    assert len(os.listdir(tmp_path)) == 5
    with pytest.raises(RuntimeError):
        pool.submit(abs, 1)


def test_an_error_in_the_with_block_waits_and_comes_out(make, tmp_path):
    with pytest.raises(OwnError), make(2) as pool:
        futures = [pool.submit(note, tmp_path, i) for i in range(5)]
        raise OwnError(1)
    assert all(future.result() == i for i, future in enumerate(futures))


def test_a_pool_that_was_forgotten_ends_its_calls_and_its_workers(make, tmp_path):
    pool = make(2)
    futures = [pool.submit(hold, tmp_path / "flag", i) for i in range(5)]
    results = pool.map(functools.partial(hold, tmp_path / "flag"), range(5))
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    (tmp_path / "flag").touch()
    assert [future.result(30) for future in futures] == list(range(5))
    assert list(results) == list(range(5))
    # and `nothing_is_left` sees that the workers went


def test_results_are_not_held_by_the_pool(pool):
    future = pool.submit(abs, -1)
    future.result()
    gone = weakref.ref(future)
    del future
    until(lambda: gc.collect() + 1 and gone() is None)


# --- options --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("options", "error"), [
    ({"max_workers": 0}, ValueError), ({"max_workers": -1}, ValueError),
    ({"initializer": 3}, TypeError), ({"max_tasks_per_child": 0}, ValueError),
    ({"max_tasks_per_child": 1.5}, TypeError),
])  # fmt: skip
def test_options_out_of_range_are_refused(make, options, error):
    with pytest.raises(error):
        make(**options)


def test_all_workers_are_used_and_no_more(make):
    for count in (1, 3):
        with make(count) as pool:
            assert len(set(pool.map(pid_after, [0.1] * 9))) == count


def test_the_initializer_runs_once_in_each_worker(make):
    with make(2, initializer=remember, initargs=("a", 1)) as pool:
        submitted = [future.result() for future in [pool.submit(remembered) for _ in range(20)]]
        mapped = [*pool.map(remembered, range(20)), *pool.map(remembered, range(20))]
    assert all(values == [("a", 1)] for _, values in submitted + mapped)
    assert 1 <= len({pid for pid, _ in submitted + mapped}) <= 2


def test_an_initializer_that_raises_breaks_the_pool(make):
    with make(1, initializer=fail, initargs=(OwnError(5),)) as pool:
        pending = [pool.submit(abs, 1) for _ in range(3)]
        for future in pending:
            with pytest.raises(concurrent.futures.BrokenExecutor):
                future.result(30)
        with pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(abs, 1)
        with pytest.raises(concurrent.futures.BrokenExecutor):
            pool.map(abs, [1])
    if make is hanse.Executor:
        assert "OwnError" in str(pending[0].exception())


def test_an_initializer_that_raises_breaks_a_map(make):
    with make(1, initializer=fail, initargs=(OwnError(5),)) as pool:
        with pytest.raises(concurrent.futures.BrokenExecutor):
            next(pool.map(abs, [1, 2]))  # the call itself, where the pool broke already
        with pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(abs, 1)


# --- pickling -------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", [
    (functools.partial(abs, Unpicklable()),), (abs, Unpicklable()), (Unpicklable,),
], ids=["function", "argument", "result"])  # fmt: skip
def test_what_cannot_be_pickled_is_an_error_of_its_call_alone(pool, call):
    future = pool.submit(*call)
    error = future.exception(30)
    assert isinstance(error, pickle.PicklingError)
    assert "never travels" in str(error)
    assert pool.submit(abs, -1).result() == 1


@pytest.mark.parametrize("call", [
    (functools.partial(abs, Unpicklable()), [1]), (abs, [Unpicklable()]),
    (lambda x: 1, [1], "standard only"),
], ids=["function", "argument", "lambda"])  # fmt: skip
def test_what_cannot_be_pickled_is_raised_by_the_iterator_of_map(pool, call):
    if call[-1] == "standard only" and not isinstance(pool, ProcessPoolExecutor):
        assert list(pool.map(*call[:2])) == [1]
        return
    results = pool.map(*call[:2])
    with pytest.raises((pickle.PicklingError, AttributeError)):
        next(results)
    assert pool.submit(abs, -1).result() == 1


def test_a_large_call_travels(pool):
    data = os.urandom(5 << 20)
    assert pool.submit(bytes, data).result() == data


# --- ends of the interpreter ----------------------------------------------------------------------
EXITS = {
    "with calls submitted": """
        pool.submit(say, "one", 0.15)
        pool.submit(say, "two", 0.2)
    """,
    "with a map nobody reads": """
        results = pool.map(say, ["one"], [0.15])
    """,
    "with a call that prints late": """
        pool.submit(say, "one", 0.1)
        pool.submit(print_late, "printed")
    """,
    "with the pool forgotten": """
        pool.submit(say, "one", 0.15)
        del pool
    """,
    "after shutdown without wait": """
        pool.submit(say, "one", 0.15)
        pool.shutdown(wait=False)
    """,
    "after shutdown without wait, forgotten": """
        pool.submit(say, "one", 0.15)
        pool.shutdown(wait=False)
        del pool
    """,
    "by an exception": """
        pool.submit(say, "one", 0.15)
        raise SystemExit(3)
    """,
    "with a future's callback": """
        pool.submit(say, "one", 0.15).add_done_callback(lambda f: print("called", f.exception()))
    """,
    "from a thread that goes on": """
        import threading
        future = pool.submit(say, "one", 0.15)
        def work():
            print("result", future.exception())
        threading.Thread(target=work).start()
    """,
    "having done nothing": "",
}
PROLOGUE = """
        import concurrent.futures, hanse, multiprocessing, os, sys, time
        def say(text, seconds):
            time.sleep(seconds)
            os.write(3, (text + chr(10)).encode())
        def print_late(text):
            time.sleep(0.25)
            print(text)
        def make(**options):
            if sys.argv[1] == "hanse":
                return hanse.Executor(2, **options)
            context = multiprocessing.get_context("spawn" if options else "fork")
            return concurrent.futures.ProcessPoolExecutor(2, context, **options)
"""


@pytest.mark.parametrize("how", EXITS)
def test_an_interpreter_ends_alike_with_either_pool(script: Script, tmp_path, how):
    said = {}
    for which in ("standard", "hanse"):
        notes = tmp_path / which
        text = PROLOGUE.replace("os.write(3", f"os.write(os.open({str(notes)!r}, 1089)")
        done = script(text + "        pool = make()\n" + EXITS[how], which, timeout=30)
        notes.touch()
        assert "Traceback" not in done.stderr, done.stderr
        said[which] = (done.returncode, done.stdout, sorted(notes.read_text().split()))
    assert said["hanse"] == said["standard"]


def test_a_worker_is_replaced_after_so_many_calls(script: Script):
    text = (
        PROLOGUE
        + """
        if __name__ == "__main__":
            for per_child, count in ((1, 4), (2, 6)):
                with make(max_tasks_per_child=per_child) as pool:
                    pids = [pool.submit(os.getpid).result() for _ in range(count // 2)]
                    pids += pool.map(lambda_free_pid, range(count - count // 2))
                print(max(pids.count(pid) for pid in pids) <= per_child)
    """.replace("lambda_free_pid, ", "pid_of, ")
    )
    text = text.replace(
        "def make(", "def pid_of(_):\n            return os.getpid()\n        def make("
    )
    for which in ("standard", "hanse"):
        done = script(text, which)
        assert done.stdout.split() == ["True", "True"], done.stderr


# --- what ours does better ------------------------------------------------------------------------
def test_a_worker_that_dies_costs_only_its_call():
    with hanse.Executor(2) as pool:
        before = pool.submit(abs, -1)
        died = pool.submit(os.kill, 0, signal.SIGKILL)  # its whole group
        left = pool.submit(os._exit, 7)
        after = [pool.submit(abs, -i) for i in range(20)]
        for future in (died, left):
            assert isinstance(future.exception(30), hanse.WorkerDied)
            assert isinstance(future.exception(), concurrent.futures.BrokenExecutor)
        assert "7" in str(left.exception())
        assert before.result() == 1
        assert [future.result() for future in after] == list(range(20))
        results = pool.map(operator.call, [os.getpid, functools.partial(os._exit, 3)])
        assert next(results) > 0
        with pytest.raises(concurrent.futures.BrokenExecutor):
            next(results)
        assert pool.submit(abs, -5).result() == 5


def test_who_names_the_error_of_the_process_pool_catches_ours():
    with hanse.Executor(1) as pool, pytest.raises(concurrent.futures.process.BrokenProcessPool):
        pool.submit(os._exit, 1).result()
    with (
        hanse.Executor(1, initializer=fail, initargs=(OwnError(1),)) as pool,
        pytest.raises(concurrent.futures.process.BrokenProcessPool),
    ):
        pool.submit(abs, 1).result()


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="the standard pool has it there: see the next test"
)
def test_a_buffersize_reads_as_results_are_taken():
    with hanse.Executor(2) as pool:
        _buffersize_bounds_what_is_read(pool)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the standard pool has no buffersize")
def test_a_buffersize_reads_alike(pool):
    _buffersize_bounds_what_is_read(pool)


def _buffersize_bounds_what_is_read(pool: Any) -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="buffersize"):
            pool.map(abs, [1], buffersize=wrong)
    with pytest.raises(TypeError, match="buffersize"):
        pool.map(abs, [1], buffersize="4")
    read: list[int] = []
    results = pool.map(abs, (read.append(i) or i for i in itertools.count()), buffersize=4)
    until(lambda: len(read) == 4)
    assert [next(results) for _ in range(10)] == list(range(10))
    until(lambda: len(read) == 14)
    results.close()
    read.clear()
    left_over = pool.map(abs, (read.append(i) or -i for i in itertools.count()), buffersize=2)
    assert next(left_over) == 0
    until(lambda: len(read) == 3)  # in a thread, with `hanse`
    assert list(pool.map(pow, [2, 3], itertools.count(), buffersize=10)) == [1, 3]
    pool.shutdown()
    assert [next(left_over), next(left_over)] == [1, 2]
    with pytest.raises(RuntimeError, match="after shutdown"):
        next(left_over)


@pytest.mark.parametrize("how", ["terminate_workers", "kill_workers"])
def test_workers_can_be_ended_at_once(how, tmp_path):
    if sys.version_info >= (3, 14):
        _all_calls_end(STANDARD(2), how, tmp_path / "never")
    _all_calls_end(hanse.Executor(2), how, tmp_path / "never")


def _all_calls_end(pool: Any, how: str, never: Path) -> None:
    running = [pool.submit(hold, never) for _ in range(2)]
    waiting = [pool.submit(hold, never) for _ in range(9)]
    until(lambda: all(future.running() for future in running))
    results = pool.map(functools.partial(hold, never), range(3))
    getattr(pool, how)()
    for future in running:
        assert isinstance(future.exception(60), concurrent.futures.BrokenExecutor)
    concurrent.futures.wait(waiting, 10)
    assert all(future.done() for future in waiting)
    with pytest.raises((concurrent.futures.CancelledError, concurrent.futures.BrokenExecutor)):
        next(results)
    with pytest.raises(RuntimeError):
        pool.submit(abs, 1)
    pool.shutdown()


def test_idle_workers_are_kept_up_to_max_workers():
    count = (os.cpu_count() or 1) + 2
    with hanse.Executor(count) as pool:
        first = set(pool.map(pid_after, [0.2] * count))
        assert set(pool.map(pid_after, [0.2] * count)) == first


def test_a_clients_executor_leaves_the_client_open(client):
    with client.executor() as pool:
        assert pool.submit(abs, -1).result() == 1
    assert client.submit(abs, -2).result() == 2
    with pytest.raises(RuntimeError):
        pool.submit(abs, 1)


def test_a_task_keeps_its_options_in_an_executor(client):
    attempts = hanse.task(retries=2)(_third)
    with client.executor() as pool:
        assert pool.submit(attempts).result() == 3
        assert list(pool.map(hanse.task(retries=2)(_third_of), [1, 2])) == [3, 3]


def _third() -> int:
    item = hanse.current_item()
    assert item is not None
    if item.attempt < 3:
        raise OSError("not yet")
    return item.attempt


def _third_of(_: int) -> int:
    return _third()


def test_nothing_of_the_pool_is_left_though_a_call_never_ends(tmp_path):
    pool = hanse.Executor(1)
    future = pool.submit(hold, tmp_path / "flag")
    until(future.running)
    pool.kill_workers()
    assert isinstance(future.exception(60), hanse.WorkerDied)
