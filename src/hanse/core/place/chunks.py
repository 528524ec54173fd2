"""Which chunk of data is worked on where: bytes moved against machines that are dear or slow.

A chunk is worked on at one site as a whole, at its own for no egress. Sites work side by side, each
through its chunks; all is to be done by the deadline, at the least cost. Few chunks are decided by
search with bounds, which finds the optimum; many by what each loses if it does not get its best
site (regret), the largest first, and then by moves while they gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

_SEARCHED = 20_000  # ways to place all chunks: up to so many are looked at one by one


class Choice(NamedTuple):
    """Of one chunk at one site."""

    cost: float
    time_ns: float  # of all slots of the site


def settle(
    choices: Sequence[Sequence[Choice]], deadline_ns: float, busy: Sequence[float] = ()
) -> list[int]:
    """The site of each chunk, by `choices[chunk][site]`. Where no way meets the deadline, one that
    is late by the least. `busy` is for how long each site has other work."""
    sites = len(choices[0]) if choices else 0
    if sites ** len(choices) <= _SEARCHED:
        return _search(choices, deadline_ns, _times(choices, busy))
    return _by_regret(choices, deadline_ns, _times(choices, busy))


def score(
    choices: Sequence[Sequence[Choice]], way: Sequence[int], deadline_ns: float,
    busy: Sequence[float] = (),
) -> tuple[float, float]:  # fmt: skip
    """How late, then what it costs."""
    return _score(choices, way, deadline_ns, _times(choices, busy))


def _times(choices: Sequence[Sequence[Choice]], busy: Sequence[float]) -> list[float]:
    return list(busy) or [0.0] * (len(choices[0]) if choices else 0)


def _score(
    choices: Sequence[Sequence[Choice]], way: Sequence[int], deadline_ns: float,
    busy: Sequence[float],
) -> tuple[float, float]:  # fmt: skip
    times = list(busy)
    cost = 0.0
    for row, site in zip(choices, way, strict=True):
        times[site] += row[site].time_ns
        cost += row[site].cost
    return max(0.0, max(times, default=0.0) - deadline_ns), cost


def _search(
    choices: Sequence[Sequence[Choice]], deadline_ns: float, times: list[float]
) -> list[int]:
    order = sorted(range(len(choices)), key=lambda n: -min(c.time_ns for c in choices[n]))
    best: tuple[float, float] | None = None
    found: list[int] = []
    way = [0] * len(choices)

    def place(depth: int, cost: float) -> None:
        nonlocal best, found
        late = max(0.0, max(times, default=0.0) - deadline_ns)
        if best is not None and (late, cost) >= best:
            return
        if depth == len(order):
            best, found = (late, cost), list(way)
            return
        chunk = order[depth]
        for site, choice in sorted(enumerate(choices[chunk]), key=lambda one: one[1].cost):
            way[chunk] = site
            times[site] += choice.time_ns
            place(depth + 1, cost + choice.cost)
            times[site] -= choice.time_ns

    place(0, 0.0)
    return found


def _by_regret(
    choices: Sequence[Sequence[Choice]], deadline_ns: float, busy: Sequence[float]
) -> list[int]:
    """By the loss, and by the loss for each moment of the best site: whichever comes out better."""

    def regret(row: Sequence[Choice]) -> float:
        costs = sorted(choice.cost for choice in row)
        return costs[1] - costs[0] if len(costs) > 1 else 0.0

    def dense(row: Sequence[Choice]) -> float:
        return regret(row) / max(min(row).time_ns, 1e-9)

    ways = [
        _improved(choices, _placed(choices, by, deadline_ns, busy), deadline_ns, busy)
        for by in (regret, dense)
    ]
    return min(ways, key=lambda way: _score(choices, way, deadline_ns, busy))


def _placed(
    choices: Sequence[Sequence[Choice]], by: Callable[[Sequence[Choice]], float],
    deadline_ns: float, busy: Sequence[float],
) -> list[int]:  # fmt: skip
    """One after the other, the largest first, each at the best site that has time for it."""
    sites = range(len(choices[0]))
    times = list(busy)
    way = [0] * len(choices)
    for chunk in sorted(range(len(choices)), key=lambda n: (-by(choices[n]), n)):
        row = choices[chunk]
        way[chunk] = min(sites, key=lambda s: (
            max(0.0, times[s] + row[s].time_ns - deadline_ns), row[s].cost, s))  # fmt: skip
        times[way[chunk]] += row[way[chunk]].time_ns
    return way


def _improved(
    choices: Sequence[Sequence[Choice]], way: list[int], deadline_ns: float, busy: Sequence[float]
) -> list[int]:
    """Move single chunks while that gains; a few rounds are enough."""
    best = _score(choices, way, deadline_ns, busy)
    for _ in range(4):
        before = best
        for chunk, was in enumerate(list(way)):
            for site in range(len(choices[chunk])):
                way[chunk] = site
                found = _score(choices, way, deadline_ns, busy)
                if found < best:
                    best, was = found, site
            way[chunk] = was
        if best == before:
            break
    return way
