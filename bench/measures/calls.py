"""Small work: maps of trivial items, single calls, graphs of calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from bench.contest import Peer
from bench.measures.measure import (
    Family,
    Figures,
    Measure,
    Sizes,
    Teller,
    at_least,
    at_most,
    both,
    bound,
    check,
    fitting,
    timed,
)  # fmt: skip
from bench.work import add, bump, same

TRIPS_AT_MOST_S = 3.0


Run = Callable[[int], list[int]]  # so many items, and their results


def _rate(count: int, run: Run) -> float:
    """Items per second of a run whose results are its inputs."""
    count = fitting(count, run)
    seconds, results = timed(lambda: run(count))
    check(results == list(range(count)), "the results are not the inputs")
    return count / seconds


def map_range(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    return _rate(sizes.items, lambda count: list(peer.map(same, range(count))))


def map_list(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    items = list(range(sizes.items))
    parts = {sizes.items // n: items[: sizes.items // n] for n in (1, 10, 100)}
    return _rate(sizes.items, lambda count: list(peer.map(same, parts[count])))


def map_journal(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    return _rate(sizes.items, lambda count: list(peer.durable_map(same, range(count))))


def submits(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    def run(count: int) -> list[int]:
        return peer.results([peer.submit(same, i) for i in range(count)])

    return _rate(sizes.submits, run)


def trip(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    """Median microseconds, of as many trips as fit into a few seconds."""
    until, taken = time.perf_counter() + TRIPS_AT_MOST_S, []
    for i in range(sizes.trips):
        seconds, results = timed(lambda i=i: peer.results([peer.submit(same, i)]))
        check(results == [i], "a call's result is not its input")
        taken.append(seconds)
        if time.perf_counter() > until:
            break
    return statistics.median(taken) * 1e6


def tree(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    """Leaves, and one add per pair, to a single sum: two nodes per leaf, less one."""

    def run(leaves: int) -> list[int]:
        row = [peer.call(same, i) for i in range(leaves)]
        while len(row) > 1:
            pairs = [peer.call(add, *row[at : at + 2]) for at in range(0, len(row) - 1, 2)]
            row = pairs + row[len(row) - len(row) % 2 :]
        return peer.compute(row)

    leaves = fitting(sizes.leaves, run)
    seconds, results = timed(lambda: run(leaves))
    check(results == [sum(range(leaves))], "the sum of the tree is wrong")
    return (2 * leaves - 1) / seconds


def chains(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    def run(count: int) -> list[int]:
        ends = []
        for i in range(count):
            node = peer.call(bump, i)
            for _ in range(9):
                node = peer.call(bump, node)
            ends.append(node)
        return peer.compute(ends)

    count = fitting(sizes.chains, run)
    seconds, results = timed(lambda: run(count))
    check(results == [i + 10 for i in range(count)], "the ends of the chains are wrong")
    return 10 * count / seconds


def _journal(figures: Figures) -> bool | None:
    """No peer keeps a journal: the goal is against Pool.map without one."""
    own, pool = (
        figures.get("map_journal", {}).get("hanse"),
        figures.get("map_range", {}).get("pool"),
    )
    return None if own is None or not pool else own / pool >= 0.7


FAMILY = Family(
    "calls",
    (
        Measure("map_range", "map of 1,000,000 trivial items, a range", "items/s", True, map_range,
                "0.9 x Pool.map or more", at_least(0.9, "map_range", "pool")),
        Measure("map_list", "the same from a list", "items/s", True, map_list,
                "0.9 x Pool.map or more", at_least(0.9, "map_list", "pool")),
        Measure("map_journal", "the same with a journal on disk", "items/s", True, map_journal,
                "0.7 x Pool.map or more", _journal, against="map_range"),
        Measure("submits", "20,000 independent submits", "items/s", True, submits,
                "25,000/s; 18 x Ray; 2 x ProcessPoolExecutor",
                both(bound("submits", low=25_000), at_least(18, "submits", "ray"),
                     at_least(2, "submits", "executor"))),
        Measure("trip", "round trip of one submit", "us", False, trip,
                "not above ProcessPoolExecutor", at_most(1.0, "trip", "executor")),
        Measure("tree", "a graph of 10,000 nodes: a tree of adds", "items/s", True, tree,
                "10 x Dask and Ray", at_least(10, "tree", "dask", "ray")),
        Measure("chains", "a graph: 1,000 chains of 10", "items/s", True, chains,
                "10 x Dask and Ray", at_least(10, "chains", "dask", "ray")),
    ),
)  # fmt: skip
