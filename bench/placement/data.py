"""Chunks of data that lie at three sites: where to work on them, beside brute force.

The core's `chunks.settle` is asked, with prices and bytes as a job would name them. What is moved
over the wide area is compared with copying all of it to the one site that is best for the whole.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from placement.lines import Kept, Line, spread

from hanse.core.place.chunks import Choice, settle
from hanse.core.place.egress import GIGABYTE, Egress
from hanse.model.aims import NANO

SITES = 3
REHEARSED = 120  # draws that are run under the home, about a second each


class Draw(NamedTuple):
    """Chunks and three sites; `choices` by chunk and site."""

    choices: list[list[Choice]]
    homes: list[int]
    sizes: list[int]
    deadline_ns: float
    effort: list[float]
    price: list[float]
    speed: list[float]
    egress: Egress


def draw(seed: int) -> Draw:
    luck = random.Random(seed)
    regions = [f"region-{n}" for n in range(SITES)]
    egress = Egress({
        (a, b): round(luck.choice((0.01, 0.02, 0.05, 0.08, 0.12)) * NANO)
        for a in regions for b in regions if a != b
    })  # fmt: skip
    price = [luck.uniform(1, 6) for _ in regions]  # for an hour of all of it
    speed = [luck.uniform(0.5, 3) for _ in regions]  # gigabytes a second
    sizes = [round(luck.lognormvariate(4.5, 1) * GIGABYTE) for _ in range(luck.randint(2, 6))]
    homes = [luck.randrange(SITES) for _ in sizes]
    effort = [luck.uniform(0.3, 30) for _ in sizes]  # how much work a byte of it is
    choices = []
    for size, home, much in zip(sizes, homes, effort, strict=True):
        row = []
        for n, region in enumerate(regions):
            time_s = size / GIGABYTE * much / speed[n]
            cost = time_s * price[n] / 3600 + egress.cost(regions[home], region, size) / NANO
            row.append(Choice(cost, time_s * 1e9))
        choices.append(row)
    fluid = sum(1 / sum(1 / c.time_ns for c in row) for row in choices)
    deadline_ns = fluid * luck.uniform(1.5, 4)
    return Draw(choices, homes, sizes, deadline_ns, effort, price, speed, egress)


def lines(seeds: int, kept: Kept) -> Iterator[Line]:
    """What the code comes to by itself, and then under the real home, which learns all times and
    gives out leases."""
    many, name = min(seeds, REHEARSED), "chunks under the home, as 100 items each"
    of_bytes = "bytes moved, over copying all to one site"
    yield from _compared(
        seeds, _settled, "chunks at three sites, over brute force", f"the chunks: {of_bytes}", kept
    )
    yield from _compared(
        many, _rehearsed, f"{name}, over brute force", f"the chunks under the home: {of_bytes}",
        kept,
    )  # fmt: skip


class Found(NamedTuple):
    cost: float  # over that of brute force
    late: bool
    moved: int  # bytes that went to another region
    copied: int  # ... that would have, to the one site that is best for the whole


def _compared(
    seeds: int, way: Callable[[int], Found], name: str, of_bytes: str, kept: Kept
) -> Iterator[Line]:
    """Cost over that of brute force, where something is in time, and bytes over copying all."""
    rows = spread(way, range(1, seeds + 1), name, kept)
    found = [Found(*row) for row in rows if row[0]]
    ratios = [one.cost for one in found if not one.late]
    yield Line(name, "Hanse", ratios, len(found) - len(ratios), "worst 1.05")
    share = sum(one.moved for one in found) / sum(one.copied for one in found)
    yield Line(of_bytes, "Hanse", [share], 0, "at most 0.5")


NOTHING = Found(0.0, False, 0, 0)  # no way is in time


def _settled(seed: int) -> Found:
    drawn = draw(seed)
    best = optimum(drawn)
    if best is None:
        return NOTHING
    way = settle(drawn.choices, drawn.deadline_ns)
    late, cost = _score(drawn.choices, way, drawn.deadline_ns)
    sizes = zip(drawn.sizes, drawn.homes, way, strict=True)
    moved = sum(size for size, home, at in sizes if at != home)
    return Found(cost / best, late > 0, moved, copied(drawn))


def _rehearsed(seed: int) -> Found:
    from placement.chunks import run

    drawn = draw(seed)
    best = optimum(drawn)
    if best is None:
        return NOTHING
    found = run(drawn, seed)
    late = found.end_s * 1e9 > drawn.deadline_ns
    return Found(found.cost / best, late, found.moved, copied(drawn))


def optimum(drawn: Draw) -> float | None:
    """The least cost of all ways to place whole chunks; None if none is in time."""
    found = [_score(drawn.choices, way, drawn.deadline_ns)
             for way in itertools.product(range(SITES), repeat=len(drawn.choices))]  # fmt: skip
    return min((cost for late, cost in found if not late), default=None)


def copied(drawn: Draw) -> int:
    """Bytes that would go to the one site that is best for the whole."""
    one = min(range(SITES), key=lambda n: sum(row[n].cost for row in drawn.choices))
    return sum(size for size, home in zip(drawn.sizes, drawn.homes, strict=True) if home != one)


def _score(choices: list[list[Choice]], way: Any, deadline_ns: float) -> tuple[float, float]:
    times = [0.0] * SITES
    for row, site in zip(choices, way, strict=True):
        times[site] += row[site].time_ns
    cost = sum(row[site].cost for row, site in zip(choices, way, strict=True))
    return max(0.0, max(times) - deadline_ns), cost
