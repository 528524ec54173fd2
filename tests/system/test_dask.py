"""Dask on Hanse: its collections, its graphs old and new, and what happens when a task fails."""

from __future__ import annotations

import operator
import os
import traceback

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from dask.callbacks import Callback
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from system.pools import OwnError, fail, note, note_and_hold, reciprocal
from system.real import until

from hanse.integrations.dask import get, register

register()


@pytest.fixture
def on_hanse(client):
    with client, dask.config.set(scheduler="hanse"):
        yield client


def inc(x):
    return x + 1


def mark(directory, x):
    """One more call of x has begun."""
    with open(directory / str(x), "a") as file:
        file.write(".")
    return x


def pid(*_):
    return os.getpid()


# --- graphs ---------------------------------------------------------------------------------------
@st.composite
def graphs(draw):
    """Task graphs of additions, as plain dicts: values, aliases, lists, nested calls."""
    size = draw(st.integers(1, 25))
    graph: dict[object, object] = {}
    for at in range(size):
        earlier = st.sampled_from([("x", i) for i in range(at)] or [0])
        leaf = st.one_of(st.integers(-9, 9), earlier)
        graph["x", at] = draw(
            st.one_of(
                st.integers(-9, 9),
                earlier,
                st.tuples(st.just(operator.add), leaf, leaf),
                st.tuples(st.just(sum), st.lists(leaf, max_size=4)),
                st.tuples(st.just(inc), st.tuples(st.just(operator.mul), leaf, leaf)),
            )
        )
    wanted = draw(st.lists(st.sampled_from(list(graph)), min_size=1, max_size=4))
    return graph, wanted


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_any_graph_gives_what_dask_itself_finds(on_hanse, drawn):
    graph, wanted = drawn
    assert get(graph, wanted) == dask.get(graph, wanted)
    assert get(graph, [wanted, wanted[0]]) == dask.get(graph, [wanted, wanted[0]])
    assert get(graph, wanted[0]) == dask.get(graph, wanted[0])


def test_ten_thousand_tasks_in_a_chain(on_hanse):
    chain = {("x", 0): 0} | {("x", i): (inc, ("x", i - 1)) for i in range(1, 10_001)}
    assert get(chain, ("x", 10_000)) == 10_000


def test_ten_thousand_tasks_that_each_need_the_two_before_them(on_hanse):
    def third(a, b):
        return (a + b) % 1_000_003

    graph = {("x", i): (third, ("x", i - 1), ("x", i - 2)) for i in range(2, 10_000)}
    graph |= {("x", 0): 1, ("x", 1): 1}
    a, b = 1, 1
    for _ in range(2, 10_000):
        a, b = b, (a + b) % 1_000_003
    assert get(graph, ("x", 9_999)) == b


def test_every_task_runs_once_and_only_those_that_are_needed(on_hanse, tmp_path):
    graph = {("in", i): (mark, tmp_path, i) for i in range(20)}
    graph["sum"] = (sum, [("in", i) for i in range(10)])
    graph["more"] = (operator.add, "sum", ("in", 3))
    assert get(graph, ["more", ("in", 3)]) == (48, 3)
    assert {path.name: path.read_text() for path in tmp_path.glob("[0-9]*")} == {
        str(i): "." for i in range(10)
    }


# --- collections ----------------------------------------------------------------------------------
def test_bags_arrays_and_delayed_calls(on_hanse):
    words = db.from_sequence(list("abcaba"), npartitions=3)
    assert dict(words.frequencies().compute()) == {"a": 3, "b": 2, "c": 1}
    plain = np.arange(10_000.0).reshape(100, 100)
    array = da.from_array(plain, chunks=30)
    assert np.allclose(
        (array.T @ array - array.mean(axis=0)).compute(), plain.T @ plain - plain.mean(axis=0)
    )
    one, two = dask.delayed(inc)(1), dask.delayed(inc)(2)
    assert dask.compute({"a": [one, (two, 5)]}, one) == ({"a": [2, (3, 5)]}, 2)
    assert dask.delayed(lambda *a: sum(a))(*[one] * 50).compute() == 100


def test_data_frames(on_hanse):
    pandas = pytest.importorskip("pandas")
    import dask.dataframe as dd

    plain = pandas.DataFrame({"key": np.arange(2000) % 7, "value": np.arange(2000.0)})
    frame = dd.from_pandas(plain, npartitions=5)
    found = frame.groupby("key").value.mean().compute()
    pandas.testing.assert_series_equal(found, plain.groupby("key").value.mean())
    sorted_by_value = frame.set_index("value", shuffle_method="tasks").loc[100:200].compute()
    assert list(sorted_by_value.key) == list(plain.key[100:201])


def test_the_same_holds_on_a_node(node):
    with node.connect() as client:
        array = da.random.default_rng(1).random((400, 400), chunks=100)
        here = (array @ array).sum().compute(scheduler="sync")
        assert (array @ array).sum().compute(scheduler=get, client=client) == pytest.approx(here)
        assert dask.delayed(pid)().compute(scheduler=get, client=client) != os.getpid()


def test_large_data_in_a_graph_is_sent_once(on_hanse, monkeypatch):
    sent = []
    put = on_hanse.put
    monkeypatch.setattr(on_hanse, "put", lambda value: sent.append(value) or put(value))
    big = np.arange(100_000)
    keys = [("x", i) for i in range(50)]
    graph = {"big": big, **{(x, i): (np.take, "big", i) for x, i in keys}}
    assert get(graph, keys) == tuple(range(50))
    assert len(sent) == 1


# --- errors ---------------------------------------------------------------------------------------
def test_an_error_tells_which_task_raised_it_and_where(on_hanse):
    failing = dask.delayed(inc)(dask.delayed(reciprocal)(0, dask_key_name="the-reciprocal"))
    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(inc)(failing).compute()
    told = "".join(traceback.format_exception(caught.value))
    assert "return 1 / x" in told
    assert "the Dask task 'the-reciprocal'" in told


def test_a_failure_is_raised_while_others_run_and_ends_them(on_hanse, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    endless = (note_and_hold, notes, tmp_path / "never", "held")
    graph = {
        "endless": endless,
        "fails": (fail, (OwnError, 4)),
        "all": (list, ["endless", "fails"]),
    }
    with pytest.raises(OwnError) as caught:
        get(graph, "all")
    assert caught.value.code == 4
    assert get({"x": (inc, 1)}, "x") == 2
    assert not list(notes.glob("*.ended"))


def test_a_worker_that_is_killed_costs_no_result(on_hanse, tmp_path):
    flag = tmp_path / "killed"
    graph = {("x", i): (die_once, flag, i) for i in range(30)}
    assert get({**graph, "sum": (sum, list(graph))}, "sum") == sum(range(30))
    assert flag.exists()


def die_once(flag, x):
    if x == 7 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), 9)
    return x


def test_calls_of_one_compute_are_apart_from_those_of_another(on_hanse, tmp_path):
    notes, flag = tmp_path / "notes", tmp_path / "flag"
    notes.mkdir()
    held = on_hanse.submit(note_and_hold, notes, flag, "held")
    until(lambda: list(notes.iterdir()))
    with pytest.raises(ZeroDivisionError):
        get({"x": (reciprocal, 0)}, "x")
    flag.touch()
    assert held.result(timeout=30) == "held"


# --- what Dask asks -------------------------------------------------------------------------------
def test_callbacks_hear_of_every_task(on_hanse):
    class Watching(Callback):
        def __init__(self):
            super().__init__()
            self.keys = []

        def _posttask(self, key, result, graph, state, worker):
            self.keys.append((key, result))

    with Watching() as watching:
        assert get({"a": (inc, 1), "b": (inc, "a")}, "b") == 3
    assert watching.keys == [("a", 2), ("b", 3)]


def test_a_failed_task_can_be_run_again_here(on_hanse, tmp_path):
    with (
        dask.config.set(rerun_exceptions_locally=True),
        pytest.raises(ZeroDivisionError) as caught,
    ):
        get({"a": (note, tmp_path, "noted"), "b": (reciprocal, 0)}, ["a", "b"])
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "reciprocal"


def test_workers_are_those_of_the_client(on_hanse):
    graph = {("x", i): (pid, i) for i in range(9)}
    pids = {each for _ in range(3) for each in get(graph, list(graph))}
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_without_a_client_the_ambient_one_is_used(script):
    ran = script(
        """
        import dask
        from hanse.integrations.dask import get

        def twice(x):
            return 2 * x

        if __name__ == "__main__":
            print(dask.delayed(twice)(21).compute(scheduler=get))
        """
    )
    assert ran.stdout == "42\n", ran.stderr


def test_a_node_of_a_graph_may_call_itself_otherwise(on_hanse):
    """Dask's data frames make such graphs."""
    from dask._task_spec import Alias, DataNode, Task, TaskRef

    graph = {
        ("data", 0): DataNode("data", 5),
        ("alias", 0): Alias("alias", ("data", 0)),
        ("first", 0): Task("first", inc, TaskRef(("alias", 0))),
        ("second", 0): Task("second", operator.add, TaskRef(("first", 0)), TaskRef(("data", 0))),
    }
    assert get(graph, [("second", 0), ("alias", 0)]) == (11, 5)
