"""What a measure is: work of a contestant, the unit of its figure, and the goal for Hanse."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.contest import Peer

Medians = Mapping[str, float]  # of one measure, by contestant; only those that have a figure
Figures = Mapping[str, Medians]  # by measure


class WrongAnswer(Exception):
    """The contestant's results are not what the work must give."""


@dataclass(frozen=True)
class Sizes:
    """How much work each measure is. Those of the issue by default."""

    items: int = 1_000_000
    submits: int = 20_000
    trips: int = 1_000
    uneven: int = 10_000
    arrays: int = 64
    leaves: int = 5_000
    chains: int = 1_000
    streamed: int = 10_000_000
    recovery_items: int = 6
    recovery_item_s: float = 1.0
    text_files: int = 0  # all of them
    largest_scale: int = 10**8

    @classmethod
    def quick(cls) -> Sizes:
        return cls(
            items=200_000, submits=4_000, trips=200, uneven=1_000, arrays=16, leaves=500,
            chains=100, streamed=1_000_000, recovery_items=4, recovery_item_s=0.4,
            text_files=300, largest_scale=10**6,
        )  # fmt: skip


def no_goal(figures: Figures) -> bool | None:
    return None


@dataclass(frozen=True)
class Measure:
    """One row of the table.

    Attributes:
        key: its name in the records.
        unit: of the figure: items/s, s, us, MB, MB/s, x.
        more_is_better: which way is ahead.
        work: does it, checks the answer, and gives the figure; None for a figure that another
            measure's work or the runner gives.
        met: whether Hanse's figure reaches the goal; None where that cannot be told.
        watched: whether the runner samples the memory of all its processes meanwhile.
        against: the measure whose figures of the peers Hanse's is compared with, if not this one.
        limit_s: what takes longer is killed; by default the plan's limit.
    """

    key: str
    title: str
    unit: str
    more_is_better: bool
    work: Callable[[Peer, Sizes, Teller], float | dict[str, float]] | None = None
    goal: str = ""
    met: Callable[[Figures], bool | None] = no_goal
    watched: bool = False
    against: str = ""
    limit_s: float | None = None


@dataclass(frozen=True)
class Family:
    """Measures that one process of a contestant does one after the other, with the same workers."""

    name: str
    measures: tuple[Measure, ...]
    program: str = "bench.sitting"
    rounds: int | None = None  # where fewer than asked for are enough
    extra: tuple[Measure, ...] = field(default=())  # rows that the others give


class Teller:
    """What a measure may ask of the runner while it works; see sitting.py."""

    def ask(self, question: dict[str, Any]) -> dict[str, float]:
        raise NotImplementedError


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the work returned."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


LONG_S = 20.0


def fitting(count: int, trial: Callable[[int], Any]) -> int:
    """How many of these a contestant is given: all, or a tenth of them (again and again) if a trial
    with a hundredth says that they would take it more than LONG_S. Rates are per second anyway."""
    part = max(1, count // 100)
    trial(part)  # once to warm up
    seconds, _ = timed(lambda: trial(part))
    while count > part and seconds / part * count > LONG_S:
        count //= 10
    return count


def check(is_right: bool, what: str) -> None:
    if not is_right:
        raise WrongAnswer(what)


def ratio(figures: Figures, key: str, peer: str) -> float | None:
    """Hanse's figure over a peer's."""
    row = figures.get(key, {})
    return row["hanse"] / row[peer] if "hanse" in row and row.get(peer) else None


def at_least(times: float, key: str, *peers: str) -> Callable[[Figures], bool | None]:
    """Hanse's figure is at least so many times each of these peers'."""

    def met(figures: Figures) -> bool | None:
        ratios = [r for peer in peers if (r := ratio(figures, key, peer)) is not None]
        return all(r >= times for r in ratios) if ratios else None

    return met


def at_most(times: float, key: str, *peers: str) -> Callable[[Figures], bool | None]:
    def met(figures: Figures) -> bool | None:
        ratios = [r for peer in peers if (r := ratio(figures, key, peer)) is not None]
        return all(r <= times for r in ratios) if ratios else None

    return met


def bound(
    key: str, *, low: float = 0.0, high: float = float("inf")
) -> Callable[[Figures], bool | None]:
    """Hanse's figure is within these."""

    def met(figures: Figures) -> bool | None:
        own = figures.get(key, {}).get("hanse")
        return None if own is None else low <= own <= high

    return met


def both(*goals: Callable[[Figures], bool | None]) -> Callable[[Figures], bool | None]:
    """All of them are met; unknown ones do not count."""

    def met(figures: Figures) -> bool | None:
        known = [m for goal in goals if (m := goal(figures)) is not None]
        return all(known) if known else None

    return met


def as_dict(sizes: Sizes) -> dict[str, Any]:
    return dataclasses.asdict(sizes)
