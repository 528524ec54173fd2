"""Maps: order, completeness, laziness, bounded memory, folding, cancelling."""

from __future__ import annotations

import itertools
import operator
import os
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from system.real import Script, until

import hanse


def double(x: int) -> int:
    return 2 * x


def test_results_come_in_order(client):
    assert list(client.map(double, range(50_000))) == [2 * x for x in range(50_000)]


def test_a_map_of_nothing_is_done_at_once(client):
    job = client.map(double, [])
    assert list(job) == []
    assert job.state == "done"


def test_results_of_none_are_results(client):
    assert list(client.map(lambda x: None, range(10))) == [None] * 10


def test_several_iterables_go_in_step_to_the_shortest(client):
    assert list(client.map(pow, [2, 3, 4], (3, 2))) == [8, 9]


@pytest.mark.parametrize(
    "inputs", [[1, 2, 3], (1, 2, 3), range(1, 4), {1: "a", 2: "b", 3: "c"}, iter([1, 2, 3])]
)
def test_any_iterable_will_do(client, inputs):
    assert list(client.map(double, inputs)) == [2, 4, 6]


def test_a_list_is_taken_as_it_is_at_the_call(client):
    inputs = list(range(100_000))
    job = client.map(double, inputs)
    inputs.clear()
    assert sum(1 for _ in job) == 100_000


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(items=st.lists(st.integers() | st.text() | st.binary() | st.tuples(st.floats(
    allow_nan=False)) | st.none()), lazy=st.booleans())  # fmt: skip
def test_whatever_goes_in_comes_out(client, items, lazy):
    assert list(client.map(lambda x: x, iter(items) if lazy else items)) == items


def test_an_endless_generator_is_read_as_results_are_taken(client):
    read = itertools.count()
    job = client.map(double, read)
    taken = list(itertools.islice(iter(job), 1000))
    assert taken == [2 * x for x in range(1000)]
    job.cancel()
    assert job.wait(60)
    assert job.state == "cancelled"


def open_files(data: bytearray) -> int:
    import gc
    import os

    gc.disable()
    return len(os.listdir("/proc/self/fd"))


def test_a_worker_lets_go_of_large_inputs_when_their_items_are_done(client):
    """And not when it happens to look for garbage: it may hold a gigabyte by then."""
    held = list(client.map(open_files, [bytearray(5 << 20) for _ in range(50)]))
    assert max(held) - min(held) <= 10


def test_inputs_are_not_read_far_ahead_of_large_results(client):
    read = []

    def inputs() -> Iterator[int]:
        for i in range(100_000):
            read.append(i)
            yield i

    job = client.map(lambda i: bytes(1 << 20), inputs())
    next(iter(job))
    until(lambda: "No further inputs are read" in job.explain())
    assert len(read) < 500


def test_waiting_reads_on_and_keeps_all_results(client):
    job = client.map(double, iter(range(300_000)))
    assert job.wait(60)
    assert job.progress().done == 300_000
    assert sum(job) == sum(2 * x for x in range(300_000))


def test_ten_million_items_of_a_generator_run_in_constant_memory(script: Script):
    done = script(
        """
        import resource, hanse
        def same(x): return x
        with hanse.connect(resources=hanse.Resources(cpus=2)) as client:
            assert sum(client.map(same, (i for i in range(1_000_000)))) == sum(range(1_000_000))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            total = sum(client.map(same, (i for i in range(10_000_000))))
            assert total == sum(range(10_000_000))
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((after - before) // 1024)
        """,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80  # MiB more than a tenth of the items took


def test_as_completed_gives_each_item_once_with_its_index(client):
    pairs = list(client.map(double, range(5000)).as_completed())
    assert sorted(pairs) == [(i, 2 * i) for i in range(5000)]


def test_a_quick_item_completes_before_a_slow_one_that_came_first(client):
    order = [i for i, _ in client.map(time.sleep, [1.0, 0.0]).as_completed()]
    assert order == [1, 0]


def test_unordered_iteration_does_not_wait_for_a_slow_first_item(client):
    job = client.map(lambda s: (time.sleep(s), s)[1], [1.0, 0.0], ordered=False)
    assert list(job) == [0.0, 1.0]


def test_reduce_folds_in_order(client):
    assert client.map(str, range(5000)).reduce(operator.add) == "".join(map(str, range(5000)))


def test_reduce_of_nothing_is_the_initial_value_or_an_error(client):
    assert client.map(str, []).reduce(operator.add, "start") == "start"
    with pytest.raises(TypeError, match="no results"):
        client.map(str, []).reduce(operator.add)


def test_reduce_leaves_out_items_that_failed_when_errors_are_collected(client):
    job = client.map(lambda x: 1 // (x % 10), range(100), on_error="collect")
    assert job.reduce(operator.add) == 10  # only x % 10 == 1 gives one


def test_results_are_handed_out_once(client):
    job = client.map(double, range(3))
    assert list(job) == [0, 2, 4]
    with pytest.raises(hanse.ResultsConsumed):
        list(job)


def test_a_loop_that_was_left_goes_on_where_it_was(client):
    job = client.map(double, range(100_000))
    for x in job:
        if x == 200:
            break
    assert next(iter(job)) == 202
    assert sum(1 for _ in job) == 100_000 - 102


def test_a_job_that_nobody_holds_is_cancelled(client):
    for _ in client.map(double, itertools.count()):
        break
    until(lambda: not client._runtime._sources)


def test_progress_adds_up(client):
    job = client.map(lambda x: 1 // x, [1, 0, 2, 0], on_error="collect")
    list(job)
    progress = job.progress()
    assert (progress.done, progress.failed, progress.total) == (2, 2, 4)
    assert progress.state == "done"


def test_cancelled_code_stops(client, tmp_path):
    def tick(_: int) -> None:
        while True:
            (tmp_path / str(os.getpid())).touch()
            time.sleep(0.01)

    job = client.map(tick, range(2))
    until(lambda: len(os.listdir(tmp_path)) == 2)
    job.cancel()
    assert job.wait(60)
    until(lambda: not any(psutil.pid_exists(int(pid)) for pid in os.listdir(tmp_path)))
    with pytest.raises(hanse.JobCancelled):
        list(job)


def test_explain_says_what_a_job_waits_for(client):
    job = client.map(time.sleep, [60] * 4)
    until(lambda: "2 are leased" in job.explain())
    assert "2 are ready" in job.explain()
    assert "cpus: needs 1, has 0" in job.explain()
    job.cancel()


def test_a_second_job_gets_its_share_while_a_long_one_runs(client):
    long = client.map(time.sleep, itertools.repeat(0.05))
    taking = threading.Thread(target=lambda: [None for _ in itertools.islice(iter(long), 40)])
    taking.start()
    assert client.submit(double, 4).result(60) == 8
    taking.join()
    long.cancel()


def test_an_item_that_waits_for_a_later_item_of_its_lease_does_not_hang(client, tmp_path):
    flag = tmp_path / "flag"

    def wait_or_set(i: int) -> int:
        if i == 200:
            until(flag.exists)
        if i == 203:
            flag.touch()
        return i

    assert list(client.map(wait_or_set, range(400))) == list(range(400))


def test_needs_that_this_machine_can_never_meet_are_refused(client):
    with pytest.raises(hanse.UsageError, match="gpus: needs 1, has 0"):
        client.map(double, [1], resources=hanse.Resources(gpus=1))


def test_no_more_items_run_at_once_than_resources_allow(client, tmp_path):
    def overlap(i: int) -> int:
        path = tmp_path / f"{i}"
        path.touch()
        time.sleep(0.02)
        count = len(list(tmp_path.iterdir()))
        path.unlink()
        return count

    counts = list(client.map(overlap, range(20), resources=hanse.Resources(cpus=2)))
    assert max(counts) == 1


def test_tasks_carry_their_options_and_use_the_ambient_client(client):
    tries = hanse.task(retries=2)(flaky)
    assert list(tries.map([1, 2])) == [1, 2]
    assert tries.submit(3).result() == 3
    assert tries(4, first=False) == 4


def flaky(x: int, first: bool = True) -> int:
    item = hanse.current_item()
    if item is not None and item.attempt < 3:
        raise OSError("not yet")
    return x


def test_the_key_of_an_item_is_the_same_on_every_attempt(client, tmp_path):
    def note(i: int) -> str:
        item = hanse.current_item()
        assert item is not None
        with open(tmp_path / str(i), "a") as file:
            file.write(f"{item.key} {item.attempt}\n")
        if item.attempt < 3:
            raise OSError
        return item.key

    keys = list(client.map(note, range(3), retries=5))
    assert len(set(keys)) == 3
    for i, key in enumerate(keys):
        assert (tmp_path / str(i)).read_text() == f"{key} 1\n{key} 2\n{key} 3\n"


def test_there_is_no_current_item_outside_of_one():
    assert hanse.current_item() is None
