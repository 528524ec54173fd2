"""The classic self-scheduling schemes on the same workers, with the same costs and delays.

A worker that is free asks for a chunk; the answer takes a round trip, the chunk its cost. Nothing
is measured, cut or run twice: that is how these schemes are defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush

from scheduling.model import Case, Worker

Chunks = Iterator[int]


def static_split(items: int, workers: int) -> Chunks:
    """As many for each."""
    for n in range(workers):
        yield items * (n + 1) // workers - items * n // workers


def pool_chunks(items: int, workers: int) -> Chunks:
    """multiprocessing.Pool.map: four chunks for each."""
    size = -(-items // (4 * workers))
    while items > 0:
        yield min(size, items)
        items -= size


def guided(items: int, workers: int) -> Chunks:
    """Guided self-scheduling (Polychronopoulos, Kuck 1987): a worker's share of what is left."""
    while items > 0:
        size = -(-items // workers)
        yield size
        items -= size


def factoring(items: int, workers: int) -> Chunks:
    """Factoring (Hummel, Schonberg, Flynn 1992): rounds that hand out half of what is left."""
    while items > 0:
        size = max(1, -(-items // (2 * workers)))
        for _ in range(workers):
            if items > 0:
                yield min(size, items)
                items -= size


def one_at_a_time(items: int, workers: int) -> Chunks:
    for _ in range(items):
        yield 1


SCHEMES: dict[str, Callable[[int, int], Chunks]] = {
    "static split": static_split,
    "Pool chunks": pool_chunks,
    "guided": guided,
    "factoring": factoring,
    "one at a time": one_at_a_time,
}

FREE = "in order, at no cost"
"""The best that anybody can do who begins items in order and does not know their times: whoever is
free takes the next one, and neither leases nor messages cost anything (list scheduling: Graham
1966)."""


def free_ns(case: Case) -> float:
    workers = [replace(worker, cost_ns=0, delay_ns=0) for worker in case.workers]
    return makespan_ns(replace(case, workers=workers), one_at_a_time)


def makespan_ns(case: Case, scheme: Callable[[int, int], Chunks]) -> float:
    """When the last result is back. A worker that dies for good is not survived: infinity."""
    chunks = scheme(len(case.items), len(case.workers))
    asking = [(worker.delay_ns, n) for n, worker in enumerate(case.workers)]
    heapify(asking)
    start = last = 0
    begun = max(when for when, _ in asking)  # as for Hanse: the workers were there before
    asking = [(begun, n) for _, n in asking]
    heapify(asking)
    for size in chunks:
        when, n = heappop(asking)
        worker = case.workers[n]
        end = _chunk(case, worker, start, size, when + worker.delay_ns)
        start += size
        if end is None:
            return float("inf")
        heappush(asking, (end + worker.delay_ns, n))
        last = max(last, end + worker.delay_ns)
    return last - begun


def _chunk(case: Case, worker: Worker, start: int, size: int, now_ns: int) -> int | None:
    now_ns += worker.cost_ns
    for item in range(start, start + size):
        begun_ns = now_ns
        work = int(case.items[item] * case.attempt(item, 0))
        now_ns += worker.takes(work, now_ns)
        if worker.dies_ns is not None and begun_ns <= worker.dies_ns < now_ns:
            if worker.back_ns is None:
                return None
            now_ns = worker.back_ns + worker.cost_ns + worker.takes(work, worker.back_ns)
    return now_ns
