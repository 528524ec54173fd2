"""What every engine must keep. Functions are defined inside tests, so they travel by value."""

from __future__ import annotations

import operator
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import Bench, Running, eventually, program

from hanse.engines.port import Block, Cut, End, ItemFailed, Program, Saved, Segment
from hanse.errors import OutOfMemory, TaskError, WorkerDied
from hanse.model.failure import Cause
from hanse.model.usage import Usage, bucket_of
from hanse.payloads.exceptions import to_exception
from hanse.payloads.payload import dump_each, dump_one, join, load_one

# These speak with their items through files and process ids, which a sandbox is there to prevent.
outside = pytest.mark.parametrize("make", ["local", "ray"], indirect=True)


def touch(path: Path) -> None:
    Path(path).touch()


# --- results --------------------------------------------------------------------------------------
def test_results_of_a_range_come_once_and_in_order(bench: Bench) -> None:
    running = bench.run(lambda x: x * x, range(10_000))
    assert running.end().end is End.DONE
    assert running.reported() == list(range(10_000))
    assert running.results() == {x: x * x for x in range(10_000)}


def test_a_work_may_start_anywhere_in_its_job_and_in_its_blocks(bench: Bench) -> None:
    from hanse.engines.port import Block, Work
    from hanse.ids import LeaseId
    from hanse.payloads.payload import dump_batch

    blocks = [Block(100, dump_batch(range(100, 200))), Block(200, dump_batch(range(200, 300)))]
    work = Work(LeaseId(999_999), 150, 250, program(lambda x: -x), blocks)
    bench.call(lambda: bench.engine.start(work))
    bench.wait(lambda: bench.events and getattr(bench.events[-1], "end", None))
    values = [
        load_one(s.payload, i - s.start)
        for s in bench.events
        if isinstance(s, Segment)
        for i in range(s.start, s.stop)
    ]
    assert values == [-x for x in range(150, 250)]


@outside
def test_results_stream_before_the_end(bench: Bench, tmp_path: Path) -> None:
    def wait_at_five(x: int) -> int:
        import time

        while x == 5 and not (tmp_path / "go").exists():
            time.sleep(0.005)
        return x

    running = bench.start(program(wait_at_five), range(8))
    bench.wait(lambda: running.of(Segment) and running.of(Segment)[-1].stop == 5)
    assert bench.call(lambda: bench.engine.begun(running.work.lease)) == 5
    touch(tmp_path / "go")
    running.end()
    assert running.reported() == list(range(8))


def test_what_an_item_saves_is_told_and_a_later_attempt_finds_it(bench: Bench) -> None:
    def counts(item: int) -> list[int]:
        import hanse

        ckpt = hanse.checkpoint()
        made: list[int] = ckpt.load([])
        ckpt.save([*made, item])
        return made

    running = bench.start(program(counts), range(3), saved={1: dump_one([7])}, loss_ns=1)
    running.end()
    assert running.results() == {0: [], 1: [7], 2: []}
    saves = [event for event in bench.events if isinstance(event, Saved)]
    assert {event.lease for event in saves} == {running.work.lease}
    assert {event.item: load_one(event.payload) for event in saves} == {0: [0], 1: [7, 1], 2: [2]}


@outside
def test_it_is_time_to_save_when_a_lease_is_to_end_behind_its_item(bench: Bench) -> None:
    def waits(item: int) -> int:
        import time

        import hanse

        ckpt = hanse.checkpoint()
        ckpt.save("begun")
        while not ckpt.due():
            time.sleep(0.005)
        ckpt.save("again")
        return int(ckpt.due())

    running = bench.start(program(waits), range(5))
    bench.wait(lambda: any(isinstance(event, Saved) for event in bench.events))
    bench.call(lambda: bench.engine.cut(running.work.lease, 0))
    running.end()
    assert running.results() == {0: 0}
    saves = [load_one(event.payload) for event in bench.events if isinstance(event, Saved)]
    assert saves == ["begun", "again"]


def test_starred_items_are_spread_into_arguments(bench: Bench) -> None:
    running = bench.run(operator.add, [(x, 1) for x in range(500)], star=True)
    assert running.results() == {x: x + 1 for x in range(500)}


def test_calls_name_their_functions_and_refer_to_results(bench: Bench) -> None:
    class Later:
        def __reduce__(self) -> Any:
            from hanse.payloads.references import resolve

            return resolve, ("j-other", 7)

    calls = [(1, (1, 2), {}), (2, ([3, 1],), {"reverse": True}), (1, (Later(), 1), {})]

    running = bench.run(
        None,
        calls,
        blocks=[Block(0, join([dump_one(call) for call in calls]))],
        functions={1: dump_one(operator.add), 2: dump_one(sorted)},
        values={("j-other", 7): dump_one(41)},
    )
    assert running.results() == {0: 3, 1: [3, 1], 2: 42}


class ResultOf:
    """Stands for the result of an item of the same work."""

    def __init__(self, work: Program, item: int) -> None:
        self.reference = work.job, item

    def __reduce__(self) -> Any:
        from hanse.payloads.references import resolve

        return resolve, self.reference


def linked(bench: Bench, calls: list[Any], links: dict[int, int], work: Program) -> Running:
    blocks = [Block(0, join([dump_one(call) for call in calls]))]
    return bench.start(work, calls, blocks=blocks, links=links)


def test_items_get_copies_of_the_results_of_items_before_them(bench: Bench) -> None:
    work = program(None, each=True)
    one, two = ResultOf(work, 0), ResultOf(work, 1)
    calls = [
        (sorted, ([3, 1],), {}), (operator.iadd, (one, [5]), {}),
        (operator.add, (one, two), {}), (len, (one,), {}),
    ]  # fmt: skip
    running = linked(bench, calls, {0: 3, 1: 2}, work)
    running.end()
    assert running.results() == {0: [1, 3], 1: [1, 3, 5], 2: [1, 3, 1, 3, 5], 3: 2}


@outside
def test_items_without_the_result_that_they_need_are_not_begun(bench: Bench, tmp_path: Any) -> None:
    def die(_: Any) -> None:
        while not (tmp_path / "go").exists():
            time.sleep(0.005)
        os._exit(1)

    work = program(None, each=True)
    begun = str(tmp_path / "begun")
    failed, done = ResultOf(work, 0), ResultOf(work, 2)
    calls = [
        (operator.truediv, (1, 0), {}), (open, (begun, failed), {}), (abs, (-1,), {}),
        (die, (done,), {}), (abs, (done,), {}), (abs, (-7,), {}),
    ]  # fmt: skip
    running = linked(bench, calls, {0: 1, 2: 4}, work)
    bench.wait(lambda: running.of(Segment))
    touch(tmp_path / "go")  # another worker goes on behind what is reported
    running.end()
    causes = {item: failure.cause for item, failure in running.failures().items()}
    raised, dependency = Cause.RAISED, Cause.DEPENDENCY
    assert causes == {0: raised, 1: dependency, 3: Cause.DIED, 4: dependency}
    assert running.results() == {2: 1, 5: 7}
    assert not os.path.exists(begun)


def test_a_fold_reports_one_value_per_segment(bench: Bench) -> None:
    running = bench.run(lambda x: x, range(1000), fold=operator.add)
    assert sum(load_one(segment.payload) for segment in running.of(Segment)) == sum(range(1000))
    assert running.reported() == list(range(1000))


def test_cancelled_items_are_skipped(bench: Bench) -> None:
    running = bench.run(lambda x: x, range(6), skip=frozenset({0, 3, 5}))
    assert running.results() == {0: None, 1: 1, 2: 2, 3: None, 4: 4, 5: None}


def keeper(kind: str) -> Any:
    """A function that returns the same object every time, and changes it."""

    def again(x: int, kept: dict[str, Any] = {}) -> Any:  # noqa: B006 - it is the point
        import numpy as np

        if not kept:
            kept["it"] = np.zeros(1 if kind == "array" else 50_000) if "array" in kind else [0]
        kept["it"][0] = x
        return x if kind == "late" and x < 3000 else kept["it"]

    return again


@pytest.mark.parametrize("kind", ["list", "array", "large array", "late"])
@pytest.mark.parametrize("each", [False, True])
def test_a_result_is_what_it_was_when_its_item_returned(
    bench: Bench, kind: str, each: bool
) -> None:
    count = 30 if kind == "large array" else 4000
    results = bench.run(keeper(kind), range(count), each=each).results()
    assert [int(x if isinstance(x, int) else x[0]) for x in results.values()] == list(range(count))


def test_a_fold_gets_each_result_as_it_was(bench: Bench) -> None:
    def append(one: Any, other: Any) -> Any:
        return [*one, *other]

    running = bench.run(keeper("list"), range(3000), fold=append, skip=frozenset({7}))
    values = [value for segment in running.of(Segment) for value in load_one(segment.payload)]
    assert values == [x for x in range(3000) if x != 7]
    largest = bench.run(keeper("list"), range(100), fold=lambda a, b: a if a[0] == 50 else b)
    assert [load_one(s.payload) for s in largest.of(Segment)] == [[50]]


def test_items_share_no_argument(bench: Bench) -> None:

    def append(values: list[int]) -> list[int]:
        values.append(1)
        return values

    shared: list[int] = []
    blocks = [Block(0, dump_each([shared] * 500))]
    for _ in range(2):  # the worker holds the block by the second time
        assert bench.run(append, range(500), blocks=blocks).results() == {
            x: [1] for x in range(500)
        }


def test_a_cancelled_call_among_others_is_skipped(bench: Bench) -> None:

    calls = [(1, (-1,), {}), None, (1, (-3,), {})]  # its arguments are gone already
    running = bench.run(
        None,
        calls,
        each=True,
        blocks=[Block(0, join([dump_one(call) for call in calls]))],
        functions={1: dump_one(abs)},
        skip=frozenset({1}),
    )
    assert running.results() == {0: 1, 1: None, 2: 3}


def test_current_item_is_exact_in_short_items_too(bench: Bench) -> None:
    def who(x: int) -> Any:
        from hanse.engines.local.current import current_item

        item = current_item()
        return item.index, item.key, item.attempt

    running = bench.run(who, range(5000), attempts={7: 3})
    assert running.results() == {
        x: (x, f"j-000000000001/{x}", 3 if x == 7 else 1) for x in range(5000)
    }


def test_a_warm_worker_is_used_again(bench: Bench) -> None:
    pids = {bench.run(lambda x: __import__("os").getpid(), [1]).results()[0] for _ in range(5)}
    assert len(pids) == 1


# --- items that raise -----------------------------------------------------------------------------
def test_an_item_that_raises_costs_only_itself(bench: Bench) -> None:
    def invert(x: int) -> float:
        print("inverting", x)
        return 1 / x

    running = bench.run(invert, [2, 0, 4])
    assert running.results() == {0: 0.5, 2: 0.25}
    failure = running.failure()
    assert (failure.cause, failure.item, failure.type) == (Cause.RAISED, 1, "ZeroDivisionError")
    assert failure.output == "inverting 0\n"
    assert "return 1 / x" in failure.traceback
    assert "running.py" not in failure.traceback
    error = to_exception(failure)
    assert isinstance(error, ZeroDivisionError)
    assert isinstance(error.__cause__, TaskError)


def test_the_failing_item_of_a_micro_batch_is_known(bench: Bench) -> None:
    def odd(x: int) -> int:
        if x % 1000 == 999:
            raise ValueError(x)
        return x

    running = bench.run(odd, range(5000))
    assert {item: failure.message for item, failure in running.failures().items()} == {
        x: str(x) for x in range(999, 5000, 1000)
    }
    assert running.reported() == list(range(5000))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
def test_an_exception_of_any_kind_is_a_failure_of_its_item(
    bench: Bench, error: BaseException
) -> None:
    def strange(x: int) -> int:
        if x == 300:
            raise error
        return x

    running = bench.run(strange, range(500))
    assert running.failure().type == type(error).__name__
    assert len(running.results()) == 499


def test_an_exception_that_cannot_be_rebuilt_becomes_a_task_error(bench: Bench) -> None:
    class Picky(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    def fail(x: int) -> None:
        raise Picky(1, 2)

    error = to_exception(bench.run(fail, [1]).failure())
    assert type(error) is TaskError
    assert "1 and 2" in str(error)


def test_an_exception_of_a_class_by_value_comes_back_as_that_class(bench: Bench) -> None:
    class Mine(Exception):
        pass

    def fail(x: int) -> None:
        raise Mine("so")

    import cloudpickle

    assert cloudpickle
    assert type(to_exception(bench.run(fail, [1]).failure())).__name__ == "Mine"


@pytest.mark.parametrize("fold", [None, operator.add])
def test_exits_while_an_item_is_reported_cost_only_that_item(bench: Bench, fold: Any) -> None:
    def leave(*_: Any) -> Any:
        raise SystemExit(3)

    class Silent(Exception):
        __str__ = __repr__ = leave

    class Bound:
        __reduce__ = __repr__ = leave

    def run(x: int) -> Any:
        if x == 1:
            raise Silent
        return Bound() if x == 3 and fold is None else os.getpid()

    running = bench.run(run, range(5), fold=fold)
    causes = {item: failure.cause for item, failure in running.failures().items()}
    if fold is None:
        assert causes == {1: Cause.RAISED, 3: Cause.RESULT}
        assert len(set(running.results().values())) == 1, "the worker lives on"
    else:
        assert causes == {1: Cause.RAISED}
    assert running.reported() == list(range(5))


def test_a_fold_whose_total_exits_when_it_is_pickled_fails_its_items(bench: Bench) -> None:
    class Bound:
        def __reduce__(self) -> Any:
            raise SystemExit(3)

    failures = bench.run(lambda x: x, range(3), fold=lambda one, other: Bound()).failures()
    assert {item: failure.cause for item, failure in failures.items()} == dict.fromkeys(
        range(3), Cause.RESULT
    )


# --- workers that die -----------------------------------------------------------------------------
def crash_by_signal(x: int) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


DEATHS = {
    "segfault": (lambda: __import__("ctypes").string_at(0), "SIGSEGV", None),
    "exit": (lambda: os._exit(7), None, 7),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL", None),
}


@pytest.mark.parametrize("death", DEATHS)
def test_an_item_that_kills_its_worker_costs_only_itself(bench: Bench, death: str) -> None:
    die, name, code = DEATHS[death]

    def deadly(x: int) -> int:
        import time

        if x == 5:
            print("about to die")
            die()
        time.sleep(0.0001)
        return x

    running = bench.run(deadly, range(10))
    failure = running.failure()
    assert (failure.cause, failure.item) == (Cause.DIED, 5)
    assert (failure.signal, failure.exit_code) == (name, code)
    assert "about to die" in failure.output
    assert sorted(running.results()) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert isinstance(to_exception(failure), WorkerDied)


def test_the_deadly_item_of_a_micro_batch_is_found(bench: Bench) -> None:
    def deadly(x: int) -> int:
        if x == 3333:
            import os

            os._exit(1)
        return x

    running = bench.run(deadly, range(5000))
    assert list(running.failures()) == [3333]
    assert sorted(running.reported()) == list(range(5000))


@outside
def test_a_worker_killed_from_outside_fails_the_item_that_ran(bench: Bench, tmp_path: Path) -> None:
    def run(x: int) -> int:
        import os
        import time

        time.sleep(0.001)  # long enough to run by itself
        if x == 2 and not (tmp_path / "pid").exists():
            (tmp_path / "new").write_text(str(os.getpid()))
            (tmp_path / "new").rename(tmp_path / "pid")
            time.sleep(60)
        return x

    running = bench.start(program(run), range(4))
    eventually((tmp_path / "pid").exists)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    running.end()
    assert running.failure().item == 2
    assert running.failure().signal == "SIGKILL"
    assert sorted(running.results()) == [0, 1, 3]


def test_a_worker_killed_while_idle_is_not_missed(bench: Bench) -> None:
    pid = bench.run(lambda x: __import__("os").getpid(), [1]).results()[0]
    os.kill(pid, signal.SIGKILL)
    for _ in range(3):
        assert bench.run(lambda x: x, range(3)).results() == {0: 0, 1: 1, 2: 2}


def test_a_function_that_kills_while_it_is_loaded_loses_the_work(bench: Bench) -> None:
    class Deadly:
        def __reduce__(self) -> Any:
            return os._exit, (9,)

    running = bench.run(Deadly(), range(3))
    assert running.end().end is End.LOST
    assert "exit code 9" in running.end().because


# --- limits ---------------------------------------------------------------------------------------
def test_an_item_past_its_timeout_is_killed_and_the_rest_runs(bench: Bench) -> None:
    def slow(x: int) -> int:
        import time

        if x == 1:
            print("sleeping")
            time.sleep(600)
        return x

    running = bench.run(slow, range(4), timeout_ns=2_000_000_000)
    failure = running.failure()
    assert (failure.cause, failure.item, failure.limit) == (Cause.TIMEOUT, 1, "2 s")
    assert "sleeping" in failure.output
    assert sorted(running.results()) == [0, 2, 3]


class Slow:
    """Takes for ever to read."""

    def __reduce__(self) -> Any:
        return time.sleep, (600,)


@pytest.mark.parametrize("what", ["initializer", "function"])
def test_a_timeout_bounds_loading_too(bench: Bench, what: str) -> None:
    if what == "initializer":
        more: Any = {"initializer": (time.sleep, (600,))}
        running = bench.run(abs, range(3), timeout_ns=200_000_000, **more)
    else:
        running = bench.run(Slow(), range(3), timeout_ns=200_000_000)
    assert sorted(running.failures()) == [0, 1, 2]
    for failure in running.failures().values():
        assert failure.cause is Cause.TIMEOUT
        assert "timeout=200 ms (its function, initializer or arguments" in failure.what()
    assert running.end().end is End.DONE


def test_an_argument_that_hangs_while_it_is_read_costs_only_its_item(bench: Bench) -> None:

    values = [1, Slow(), 3]
    running = bench.run(
        lambda x: x, values, timeout_ns=2_000_000_000, blocks=[Block(0, dump_each(values))]
    )
    assert (running.failure().item, running.failure().cause) == (1, Cause.TIMEOUT)
    assert running.results() == {0: 1, 2: 3}


@pytest.mark.parametrize("sudden", [True, False])
def test_an_item_past_its_memory_is_ended_and_the_rest_runs(bench: Bench, sudden: bool) -> None:
    def grow(x: int) -> int:
        import time

        if x == 1 and sudden:
            return len(bytearray(1 << 30))
        if x == 1:
            import mmap

            kept = mmap.mmap(-1, 1 << 28)  # shared: RLIMIT_DATA does not count it
            for at in range(0, 1 << 28, 4096):
                kept[at] = 1
            time.sleep(60)
        return x

    running = bench.run(grow, range(3), memory_bytes=100 << 20)
    failure = running.failure()
    assert (failure.cause, failure.item, failure.limit) == (Cause.MEMORY, 1, "100 MiB")
    assert isinstance(to_exception(failure), OutOfMemory)
    assert sorted(running.results()) == [0, 2]


# --- cut and cancel -------------------------------------------------------------------------------
@outside
def test_a_cut_is_answered_and_nothing_past_it_begins(bench: Bench, tmp_path: Path) -> None:
    def step(x: int) -> int:
        import time

        (tmp_path / str(x)).touch()
        while x == 2 and not (tmp_path / "go").exists():
            time.sleep(0.005)
        return x

    running = bench.start(program(step), range(50))
    eventually((tmp_path / "2").exists)
    assert running.cut(1) == 3, "the running item cannot be given away"
    touch(tmp_path / "go")
    assert running.end().end is End.DONE
    assert running.reported() == [0, 1, 2]
    assert not (tmp_path / "3").exists()


def test_a_cut_of_short_items_agrees_with_what_ran(bench: Bench) -> None:
    running = bench.start(program(lambda x: x), range(3_000_000))
    stop = running.cut(1000)
    running.end()
    assert running.reported() == list(range(stop))
    assert stop < 3_000_000


def test_a_cut_and_the_stream_reach_into_a_batch_of_items_that_turn_long(bench: Bench) -> None:
    def turn(x: int) -> int:
        import time

        if x > 20_000:
            time.sleep(0.01)
        return x

    running = bench.start(program(turn), range(40_000))
    bench.wait(lambda: running.of(Segment) and running.of(Segment)[-1].stop > 20_003)
    begun = bench.call(lambda: bench.engine.begun(running.work.lease))
    assert begun > 20_000
    stop = running.cut(0)
    assert begun < stop < 20_500
    running.end()
    assert running.reported() == list(range(stop))


def test_a_cut_past_the_stop_changes_nothing(bench: Bench) -> None:
    running = bench.start(program(lambda x: x), range(1000))
    bench.call(lambda: bench.engine.cut(running.work.lease, 5000))
    running.end()
    assert running.reported() == list(range(1000))
    assert all(cut.stop == 1000 for cut in running.of(Cut))


@outside
def test_cancel_stops_the_code_and_its_descendants(bench: Bench, tmp_path: Path) -> None:
    def spawn(x: int) -> None:
        import subprocess
        import sys
        import time

        script = (
            "import os, subprocess, sys, time; "
            "p = subprocess.Popen(['sleep', '600'], start_new_session=True); "
            f"open({str(tmp_path / 'new')!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}'); "
            f"os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pids')!r}); "
            "time.sleep(600)"
        )
        subprocess.Popen([sys.executable, "-S", "-c", script])
        time.sleep(600)

    running = bench.start(program(spawn), range(3))
    eventually((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert running.cancel().end is End.CANCELLED
    eventually(lambda: not any(map(alive, pids)))
    assert not running.failures()


def test_a_cancelled_short_work_keeps_its_worker(bench: Bench) -> None:
    pid = bench.run(lambda x: __import__("os").getpid(), [1]).results()[0]
    running = bench.start(program(lambda x: __import__("time").sleep(0.002)), range(10_000))
    assert running.cancel().end is End.CANCELLED
    assert bench.run(lambda x: __import__("os").getpid(), [1]).results()[0] == pid


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- what cannot travel ---------------------------------------------------------------------------
def test_a_function_that_cannot_be_loaded_there_fails_its_items_with_the_reason(
    bench: Bench,
) -> None:
    class Gone:
        def __reduce__(self) -> Any:
            return __import__, ("no_such_module",)

    failures = bench.run(Gone(), range(3)).failures()
    assert [failure.cause for failure in failures.values()] == [Cause.ARGUMENT] * 3
    assert "no_such_module" in failures[0].message


def test_an_argument_that_cannot_be_read_there_costs_only_its_item(bench: Bench) -> None:
    class Gone:
        def __reduce__(self) -> Any:
            return __import__, ("no_such_module",)

    values = [1, Gone(), 3]
    running = bench.run(lambda x: x, values, blocks=[Block(0, dump_each(values))])
    assert running.failure().cause is Cause.ARGUMENT
    assert running.results() == {0: 1, 2: 3}


def test_a_result_that_cannot_travel_costs_only_itself(bench: Bench) -> None:
    running = bench.run(lambda x: (y for y in ()) if x == 1 else x, range(3))
    assert running.failure().cause is Cause.RESULT
    assert "generator" in running.failure().message
    assert running.results() == {0: 0, 2: 2}


def test_a_result_that_cannot_be_read_here_costs_only_itself(bench: Bench) -> None:
    def result(x: int) -> Any:
        class Gone:
            def __reduce__(self) -> Any:
                return __import__, ("no_such_module",)

        return Gone() if x == 1 else x

    read, unreadable = [], []
    for segment in bench.run(result, range(3)).of(Segment):
        for item in range(segment.start, segment.stop):
            try:
                read.append(load_one(segment.payload, item - segment.start))
            except ModuleNotFoundError:
                unreadable.append(item)
    assert (read, unreadable) == ([0, 2], [1])


# --- large data -----------------------------------------------------------------------------------
def test_large_arrays_and_bytes_travel_writable_and_leave_nothing(bench: Bench) -> None:
    import numpy as np

    def change(value: Any) -> Any:
        if isinstance(value, bytes):
            return value[::-1]
        value += 1
        return value

    before = set(os.listdir("/dev/shm"))
    array, text = np.arange(1_000_000.0), bytes(range(256)) * 4096
    results = bench.run(change, [array, text]).results()
    assert array[0] == 0, "what a worker writes stays private"
    assert np.array_equal(results[0], array + 1)
    results[0][0] = 5
    assert results[1] == text[::-1]
    assert set(os.listdir("/dev/shm")) == before


def test_a_large_result_can_be_passed_on_as_an_argument(bench: Bench) -> None:
    import numpy as np

    class Later:
        def __reduce__(self) -> Any:
            from hanse.payloads.references import resolve

            return resolve, ("j-other", 0)

    (segment,) = bench.run(lambda x: __import__("numpy").ones(100_000), [1]).of(Segment)
    running = bench.run(
        None,
        [(1, (Later(),), {})],
        functions={1: dump_one(np.sum)},
        values={("j-other", 0): segment.payload},
    )
    assert running.results() == {0: 100_000}


@outside
def test_a_value_that_was_put_is_read_once_per_worker(bench: Bench, tmp_path: Path) -> None:

    class Put:
        def __reduce__(self) -> Any:
            from hanse.payloads.references import resolve

            return resolve, ("put", 7)

    class Value:
        def __reduce__(self) -> Any:
            return read, ()

    def read(path: Path = tmp_path / "reads") -> int:
        with path.open("a") as file:
            file.write("x")
        return 41

    value = dump_one(Value())
    for _ in range(3):
        running = bench.run(
            lambda x: x + 1,
            range(3),
            blocks=[Block(0, dump_each([Put()] * 3))],
            values={("put", 7): value},
        )
        assert running.results() == {0: 42, 1: 42, 2: 42}
    assert (tmp_path / "reads").read_text() == "x"
    more = {("put", number): dump_one(number) for number in range(100)}
    for number in (7, 99, 7):
        running = bench.run(abs, [1], blocks=[Block(0, dump_each([Put()]))], values=more)
        assert running.results() == {0: 7}, number


@outside
def test_modules_are_found_in_places_that_were_added_later(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(abs, [1])
    (tmp_path / "added_later.py").write_text("def answer(x): return x + 41\n")
    monkeypatch.syspath_prepend(tmp_path)
    from added_later import answer  # type: ignore[import-not-found]

    assert bench.run(answer, [1]).results() == {0: 42}


# --- output, initializers, recycling --------------------------------------------------------------
def test_an_initializer_runs_once_per_worker(bench: Bench) -> None:
    def begin(value: int) -> None:
        import sys

        sys.begun = getattr(sys, "begun", 0) + value  # type: ignore[attr-defined]

    one = program(lambda x: __import__("sys").begun, initializer=(begin, (5,)))
    for _ in range(3):
        running = bench.start(one, range(3))
        running.end()
        assert running.results() == {0: 5, 1: 5, 2: 5}


def test_a_failing_initializer_fails_every_item(bench: Bench) -> None:
    failures = bench.run(lambda x: x, range(3), initializer=(operator.truediv, (1, 0))).failures()
    assert [failure.cause for failure in failures.values()] == [Cause.INITIALIZER] * 3


def test_a_worker_is_replaced_after_its_number_of_items(bench: Bench) -> None:
    running = bench.run(lambda x: __import__("os").getpid(), range(7), max_items_per_worker=3)
    pids = list(running.results().values())
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def test_many_works_run_at_once(bench: Bench, tmp_path: Path) -> None:
    def meet(x: int) -> int:
        import time

        (tmp_path / str(x)).touch()
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.002)
        return x

    runnings = [bench.start(program(meet), [x], start=x) for x in range(3)]
    assert [running.end().end for running in runnings] == [End.DONE] * 3


def test_no_thread_is_left_after_close(factory: Any) -> None:
    made = Bench(factory)
    made.run(print, range(3))
    made.close()
    assert threading.enumerate() == [threading.main_thread()]


# --- what items took ------------------------------------------------------------------------------
def used(running: Running) -> Usage:
    total = Usage()
    for event in running.of(Segment) + running.of(ItemFailed):
        total = total.plus(event.usage)
    return total


def test_every_item_is_counted_at_its_own_time(bench: Bench) -> None:
    def nap(seconds: float) -> None:
        import time

        time.sleep(seconds)

    took = used(bench.run(nap, [0.001, 0.01, 0.01, 0.2])).times
    assert sum(took.values()) == 4
    for seconds, items in ((0.2, 1), (0.01, 3), (0.001, 4)):
        least = bucket_of(int(seconds * 1e9))
        assert sum(count for bucket, count in took.items() if bucket >= least) >= items


@pytest.mark.parametrize("kind", ["flat", "list", "folded"])
def test_short_items_are_all_counted(bench: Bench, kind: str) -> None:
    function = (lambda x: [x]) if kind == "list" else (lambda x: x)
    more = {"fold": operator.add} if kind == "folded" else {}
    began_ns = time.monotonic_ns()
    took = used(bench.run(function, range(50_000), **more))
    in_all_ns = time.monotonic_ns() - began_ns
    assert took.items == 50_000
    # One worker ran them one after another; what a bucket tells is right within 7 %.
    assert took.quantile_ns(0.5) * 25_000 < 1.1 * in_all_ns


def test_failed_items_are_counted_with_their_time(bench: Bench) -> None:
    def fail(x: int) -> None:
        import time

        time.sleep(0.05)
        raise ValueError(x)

    running = bench.run(fail, range(2))
    for event in running.of(ItemFailed):
        assert event.usage.items == 1
        assert min(event.usage.times) >= bucket_of(50_000_000)
        assert event.busy_ns >= 50_000_000


def test_processor_time_is_what_was_computed_and_not_what_was_slept(bench: Bench) -> None:
    def busy(seconds: float) -> None:
        import time

        until = time.process_time() + seconds
        while time.process_time() < until:
            pass

    def idle(seconds: float) -> None:
        import time

        time.sleep(seconds)

    assert used(bench.run(busy, [0.3])).cpu_ns >= 300_000_000
    assert used(bench.run(idle, [0.3])).cpu_ns < 150_000_000


def test_processor_time_of_children_that_were_waited_for_counts(bench: Bench) -> None:
    def call(_: int) -> None:
        import subprocess
        import sys

        code = "import time\nwhile time.process_time() < 0.3: pass"
        subprocess.run([sys.executable, "-c", code], check=True)

    assert used(bench.run(call, [0])).cpu_ns >= 250_000_000


def test_peak_memory_is_that_of_the_lease_and_not_of_an_earlier_one(bench: Bench) -> None:
    def hold(count: int) -> int:
        import time

        data = bytearray(count)
        data[::4096] = b"\1" * len(data[::4096])
        time.sleep(0.02)
        return count

    the_program = program(hold)
    peaks = []
    for count in (200 << 20, 1 << 20):
        running = bench.start(the_program, [count])
        running.end()
        peaks.append(used(running).peak_bytes)
    assert peaks[0] > 200 << 20
    assert 0 < peaks[1] < 150 << 20


def test_an_item_that_was_killed_for_memory_says_how_much_was_seen(bench: Bench) -> None:
    def hoard(_: int) -> None:
        import mmap
        import time

        kept = []
        while True:  # shared memory, which no limit of the process counts
            area = mmap.mmap(-1, 16 << 20)
            area.write(b"\1" * (16 << 20))
            kept.append(area)
            time.sleep(0.01)

    running = bench.run(hoard, [0], memory_bytes=64 << 20)
    (event,) = running.of(ItemFailed)
    assert event.failure.cause is Cause.MEMORY
    assert event.usage.peak_bytes > 64 << 20
    assert event.usage.items == 1
