"""Tables of costs that jobs share, and no more of them than a home has room and time for.

Jobs that are alike ask for the same tables. Those that were asked for last are kept, of all jobs
together. Whoever makes them stands still meanwhile, so at one look only so many are made, and who
asks for more goes on as it does until the next look.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hanse import limits
from hanse.core.place.chain import Chain, Rank
from hanse.core.place.exact import exp, ln
from hanse.core.place.lone import Lone, Terms

_AT_LEAST = 10_000  # numbers: as long as these, the smallest of tables takes
_SLACK = 0.5  # hours: tables that may be much too large are made for no less


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
        self._kept: dict[Lone | Chain, None] = {}  # those asked for last at the end
        self.numbers = 0

    def look(self) -> None:
        """A look begins, at which only so many are made."""
        self._left = limits.SPOT_TABLES_LOOK

    def lone(
        self, lost: Sequence[float], back: Sequence[float], terms: Terms, reach: Reach
    ) -> Lone:
        """Raises NotYet."""
        for table in reversed(self._kept):
            if isinstance(table, Lone) and reach.within(table) and table.holds(lost, back, terms):
                self._use(table)
                return table
        self._ask()
        made = Lone(lost, back, terms, *reach.made())
        self._keep(made)
        return made

    def chain(self, ranks: Sequence[Rank], sure: float, restart: float, reach: Reach) -> Chain:
        """Raises NotYet."""
        for table in reversed(self._kept):
            if (
                isinstance(table, Chain)
                and reach.within(table)
                and table.holds(ranks, sure, restart)
            ):
                self._use(table)
                return table
        self._ask()
        made = Chain(ranks, sure, restart, *reach.made())
        self._keep(made)
        return made

    def _ask(self) -> None:
        if self._left <= 0:
            raise NotYet

    def _use(self, table: Lone | Chain) -> None:
        del self._kept[table]
        self._kept[table] = None

    def _keep(self, table: Lone | Chain) -> None:
        """The one that was just made stays, however large it is."""
        self._kept[table] = None
        self._left -= max(table.numbers, _AT_LEAST)
        self.numbers += table.numbers
        while self.numbers > self._most and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self.numbers -= oldest.numbers


def _round_up(hours: float, base: float) -> float:
    """To a power of the base."""
    return exp(math.ceil(ln(hours) / ln(base)) * ln(base)) if hours > 0 else 0.0
