"""Tables of costs that jobs share, and no more of them than a home has room and time for.

Jobs that are alike ask for the same tables. Those that were asked for last are kept, of all jobs
together. Whoever makes them stands still meanwhile, so at one look only so many are made, and who
asks for more goes on as it does until the next look.

Jobs come in the same order at each look, and may need more tables than fit. Then those in use take
turns: at each look one job, which has waited longest, has what it lacks made in place of what was
made longest ago, until it lacks nothing. So of N jobs that need M tables each, each has all of its
tables at one of any N times M looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from hanse import limits
from hanse.core.place.chain import Chain, Rank
from hanse.core.place.exact import exp, ln
from hanse.core.place.lone import Lone, Terms

_AT_LEAST = 10_000  # numbers: as long as these, the smallest of tables takes
_SLACK = 0.5  # hours: tables that may be much too large are made for no less

_T = TypeVar("_T", Lone, Chain)


class NotYet(Exception):
    """There is no such table, and enough were made at this look."""


class Reach(NamedTuple):
    """For how many hours of work and slack tables are asked for.

    Attributes:
        more: tables are made for so many times as much: both are estimates, which go up and down.
        fits: they are used for what is so many times less, at most.
    """

    work: float
    slack: float
    more: float = 1.0
    fits: float = 2.0

    def within(self, table: Lone | Chain) -> bool:
        return (
            self.work <= table.work < self.fits * self.work
            and self.slack <= table.slack < self.fits * self.slack + 1
        )

    def made(self) -> tuple[float, float]:
        """Up to where tables are made: where they may be much too large, up to round numbers, so
        that what comes later is within them."""
        work, slack, base = self.more * self.work, self.more * self.slack, self.fits / 2
        if base <= 1:
            return work, slack
        return _round_up(work, base), max(_round_up(slack, base), _SLACK)


class Tables:
    def __init__(self, most: int = limits.SPOT_TABLES) -> None:
        """`most`: numbers that all of them have together."""
        self._most = most
        self._left = math.inf  # of the numbers that may be worked out at this look
        self._kept: dict[Lone | Chain, int] = {}  # at which look it was used; who goes first, first
        self.numbers = 0
        self._look = 0
        self._job = ""  # that asks
        self._waiting: list[str] = []  # jobs that lacked something at the last look; longest first
        self._lacking: dict[str, None] = {}  # at this one
        self._came = False  # the first of those that wait had its turn at this look

    def look(self) -> None:
        """A look begins, at which only so many are made."""
        self._left = limits.SPOT_TABLES_LOOK
        still = [job for job in self._waiting if job in self._lacking]
        self._waiting = list(dict.fromkeys([*still, *self._lacking]))
        self._lacking, self._came, self._job = {}, False, ""
        self._look += 1

    def serve(self, job: str) -> None:
        """It is this job that asks from now on."""
        self._came = self._came or self._has_turn()
        self._job = job

    def lone(
        self, lost: Sequence[float], back: Sequence[float], terms: Terms, reach: Reach
    ) -> Lone:
        """Raises NotYet."""
        return self._table(
            Lone, lambda table: table.holds(lost, back, terms),
            lambda work, slack: Lone(lost, back, terms, work, slack), reach,
        )  # fmt: skip

    def chain(self, ranks: Sequence[Rank], sure: float, restart: float, reach: Reach) -> Chain:
        """Raises NotYet."""
        return self._table(
            Chain, lambda table: table.holds(ranks, sure, restart),
            lambda work, slack: Chain(ranks, sure, restart, work, slack), reach,
        )  # fmt: skip

    def _table(
        self, kind: type[_T], holds: Callable[[_T], bool], make: Callable[[float, float], _T],
        reach: Reach,
    ) -> _T:  # fmt: skip
        """One that there is, or a new one, which is kept."""
        for table in reversed(self._kept):
            if isinstance(table, kind) and reach.within(table) and holds(table):
                self._use(table)
                return table
        self._ask()
        made = make(*reach.made())
        self._keep(made)
        return made

    def _ask(self) -> None:
        """Raises NotYet if no more are made now for who asks."""
        ahead = self._waiting and not self._came and not self._has_turn()
        if self._left <= 0 or ahead:
            self._lacking[self._job] = None
            raise NotYet

    def _has_turn(self) -> bool:
        return bool(self._waiting) and self._job == self._waiting[0]

    def _use(self, table: Lone | Chain) -> None:
        """While jobs wait, use alone keeps nothing: all of them use theirs at each look."""
        if not self._waiting or self._has_turn():
            del self._kept[table]
        self._kept[table] = self._look

    def _keep(self, table: Lone | Chain) -> None:
        """The one that was just made stays, however large it is. What nobody used at this look or
        the last goes before others."""
        self._kept[table] = self._look
        self._left -= max(table.numbers, _AT_LEAST)
        self.numbers += table.numbers
        while self.numbers > self._most and len(self._kept) > 1:
            unused = (each for each, look in self._kept.items() if look < self._look - 1)
            oldest = next(unused, next(iter(self._kept)))
            del self._kept[oldest]
            self.numbers -= oldest.numbers


def _round_up(hours: float, base: float) -> float:
    """To a power of the base."""
    return exp(math.ceil(ln(hours) / ln(base)) * ln(base)) if hours > 0 else 0.0
