"""joblib on Hanse: what its users count on with loky, and what only holds here."""

from __future__ import annotations

import multiprocessing
import os
import threading

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed
from joblib.parallel import BatchedCalls
from system.pools import OwnError, Unpicklable, fail, hold, note_and_hold, reciprocal
from system.real import until

import hanse
from hanse.integrations.joblib import HanseBackend, register

register()


@pytest.fixture
def on_hanse(client):
    """Everything of joblib runs on a client with two cores."""
    with client, joblib.parallel_config("hanse"):
        yield client


def add(x, y=0):
    return x + y


def where(array):
    return os.getpid(), array.ctypes.data, array.flags.writeable, float(array.sum())


def write_into(array):
    array[0] = 1


def pid(_=None):
    return os.getpid()


def die():
    os._exit(3)


# --- the same answers -----------------------------------------------------------------------------
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(st.integers(), max_size=40),
    batch_size=st.sampled_from(["auto", 1, 3, 100]),
    pre_dispatch=st.sampled_from(["all", "2 * n_jobs", 1]),
    n_jobs=st.sampled_from([None, -1, 1, 2, 5]),
    return_as=st.sampled_from(["list", "generator", "generator_unordered"]),
)
def test_every_way_of_asking_gives_what_a_loop_gives(
    on_hanse, values, batch_size, pre_dispatch, n_jobs, return_as
):
    parallel = Parallel(
        n_jobs=n_jobs, batch_size=batch_size, pre_dispatch=pre_dispatch, return_as=return_as
    )
    results = list(parallel(delayed(add)(x, y=1) for x in values))
    expected = [x + 1 for x in values]
    if return_as == "generator_unordered":
        results, expected = sorted(results), sorted(expected)
    assert results == expected


def test_scikit_learn_finds_the_same_numbers(on_hanse):
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import GridSearchCV, cross_val_score

    inputs, target = datasets.make_classification(400, 50, random_state=0)
    forest = RandomForestClassifier(6, random_state=1)

    def numbers():
        search = GridSearchCV(forest, {"max_depth": [2, 3]}, cv=3).fit(inputs, target)
        return [
            search.cv_results_["mean_test_score"],
            cross_val_score(forest, inputs, target, cv=3),
            forest.fit(inputs, target).predict_proba(inputs),
            permutation_importance(forest, inputs, target, random_state=0).importances,
        ]

    here = numbers()
    with joblib.parallel_config("hanse", max_nbytes="10K"):
        there = numbers()
    with joblib.parallel_config("sequential"):
        alone = numbers()
    for one, two, three in zip(here, there, alone, strict=True):
        assert np.array_equal(one, three)
        assert np.array_equal(two, three)


def test_functions_of_the_program_itself_and_lambdas_travel(script):
    ran = script(
        """
        import joblib
        from hanse.integrations.joblib import register

        def twice(x):
            return 2 * x

        if __name__ == "__main__":
            register(make_default=True)
            k = 3
            run = joblib.Parallel(n_jobs=2)
            print(run(joblib.delayed(twice)(x) for x in range(4)))
            print(run(joblib.delayed(lambda x: x + k)(x) for x in range(4)))
        """
    )
    assert ran.stdout.split("\n") == ["[0, 2, 4, 6]", "[3, 4, 5, 6]", ""], ran.stderr


def test_the_same_holds_on_a_node(node):
    with node.connect() as client:
        big = np.arange(200_000.0)
        with joblib.parallel_config("hanse", client=client):
            found = Parallel()(delayed(where)(big) for _ in range(8))
        assert {total for *_, total in found} == {big.sum()}
        assert os.getpid() not in {who for who, *_ in found}


# --- workers and their arrays ---------------------------------------------------------------------
def test_workers_stay_warm_from_one_parallel_to_the_next(on_hanse):
    pids = set()
    for _ in range(6):
        pids |= set(Parallel(batch_size=1)(delayed(pid)(i) for i in range(10)))
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_a_large_array_is_sent_once_and_is_read_only(on_hanse):
    big = np.arange(200_000.0)
    asked = [(delayed(where)(big)) for _ in range(30)]
    found = Parallel(batch_size=1)(asked)
    assert {total for *_, total in found} == {big.sum()}
    assert not any(writeable for _, _, writeable, _ in found)
    assert len({(who, at) for who, at, *_ in found}) == len({who for who, *_ in found})
    with pytest.raises(ValueError, match="read-only"):
        Parallel(n_jobs=2)([delayed(write_into)(big)] * 2)
    assert big[0] == 0


def test_arrays_below_max_nbytes_belong_to_their_call(on_hanse):
    Parallel(n_jobs=2, max_nbytes=None)([delayed(write_into)(np.zeros(200_000))] * 2)
    Parallel(n_jobs=2)([delayed(write_into)(np.zeros(10))] * 2)


def test_a_changed_array_is_sent_again_with_the_next_parallel(on_hanse):
    big = np.zeros(200_000)
    parallel = Parallel(n_jobs=2)
    for total in (0, 200_000):
        assert {found[3] for found in parallel([delayed(where)(big)] * 4)} == {total}
        big += 1


def test_a_mapped_file_is_an_array_like_any_other(on_hanse, tmp_path):
    mapped = np.memmap(tmp_path / "array", mode="w+", shape=200_000, dtype=float)
    mapped += 2
    found = Parallel(n_jobs=2)([delayed(where)(mapped)] * 4)
    assert {total for *_, total in found} == {400_000}


def test_arrays_that_calls_should_write_into_are_refused(on_hanse):
    with pytest.raises(ValueError, match="one machine only"):
        Parallel(n_jobs=2, mmap_mode="r+")([delayed(pid)()] * 2)


def note_in(queue, counts, lock, x):
    with lock:
        counts["calls"] = counts.get("calls", 0) + 1
    queue.put(x)


def test_calls_may_use_what_a_manager_holds_as_children_of_the_program_do(on_hanse):
    Parallel()(delayed(abs)(x) for x in range(4))  # workers are warm before the manager is there
    with multiprocessing.Manager() as manager:
        queue, counts, lock = manager.Queue(), manager.dict(), manager.Lock()
        Parallel()(delayed(note_in)(queue, counts, lock, x) for x in range(20))
        assert sorted(queue.get() for _ in range(20)) == list(range(20))
        assert counts["calls"] == 20
        future = on_hanse.submit(note_in, queue, counts, lock, 5)
        future.result()
        assert queue.get() == 5


def keys(_x):
    return bytes(multiprocessing.current_process().authkey)


def test_the_key_of_a_program_s_children_goes_to_no_node(node):
    ours = bytes(multiprocessing.current_process().authkey)
    with node.connect() as client, joblib.parallel_config("hanse", client=client):
        assert ours not in Parallel()(delayed(keys)(x) for x in range(4))
    for file in node.home.rglob("*"):
        assert not file.is_file() or ours not in file.read_bytes()


def test_an_initializer_is_called_once_in_every_worker(on_hanse, tmp_path):
    def begin(word):
        with open(tmp_path / str(os.getpid()), "a") as file:
            file.write(word)

    with joblib.parallel_config("hanse", initializer=begin, initargs=("x",)):
        for _ in range(2):
            Parallel(n_jobs=2, batch_size=1)([delayed(pid)()] * 9)
    begun = list(tmp_path.glob("[0-9]*"))
    assert 1 <= len(begun) <= 2
    assert {path.read_text() for path in begun} == {"x"}


def test_no_more_calls_run_at_once_than_were_asked_for(tmp_path):
    flag = tmp_path / "flag"
    notes = tmp_path / "notes"
    notes.mkdir()
    with (
        hanse.connect(resources=hanse.Resources(cpus=4)),
        joblib.parallel_config("hanse", n_jobs=2),
    ):
        results = Parallel(return_as="generator", pre_dispatch="all", batch_size=1)(
            delayed(note_and_hold)(notes, flag, i) for i in range(6)
        )
        until(lambda: len(list(notes.iterdir())) == 2)
        others = list(Parallel(batch_size=1)(delayed(pid)(i) for i in range(4)))
        assert len(others) == 4  # the other two cores are free for others
        assert len(list(notes.iterdir())) == 2
        flag.touch()
        assert list(results) == list(range(6))


# --- ends -----------------------------------------------------------------------------------------
def test_an_error_tells_what_raised_it(on_hanse):
    with pytest.raises(ZeroDivisionError) as caught:
        Parallel(n_jobs=2)(delayed(reciprocal)(x) for x in (1, 0, 2))
    assert "return 1 / x" in str(caught.value.__cause__)
    with pytest.raises(OwnError) as own:
        Parallel(n_jobs=2)([delayed(fail)(OwnError(7))])
    assert own.value.code == 7


def test_what_cannot_be_pickled_is_an_error_at_once(on_hanse):
    with pytest.raises(Exception, match="this never travels"):
        Parallel(n_jobs=2)([delayed(add)(Unpicklable())])
    with pytest.raises(Exception, match="this never travels"):
        Parallel(n_jobs=2, pre_dispatch=2)(
            delayed(add)(x if x < 9 else Unpicklable()) for x in range(10)
        )


def test_an_error_of_the_inputs_is_raised(on_hanse):
    def inputs():
        for x in range(9):
            yield delayed(add)(x)
        raise OwnError(2)

    with pytest.raises(OwnError):
        Parallel(n_jobs=2, pre_dispatch=3)(inputs())


def test_inputs_may_use_the_client_themselves(on_hanse):
    """They are read on in a thread of the backend's, not in the client's own."""
    inputs = (delayed(add)(on_hanse.submit(add, x).result()) for x in range(30))
    assert Parallel(n_jobs=2, pre_dispatch=2, batch_size=1)(inputs) == list(range(30))


def test_a_timeout_ends_the_calls(on_hanse, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(n_jobs=2, timeout=0.2)(
            delayed(note_and_hold)(notes, tmp_path / "never", x) for x in range(2)
        )
    assert Parallel(n_jobs=2)(delayed(add)(x) for x in range(3)) == [0, 1, 2]


def test_the_abort_of_one_leaves_the_others(on_hanse, tmp_path):
    """joblib gives one backend to all that is within a `parallel_config`."""
    flag = tmp_path / "flag"
    with joblib.parallel_config("hanse", client=on_hanse):
        goes_on = Parallel(n_jobs=2, return_as="generator")(
            delayed(hold)(flag, x) for x in range(1)
        )
        with pytest.raises(ZeroDivisionError):
            Parallel(n_jobs=2)(delayed(reciprocal)(x) for x in (1, 0))
    flag.touch()
    assert list(goes_on) == [0]


def test_a_batch_that_comes_while_calls_are_stopped_takes_nobodys_place():
    """joblib's threads give batches until they notice that there was an error."""
    with (
        hanse.connect(resources=hanse.Resources(cpus=4)),
        joblib.parallel_config("hanse", n_jobs=2),
        Parallel() as parallel,
    ):
        assert parallel(delayed(add)(x) for x in range(3)) == [0, 1, 2]
        backend = parallel._backend
        backend.abort_everything(ensure_ready=False)
        for _ in range(2):
            assert backend.submit(BatchedCalls([delayed(add)(1)], backend, None)) is None
        backend.configure(n_jobs=2, parallel=parallel)
        assert parallel(delayed(add)(x) for x in range(3)) == [0, 1, 2]


def test_a_generator_that_is_dropped_stops_its_calls(on_hanse, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    results = Parallel(n_jobs=2, return_as="generator", batch_size=1)(
        delayed(note_and_hold)(notes, tmp_path / "never", x) for x in range(2)
    )
    until(lambda: list(notes.iterdir()))
    with pytest.warns(UserWarning, match="cancelled"):
        del results
    assert Parallel(n_jobs=2)(delayed(add)(x) for x in range(3)) == [0, 1, 2]


def test_the_first_that_is_done_comes_first_where_order_does_not_matter(on_hanse, tmp_path):
    flag = tmp_path / "flag"
    calls = [delayed(hold)(flag, 0), *(delayed(add)(x) for x in range(1, 8))]
    results = Parallel(n_jobs=2, return_as="generator_unordered", batch_size=1)(calls)
    assert sorted(next(results) for _ in range(7)) == list(range(1, 8))
    flag.touch()
    assert list(results) == [0]


def test_a_worker_that_dies_fails_its_batch_and_says_so(on_hanse):
    with pytest.raises(hanse.WorkerDied, match="exit code 3"):
        Parallel(n_jobs=2)([delayed(die)()])
    assert Parallel(n_jobs=2)(delayed(add)(x) for x in range(3)) == [0, 1, 2]


def test_a_client_that_is_closed_meanwhile_ends_the_wait(tmp_path):
    client = hanse.connect(resources=hanse.Resources(cpus=2))
    flag = tmp_path / "never"
    notes = tmp_path / "notes"
    notes.mkdir()
    found: list[BaseException] = []

    def use():
        try:
            with joblib.parallel_config("hanse", client=client):
                Parallel(n_jobs=2)(delayed(note_and_hold)(notes, flag, x) for x in range(9))
        except BaseException as error:  # noqa: BLE001 - looked at below
            found.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    until(lambda: list(notes.iterdir()))
    client.close()
    thread.join(20)
    assert found
    assert not thread.is_alive()


# --- nesting --------------------------------------------------------------------------------------
def nested(backend, depth):
    if not depth:
        return os.getpid(), threading.get_ident()
    return Parallel(n_jobs=2, backend=backend)(delayed(nested)(backend, depth - 1) for _ in "ab")


@pytest.mark.parametrize("backend", [None, "hanse"])
def test_nested_calls_stay_within_the_core_that_theirs_was_given(on_hanse, backend):
    found = np.array(Parallel(n_jobs=2)(delayed(nested)(backend, 2) for _ in range(3)))
    assert found.shape == (3, 2, 2, 2)
    for one in found:
        assert len({tuple(pair) for pair in one.reshape(4, 2)}) == 1


def test_nested_calls_use_the_cores_that_theirs_was_given():
    with (
        hanse.connect(resources=hanse.Resources(cpus=4)),
        joblib.parallel_config("hanse", cpus=2),
    ):
        assert joblib.effective_n_jobs(-1) == 2
        kind, count = Parallel()(delayed(nested_backend)() for _ in range(2))[0]
    assert (kind, count) == ("ThreadingBackend", 2)


def nested_backend():
    parallel = Parallel()
    return type(parallel._backend).__name__, parallel._effective_n_jobs()


# --- what joblib asks -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("n_jobs", "effective"), [(None, 2), (-1, 2), (-2, 1), (1, 1), (2, 2), (7, 7)]
)
def test_how_many_run_at_once(on_hanse, n_jobs, effective):
    assert HanseBackend().effective_n_jobs(n_jobs) == effective


def test_none_at_once_is_refused(on_hanse):
    with pytest.raises(ValueError, match="no meaning"):
        Parallel(n_jobs=0)([delayed(add)(1)])


def test_short_calls_go_in_batches(on_hanse):
    with Parallel(n_jobs=2) as parallel:
        parallel(delayed(add)(x) for x in range(4000))
        assert parallel.n_dispatched_batches < 2000
