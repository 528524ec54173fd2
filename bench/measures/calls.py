"""Small work: maps of trivial items, single calls, graphs of calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from bench.contract import Peer
from bench.measures.measure import (
    Family,
    Measure,
    Sizes,
    Teller,
    at_least,
    at_most,
    both,
    bound,
    check,
    timed,
)  # fmt: skip
from bench.work import add, bump, same

TRIPS_AT_MOST_S = 3.0


def _map(peer: Peer, items: Sequence[int]) -> float:
    seconds, results = timed(lambda: list(peer.map(same, items)))
    check(results == list(range(len(items))), "the results of the map are not its inputs")
    return len(items) / seconds


def map_range(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    return _map(peer, range(sizes.items))


def map_list(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    return _map(peer, list(range(sizes.items)))


def map_journal(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    seconds, results = timed(lambda: list(peer.durable_map(same, range(sizes.items))))
    check(results == list(range(sizes.items)), "the results of the map are not its inputs")
    return sizes.items / seconds


def submits(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    def work() -> list[int]:
        return peer.results([peer.submit(same, i) for i in range(sizes.submits)])

    seconds, results = timed(work)
    check(results == list(range(sizes.submits)), "the results of the calls are not their inputs")
    return sizes.submits / seconds


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

    def work() -> list[int]:
        row = [peer.call(same, i) for i in range(sizes.leaves)]
        while len(row) > 1:
            pairs = [peer.call(add, *row[at : at + 2]) for at in range(0, len(row) - 1, 2)]
            row = pairs + row[len(row) - len(row) % 2 :]
        return peer.compute(row)

    seconds, results = timed(work)
    check(results == [sum(range(sizes.leaves))], "the sum of the tree is wrong")
    return (2 * sizes.leaves - 1) / seconds


def chains(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    def work() -> list[int]:
        ends = []
        for i in range(sizes.chains):
            node = peer.call(bump, i)
            for _ in range(9):
                node = peer.call(bump, node)
            ends.append(node)
        return peer.compute(ends)

    seconds, results = timed(work)
    check(results == [i + 10 for i in range(sizes.chains)], "the ends of the chains are wrong")
    return 10 * sizes.chains / seconds


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
                "0.7 x Pool.map or more", _journal),
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
