"""The scenarios and their fluid bounds.

The fluid bound is max(total work / total speed, longest item): work that flows like water, at no
cost. Items are lognormal with sigma 1 and a mean of 10 ms unless a scenario says otherwise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from scheduling.model import Case, Worker

from hanse import limits

ITEMS, MEAN_NS = 40_000, 10 * limits.MS
SPEEDS = (4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.25)
SECOND = limits.SECOND


def lognormal(seed: int, items: int = ITEMS, mean_ns: int = MEAN_NS) -> list[int]:
    draw = random.Random(seed)
    return [max(1, int(draw.lognormvariate(-0.5, 1) * mean_ns)) for _ in range(items)]


def pareto(seed: int) -> list[int]:
    draw = random.Random(seed)
    return [max(1, int(draw.paretovariate(1.5) * MEAN_NS / 3)) for _ in range(ITEMS)]


def steady(seed: int, items: int, mean_ns: int) -> list[int]:
    """Items that take within a tenth of their mean."""
    draw = random.Random(seed)
    return [int(draw.uniform(0.9, 1.1) * mean_ns) for _ in range(items)]


def bound_ns(items: Sequence[int], workers: Sequence[Worker]) -> float:
    """When all is done at the earliest: the workers' speeds, as they change, over the work."""
    left = float(sum(items))
    fastest = max(worker.speed for worker in workers)
    marks = {w.slow_from_ns for w in workers} | {w.dies_ns for w in workers}
    marks |= {w.back_ns for w in workers}
    now = 0
    for mark in [*sorted(m for m in marks if m is not None), math.inf]:
        speed = sum(_speed(worker, now) for worker in workers)
        if left <= speed * (mark - now):
            return max(now + left / speed, max(items) / fastest)
        left -= speed * (mark - now)
        now = int(mark)
    raise AssertionError("the last mark is endless")


def _speed(worker: Worker, now_ns: float) -> float:
    dead = worker.dies_ns is not None and worker.dies_ns <= now_ns
    if dead and (worker.back_ns is None or now_ns < worker.back_ns):
        return 0.0
    if worker.slow_from_ns is not None and worker.slow_from_ns <= now_ns:
        return worker.speed / worker.slow_by
    return worker.speed


def uneven(seed: int) -> Case:
    return Case(lognormal(seed), [Worker(speed) for speed in SPEEDS])


def dear(seed: int) -> Case:
    """Every second worker pays 200 ms for a lease."""
    workers = [
        Worker(speed, cost_ns=(200 if n % 2 else 2) * limits.MS) for n, speed in enumerate(SPEEDS)
    ]
    return Case(lognormal(seed), workers)


def dear_fast(seed: int) -> Case:
    """The other half: the fastest worker pays too."""
    workers = [
        Worker(speed, cost_ns=(2 if n % 2 else 200) * limits.MS) for n, speed in enumerate(SPEEDS)
    ]
    return Case(lognormal(seed), workers)


def turning_slow(seed: int) -> Case:
    case = uneven(seed)
    first = replace(case.workers[0], slow_from_ns=15 * SECOND)
    return replace(case, workers=[first, *case.workers[1:]])


def heavy(seed: int) -> Case:
    return Case(pareto(seed), [Worker() for _ in range(8)])


def flaky(items: Sequence[int], seed: int) -> Case:
    """5 % of the attempts take 2 to 10 times as long."""

    def slow(item: int, n: int) -> float:
        draw = random.Random(seed * 1_000_003 + item * 101 + n)
        return draw.uniform(2, 10) if draw.random() < 0.05 else 1.0

    return Case(items, [Worker() for _ in range(64)], slow)


def few_flaky(seed: int) -> Case:
    return flaky(steady(seed, 64, 10 * SECOND), seed)


def killed(seed: int, *, back: bool = True) -> Case:
    """2 of 18 workers (11 %) are killed in the middle of the run, at different moments."""
    items = lognormal(seed)
    middle = sum(items) // 18 // 2
    workers = [Worker() for _ in range(18)]
    for n in (0, 9):
        dies = middle + n * 10 * limits.MS
        again = dies + 300 * limits.MS if back else None
        workers[n] = replace(workers[n], dies_ns=dies, back_ns=again)
    return Case(items, workers)


def calm(seed: int) -> Case:
    case = killed(seed)
    return replace(case, workers=[Worker() for _ in case.workers])


def far(seed: int, delay_ns: int = 50 * limits.MS) -> Case:
    return Case(lognormal(seed), [Worker(delay_ns=delay_ns) for _ in range(8)])
