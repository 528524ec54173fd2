"""What goes wrong is told in full, and costs no more than it must."""

from __future__ import annotations

import concurrent.futures
import functools
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from system.real import Script

import hanse


class CannotBeRebuilt(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class CannotBeRead:
    def __reduce__(self):
        return int, ("not a number",)


class Counter:
    def __init__(self, step: int) -> None:
        self.step = step

    def next(self, x: int) -> int:
        return x + self.step


def reciprocal(x: int) -> float:
    print("about to divide by", x)
    return 1 / x


def test_the_original_exception_is_raised_with_the_whole_story(client):
    with pytest.raises(ZeroDivisionError) as caught:
        list(client.map(reciprocal, [1, 0]))
    story = caught.value.__cause__
    assert isinstance(story, hanse.TaskError)
    failure = story.failure
    assert failure.item == 1
    assert failure.attempt == 1
    assert failure.host
    assert failure.pid != os.getpid()
    assert "reciprocal" in failure.function
    assert "return 1 / x" in failure.traceback
    assert "hanse/" not in failure.traceback
    assert "about to divide by 0" in failure.output
    assert "about to divide by 1" not in failure.output
    assert "item 1" in caught.value.__notes__[0]


def test_collected_errors_take_the_place_of_results(client):
    results = list(client.map(reciprocal, [1, 0, 2], on_error="collect"))
    assert results[0] == 1
    assert isinstance(results[1], ZeroDivisionError)
    assert results[2] == 0.5


def test_what_is_handed_out_before_an_error_is_right_and_in_order(client):
    got = []
    with pytest.raises(ZeroDivisionError):
        for result in client.map(lambda x: 1 // (x - 90_000), range(100_000)):
            got.append(result)
    assert len(got) <= 90_000
    assert got == [1 // (x - 90_000) for x in range(len(got))]


def test_waiting_for_a_failed_job_raises(client):
    job = client.map(reciprocal, [0])
    with pytest.raises(ZeroDivisionError):
        job.wait()
    assert job.state == "failed"


def test_an_exception_that_cannot_be_rebuilt_is_told_in_words(client):
    def fail(_: int) -> None:
        raise CannotBeRebuilt(1, 2)

    with pytest.raises(hanse.TaskError, match="CannotBeRebuilt: 1 and 2"):
        list(client.map(fail, [0]))


@pytest.mark.parametrize("fatal", [SystemExit(3), KeyboardInterrupt()])
def test_an_item_that_exits_fails_and_its_worker_goes_on(client, fatal):
    def fail(x: int) -> int:
        if x == 1:
            raise fatal
        return os.getpid()

    results = list(client.map(fail, range(4), on_error="collect"))
    assert isinstance(results[1], type(fatal))


@pytest.mark.parametrize("how", ["segfault", "exit", "kill"])
def test_an_item_that_kills_its_worker_costs_only_itself(client, how):
    def die(x: int) -> int:
        if x == 777 and how == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if x == 777 and how == "exit":
            os._exit(9)
        if x == 777 and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    results = list(client.map(die, range(2000), on_error="collect"))
    error = results.pop(777)
    assert results == [x for x in range(2000) if x != 777]
    assert isinstance(error, hanse.WorkerDied)
    assert isinstance(error, concurrent.futures.BrokenExecutor)
    failure = error.failure
    assert failure.item == 777
    assert failure.signal == {"segfault": "SIGSEGV", "kill": "SIGKILL"}.get(how)
    assert failure.exit_code == (9 if how == "exit" else None)


def test_a_worker_killed_from_outside_costs_no_item(client, tmp_path):
    def note(x: int) -> int:
        (tmp_path / f"{x}-{os.getpid()}").touch()
        time.sleep(0.02)
        return x

    job = client.map(note, range(60))
    results = iter(job)
    assert next(results) == 0
    pids = {int(path.name.split("-")[1]) for path in tmp_path.iterdir()}
    os.kill(pids.pop(), signal.SIGKILL)
    assert list(results) == list(range(1, 60))


def test_memory_past_its_limit_is_an_error_of_that_item(client):
    def grow(size: int) -> int:
        return len(bytearray(size))

    results = list(client.map(
        grow, [1000, 1 << 30, 2000], on_error="collect",
        resources=hanse.Resources(memory="200MiB"),
    ))  # fmt: skip
    assert results[0] == 1000
    assert isinstance(results[1], hanse.OutOfMemory)
    assert isinstance(results[1], MemoryError)
    assert "200 MiB" in str(results[1])
    assert results[2] == 2000


def test_an_item_past_its_timeout_is_stopped(client):
    results = list(client.map(time.sleep, [0, 60, 0], timeout=2, on_error="collect"))
    assert results[0] is None
    assert isinstance(results[1], hanse.ItemTimeout)
    assert isinstance(results[1], TimeoutError)
    assert results[2] is None


def test_retries_are_further_attempts(client):
    def third(x: int) -> int:
        item = hanse.current_item()
        assert item is not None
        if item.attempt < 3:
            raise OSError("not yet")
        return item.attempt

    assert list(client.map(third, range(5), retries=2)) == [3] * 5
    with pytest.raises(OSError, match="not yet") as caught:
        list(client.map(third, range(5), retries=1))
    assert caught.value.__cause__.failure.attempt == 2


def test_a_function_that_cannot_travel_is_refused_at_the_call(client):
    with pytest.raises(hanse.PickleError, match=r"partial\(abs\)"):
        client.map(functools.partial(abs, threading.Lock()), [1])
    with pytest.raises(hanse.PickleError):
        client.submit(functools.partial(abs, threading.Lock()))


def test_an_argument_that_cannot_travel_fails_only_its_item(client):
    inputs = [1, threading.Lock(), 3]
    results = list(client.map(lambda x: x, inputs, on_error="collect"))
    assert results[0] == 1
    assert "lock" in str(results[1])
    assert results[2] == 3
    with pytest.raises(hanse.TaskError) as caught:
        client.submit(abs, threading.Lock()).result()
    assert isinstance(caught.value.__cause__, hanse.PickleError)


def test_an_argument_that_cannot_be_read_fails_only_its_item(client):
    results = list(client.map(lambda x: x, [1, CannotBeRead(), 3], on_error="collect"))
    assert results[0] == 1
    assert isinstance(results[1], hanse.TaskError)
    assert results[2] == 3


def test_a_result_that_cannot_travel_fails_only_its_item(client):
    results = list(client.map(
        lambda x: threading.Lock() if x == 5 else x, range(10), on_error="collect"
    ))  # fmt: skip
    assert isinstance(results.pop(5), hanse.ResultError)
    assert results == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_a_result_that_cannot_be_read_fails_only_its_item(client):
    def make(x: int) -> object:
        return CannotBeRead() if x == 5 else x

    results = list(client.map(make, range(10), on_error="collect"))
    assert isinstance(results.pop(5), hanse.ResultError)
    assert results == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    got = []
    with pytest.raises(hanse.ResultError, match="item 5"):
        for result in client.map(make, range(10)):
            got.append(result)
    assert got == [0, 1, 2, 3, 4]
    with pytest.raises(hanse.ResultError):
        client.submit(make, 5).result()
    assert isinstance(client.submit(make, 5).exception(), hanse.ResultError)


def test_inputs_that_raise_midway_end_the_job_after_what_came_before(client):
    def inputs() -> Iterator[int]:
        yield from range(5000)
        raise ConnectionError("the source went away")

    got = []
    with pytest.raises(hanse.InputError, match="after 5000 items") as caught:
        for result in client.map(abs, inputs()):
            got.append(result)
    assert got == list(range(5000))
    assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize("function", [
    lambda x: x + 1, Counter(1).next, functools.partial(pow, 2), abs, "text".count,
])  # fmt: skip
def test_any_callable_will_do(client, function):
    inputs = ["t", "x"] if function == "text".count else [1, 2]
    assert list(client.map(function, inputs)) == list(map(function, inputs))


def test_a_closure_takes_its_values_along(client):
    offset = 10

    def shift(x: int) -> int:
        return x + offset

    assert list(client.map(shift, [1, 2])) == [11, 12]
    first = client.submit(shift, 1)
    offset = 20
    assert (first.result(), client.submit(shift, 1).result()) == (11, 21)


def test_classes_of_a_script_come_back_as_themselves(script: Script):
    done = script("""
        import dataclasses, hanse
        FACTOR = 1
        @dataclasses.dataclass
        class Point:
            x: int
        def move(p): return Point(p.x + FACTOR)
        with hanse.connect() as client:
            assert list(client.map(move, [Point(1), Point(2)])) == [Point(2), Point(3)]
            assert client.submit(move, Point(5)).result() == Point(6)
            FACTOR = 10
            assert client.submit(move, Point(5)).result() == Point(15)
            assert list(client.map(move, [Point(1)])) == [Point(11)]
        print("good")
    """)
    assert done.stdout == "good\n", done.stderr


def test_a_function_typed_into_an_interpreter_works(script: Script):
    done = script("""
        import code, hanse
        console = code.InteractiveConsole()
        for line in ["import hanse", "def f(x): return x * 3", "",
                     "client = hanse.connect()", "print(list(client.map(f, [1, 2])))",
                     "client.close()"]:
            console.push(line)
    """)
    assert "[3, 6]" in done.stdout, done.stderr


def test_a_task_may_use_hanse_itself(client):
    def inner(n: int) -> int:
        with hanse.connect() as nested:
            return sum(nested.map(abs, range(n)))

    assert list(client.map(inner, [10, 100])) == [45, 4950]


def test_a_parent_with_busy_threads_is_no_danger(client):
    stop = threading.Event()
    locks = [threading.Lock() for _ in range(4)]

    def busy(lock: threading.Lock) -> None:
        while not stop.is_set():
            with lock:
                sum(range(1000))

    threads = [threading.Thread(target=busy, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    try:
        with hanse.connect() as another:
            assert sum(another.map(abs, range(10_000))) == sum(range(10_000))
        assert sum(client.map(abs, range(10_000))) == sum(range(10_000))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_several_threads_may_share_a_client(client):
    answers: list[int] = []

    def use(n: int) -> None:
        answers.append(sum(client.map(abs, range(n))) + client.submit(abs, -n).result())

    threads = [threading.Thread(target=use, args=(n,)) for n in (1000, 2000, 3000, 4000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [sum(range(n)) + n for n in (1000, 2000, 3000, 4000)]


@pytest.mark.parametrize("call", [
    lambda c: c.map(abs), lambda c: c.map(abs, [1], retries=-1),
    lambda c: c.map(abs, [1], timeout=0), lambda c: c.map(abs, [1], on_error="ignore"),
    lambda c: c.map(abs, [1], resources={"cpus": 1}), lambda c: hanse.Resources(cpus=-1),
    lambda c: hanse.Resources(memory="much"), lambda c: hanse.Resources(cpus=0),
    lambda c: hanse.Resources(custom={"cpus": 1}), lambda c: hanse.connect("https://node:7437"),
    lambda c: c.job("none of this name"),
])  # fmt: skip
def test_a_wrong_call_is_refused_in_words(client, call):
    with pytest.raises(hanse.UsageError) as caught:
        call(client)
    assert len(str(caught.value)) > 20


def test_what_is_no_function_or_no_iterable_is_a_type_error(client):
    with pytest.raises(TypeError):
        client.map(3, [1])
    with pytest.raises(TypeError):
        client.map(abs, 3)
    with pytest.raises(TypeError):
        client.submit(3)


def test_a_closed_client_says_so(client):
    client.close()
    with pytest.raises(hanse.ClientClosed):
        client.map(abs, [1])
    with pytest.raises(hanse.ClientClosed):
        client.submit(abs, 1)
