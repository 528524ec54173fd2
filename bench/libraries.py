"""Hanse beneath joblib, scikit-learn and Dask, beside the backends that these bring themselves.

    python bench/libraries.py [ROUNDS]

Needs scikit-learn, pandas and dask[array,dataframe]. Each figure is the median of some rounds, in
turn, after one that is not counted: workers are up and warm. Graphs are given as plain dicts, so
that what is timed is the scheduler and not Dask's own building of them. Every answer is compared
with what a plain loop gives. Prints a table.
"""

from __future__ import annotations

import functools
import operator
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import dask
import dask.array
import dask.dataframe
import dask.multiprocessing
import dask.threaded
import joblib
import numpy as np
import pandas
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV

import hanse
from hanse.integrations.dask import get
from hanse.integrations.joblib import register

N_JOBS = 2
TASKS = 10_000

Work = Callable[[], Any]


def square(x: int) -> int:
    return x * x


def spin(ms: float) -> float:
    end = time.perf_counter() + ms / 1000
    while time.perf_counter() < end:
        pass
    return ms


def mean(array: Any, at: int) -> float:
    return float(array[at::1000].mean())


# --- joblib ---------------------------------------------------------------------------------------
def parallel(function: Callable[..., Any], rows: list[tuple[Any, ...]]) -> Work:
    return lambda: joblib.Parallel()(joblib.delayed(function)(*row) for row in rows)


def many_parallels() -> list[Any]:
    return [joblib.Parallel()(joblib.delayed(square)(i) for i in range(10)) for _ in range(50)]


def grid_search() -> list[float]:
    inputs, target = make_classification(2000, 20, random_state=0)
    forest = RandomForestClassifier(10, random_state=1)
    search = GridSearchCV(forest, {"max_depth": [2, 4, 6], "max_features": [3, 6]}, cv=4)
    return list(search.fit(inputs, target).cv_results_["mean_test_score"])


def with_backend(backend: str, work: Work) -> Work:
    def run() -> Any:
        with joblib.parallel_config(backend, n_jobs=N_JOBS):
            return work()

    return run


BIG = np.arange(10_000_000.0)
JOBLIB: dict[str, Work] = {
    "20,000 trivial calls": parallel(square, [(i,) for i in range(20_000)]),
    "50 Parallel of 10 trivial calls": many_parallels,
    "1,000 calls of 1 ms": parallel(spin, [(1.0,)] * 1000),
    "200 calls on one array of 80 MB": parallel(mean, [(BIG, i) for i in range(200)]),
    "grid search over forests": grid_search,
}


# --- Dask -----------------------------------------------------------------------------------------
def inc(x: int) -> int:
    return x + 1


def chains(count: int, length: int) -> dict[Any, Any]:
    graph: dict[Any, Any] = {("c", c, 0): c for c in range(count)}
    for c in range(count):
        graph |= {("c", c, i): (inc, ("c", c, i - 1)) for i in range(1, length + 1)}
    return graph | {"all": (sum, [("c", c, length) for c in range(count)])}


def tree(leaves: int) -> dict[Any, Any]:
    graph: dict[Any, Any] = {("t", 0, i): (inc, i) for i in range(leaves)}
    level, width = 0, leaves
    while width > 1:
        level, width = level + 1, width // 2
        graph |= {
            ("t", level, i): (operator.add, ("t", level - 1, 2 * i), ("t", level - 1, 2 * i + 1))
            for i in range(width)
        }
    return graph | {"all": ("t", level, 0)}


def array() -> Any:
    made = dask.array.random.default_rng(1).random((4000, 4000), chunks=500)
    return (made.T @ made[:, :400]).sum().compute()


def frame() -> Any:
    plain = pandas.DataFrame({"key": np.arange(1_000_000) % 97, "value": np.arange(1e6)})
    made = dask.dataframe.from_pandas(plain, npartitions=20)
    return made.groupby("key").value.mean().sum().compute()


def graph(made: dict[Any, Any]) -> Work:
    return lambda: dask.base.get_scheduler()(made, "all")


def with_scheduler(scheduler: Any, work: Work) -> Work:
    def run() -> Any:
        with dask.config.set(scheduler=scheduler):
            return work()

    return run


DASK: dict[str, Work] = {
    f"a chain of {TASKS:,} tasks": graph(chains(1, TASKS)),
    f"100 chains of {TASKS // 100}": graph(chains(100, TASKS // 100)),
    "a tree over 4,096 leaves": graph(tree(4096)),
    "1,000 tasks of 1 ms": graph(
        {("s", i): (spin, 1.0) for i in range(1000)}
        | {"all": (sum, [("s", i) for i in range(1000)])}
    ),
    "array: a product of 4000 by 4000": array,
    "data frame: group by, a million rows": frame,
}
PROCESSES = functools.partial(dask.multiprocessing.get, optimize_graph=False)


# --- the table ------------------------------------------------------------------------------------
def table(
    title: str, works: dict[str, Work], ways: dict[str, Callable[[Work], Work]], rounds: int
) -> None:
    print(f"| {title}, s | " + " | ".join(ways) + " |\n|---" + "|---" * len(ways) + "|")
    for name, work in works.items():
        runs = {way: with_way(work) for way, with_way in ways.items()}
        expected = list(ways.values())[-1](work)()
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for round_ in range(rounds + 1):
            for way, run in runs.items():
                begun = time.perf_counter()
                found = run()
                if round_:
                    taken[way].append(time.perf_counter() - begun)
                assert np.allclose(found, expected), (name, way)
        cells = [f"{statistics.median(times):.3f}" for times in taken.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    register()
    with hanse.connect(resources=hanse.Resources(cpus=N_JOBS)):
        backends = ("hanse", "loky", "threading", "sequential")
        table("joblib", JOBLIB, {b: functools.partial(with_backend, b) for b in backends}, rounds)
        schedulers = {"hanse": get, "threads": "threads", "processes": PROCESSES, "sync": "sync"}
        table(
            "Dask", DASK,
            {name: functools.partial(with_scheduler, s) for name, s in schedulers.items()}, rounds,
        )  # fmt: skip


if __name__ == "__main__":
    main()
