"""Hanse beside the standard library's pools: one run, in turn, medians and ratios.

    python bench/one_machine.py [ROUNDS]

Measures, on all cores: a map of 1,000,000 trivial items (`Pool.map` with its own chunk size),
20,000 independent submits, the round trip of one submit, the time from the import to the first
result (a fresh interpreter each time), and 64 arrays of 8 MiB out and back. Both sides are warm
except where the start is what is measured.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import hanse

ITEMS, CALLS, TRIPS = 1_000_000, 20_000, 1_000
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

FIRST_HANSE = """
import time; start = time.perf_counter()
import hanse
def same(x): return x
client = hanse.connect()
client.submit(same, 1).result()
print(time.perf_counter() - start)
client.close()
"""
FIRST_POOL = """
import time; start = time.perf_counter()
import concurrent.futures
def same(x): return x
if __name__ == "__main__":
    pool = concurrent.futures.ProcessPoolExecutor()
    pool.submit(same, 1).result()
    print(time.perf_counter() - start)
    pool.shutdown()
"""


def same(x: object) -> object:
    """The least that an item can do."""
    return x


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def submits(submit: Callable[..., concurrent.futures.Future[object]]) -> None:
    """Many calls at once, and all their results."""
    futures = [submit(same, i) for i in range(CALLS)]
    for future in futures:
        future.result()


def trip(submit: Callable[..., concurrent.futures.Future[object]]) -> float:
    """Median seconds of one submit and its result."""
    return statistics.median(seconds(lambda: submit(same, 1).result()) for _ in range(TRIPS))


def first(script: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main(rounds: int) -> None:
    """Run every measure in turn and print a table."""
    arrays = [np.full(1 << 20, i, np.float64) for i in range(64)]
    with (
        hanse.connect() as client,
        concurrent.futures.ProcessPoolExecutor(WORKERS) as executor,
        multiprocessing.Pool(WORKERS) as pool,
    ):
        list(client.map(same, range(10_000)))
        list(executor.map(same, range(100)))
        measures: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
            f"map of {ITEMS:,} trivial items, s (Pool.map)": (
                lambda: seconds(lambda: list(client.map(same, range(ITEMS)))),
                lambda: seconds(lambda: pool.map(same, range(ITEMS))),
            ),
            "the same from a list, s (Pool.map)": (
                lambda: seconds(lambda: list(client.map(same, list(range(ITEMS))))),
                lambda: seconds(lambda: pool.map(same, list(range(ITEMS)))),
            ),
            f"{CALLS:,} submits, s (ProcessPoolExecutor)": (
                lambda: seconds(lambda: submits(client.submit)),
                lambda: seconds(lambda: submits(executor.submit)),
            ),
            "round trip of one submit, s (ProcessPoolExecutor)": (
                lambda: trip(client.submit),
                lambda: trip(executor.submit),
            ),
            "import to first result, s (ProcessPoolExecutor)": (
                lambda: first(FIRST_HANSE),
                lambda: first(FIRST_POOL),
            ),
            "64 arrays of 8 MiB out and back, s (Pool.imap)": (
                lambda: seconds(lambda: [None for _ in client.map(same, arrays)]),
                lambda: seconds(lambda: [None for _ in pool.imap(same, arrays)]),
            ),
        }
        print(f"Python {platform.python_version()}, {WORKERS} cores, median of {rounds}\n")
        print("| measure (peer) | Hanse | peer | peer / Hanse |\n|---|---|---|---|")
        for name, (ours, theirs) in measures.items():
            pairs = [(ours(), theirs()) for _ in range(rounds)]
            mine, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
            print(f"| {name} | {mine:.6f} | {peer:.6f} | {peer / mine:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
