"""Which chunk of data is worked on where: bytes moved against machines that are dear or slow.

A chunk is worked on at one site as a whole, at its own for no egress. Sites work side by side, each
through its chunks; all is to be done by the deadline, at the least cost. Few chunks are decided by
search with bounds, which finds the optimum; many by what each loses if it does not get its best
site (regret), the largest first, and then by moves while they gain.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    sites = [_by_cost(choices[chunk]) for chunk in order]
    least = [0.0]  # what all from that depth on cost at least
    for chunk in reversed(order):
        least.append(least[-1] + min(choice.cost for choice in choices[chunk]))
    least.reverse()
    best: tuple[float, float] | None = None
    found: list[int] = []
    way = [0] * len(choices)

    def place(depth: int, cost: float) -> None:
        nonlocal best, found
        late = max(0.0, max(times, default=0.0) - deadline_ns)
        if best is not None and (late, cost + least[depth]) >= best:
            return
        if depth == len(order):
            best, found = (late, cost), list(way)
            return
        chunk = order[depth]
        for site in sites[depth]:
            choice = choices[chunk][site]
            way[chunk] = site
            times[site] += choice.time_ns
            place(depth + 1, cost + choice.cost)
            times[site] -= choice.time_ns

    place(0, 0.0)
    return found


def _by_cost(row: Sequence[Choice]) -> list[int]:
    """The sites, the cheapest first."""
    costs = [choice.cost for choice in row]
    return sorted(range(len(row)), key=costs.__getitem__)


def _by_regret(
    choices: Sequence[Sequence[Choice]], deadline_ns: float, busy: Sequence[float]
) -> list[int]:
    """By the loss, and by the loss for each moment of the best site: whichever comes out better."""
    known: dict[int, list[int]] = {}  # pieces of one chunk share their row
    orders = [known.get(id(row)) or known.setdefault(id(row), _by_cost(row)) for row in choices]
    regret = [row[order[1]].cost - row[order[0]].cost if len(order) > 1 else 0.0
              for row, order in zip(choices, orders, strict=True)]  # fmt: skip
    dense = [loss / max(row[order[0]].time_ns, 1e-9)
             for loss, row, order in zip(regret, choices, orders, strict=True)]  # fmt: skip
    ways = [
        _improved(choices, orders, _placed(choices, orders, by, deadline_ns, busy), deadline_ns,
                  busy)
        for by in (regret, dense)
    ]  # fmt: skip
    return min(ways, key=lambda way: _score(choices, way, deadline_ns, busy))


def _placed(
    choices: Sequence[Sequence[Choice]], orders: Sequence[Sequence[int]], by: Sequence[float],
    deadline_ns: float, busy: Sequence[float],
) -> list[int]:  # fmt: skip
    """One after the other, the largest first, each at the best site that has time for it."""
    times = list(busy)
    way = [0] * len(choices)
    for chunk in sorted(range(len(choices)), key=lambda n: (-by[n], n)):
        row = choices[chunk]
        site = way[chunk] = _least_late(row, orders[chunk], times, deadline_ns, 0.0)
        times[site] += row[site].time_ns
    return way


def _least_late(
    row: Sequence[Choice], order: Sequence[int], times: Sequence[float], deadline_ns: float,
    least_ns: float,
) -> int:  # fmt: skip
    """The cheapest site that is not late, or the least late; to be late by less than `least_ns` is
    worth nothing."""
    found, found_late = order[0], -1.0
    for site in order:
        late = max(least_ns, times[site] + row[site].time_ns - deadline_ns)
        if found_late < 0 or late < found_late:
            found, found_late = site, late
            if late <= least_ns:
                break
    return found


def _improved(
    choices: Sequence[Sequence[Choice]], orders: Sequence[Sequence[int]], way: list[int],
    deadline_ns: float, busy: Sequence[float],
) -> list[int]:  # fmt: skip
    """Move single chunks while that gains; a few rounds are enough."""
    times = list(busy)
    for row, site in zip(choices, way, strict=True):
        times[site] += row[site].time_ns
    for _ in range(4):
        before = list(way)
        for chunk, row in enumerate(choices):
            was = way[chunk]
            times[was] -= row[was].time_ns
            others = max(0.0, max(times) - deadline_ns)  # so late it is whatever is done with it
            site = _least_late(row, orders[chunk], times, deadline_ns, others)
            if _is_better(row, site, was, times, deadline_ns, others):
                way[chunk] = site
            times[way[chunk]] += row[way[chunk]].time_ns
        if way == before:
            break
    return way


def _is_better(
    row: Sequence[Choice], site: int, was: int, times: Sequence[float], deadline_ns: float,
    others: float,
) -> bool:  # fmt: skip
    def score(at: int) -> tuple[float, float]:
        return max(others, times[at] + row[at].time_ns - deadline_ns), row[at].cost

    return score(site) < score(was)
