"""What the rest of a job costs, by how much work and slack it has left and what there is to run on.

Dynamic programming, backwards from the end, over work and slack. Zones are ranked, and what can be
had at a moment is told by the best rank that has a machine (a chain of ranks, the last of which is
none). Everything else follows: what an hour of slack is worth, whether a dear zone that is steady
beats a cheap one that is not, whether to wait for a better zone or for any, when to pay for a sure
machine and when to leave it again. "Can't Be Late" (NSDI 2024) keeps uniform progress instead,
which asks for no rates, and pays for a sure machine long before that is needed.

Most machines that are lost are lost young. So one that runs is young, or has grown old by chance
(`spells.Rates`); one that a job comes to later may be either. Of zones where it runs nothing only
the mean is followed. How rates are learnt is said in `spells`.

Slack is counted beyond the reserve, the time that it takes to begin a sure machine: a job without
slack that loses its machine begins a sure one, and stays there. Times in hours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hanse.core.place.exact import exp, ln
from hanse.core.place.spells import Rates
from hanse.core.place.sums import (
    LEAST,
    NEVER,
    Later,
    Row,
    Rows,
    between,
    blend,
    dot,
    eight,
    least,
    lesser,
    mix,
    pack,
)

_WORKS, _SLACKS = 40, 32  # steps of the grid, and
_MORE_WORKS = 80  # so many at most, where machines are lost within a step
_FOUND = 0.5  # of the machines that a job comes to later; the others have just come themselves
_STEPS = 50  # of a price or a start, for a factor of e: within one, tables are the same


Chances = list[list[float]]


class Rank(NamedTuple):
    """One zone. The price is for an hour; `carry` is the money that arriving takes."""

    price: float
    rates: Rates
    carry: float


class Chain:
    """The tables for up to so many hours of work and of slack."""

    def __init__(
        self, ranks: Sequence[Rank], sure: float, restart: float, work: float, slack: float
    ) -> None:
        """The ranks from the best on; `sure` is the price of a sure machine for an hour, `restart`
        how long one takes to begin."""
        self.work, self.slack = work, slack
        self._terms = _step(sure), _step(restart)
        self.ranks, self.sure, self.restart = list(ranks), sure, restart
        rates = [rank.rates for rank in ranks]
        often = max([each.lost for each in rates], default=0.0)
        step = min(work / _WORKS, 0.5 / max(often, LEAST))
        self._step = max(step, work / _MORE_WORKS, restart / 2, LEAST)
        self._unit = max(slack / _SLACKS, restart / 2, LEAST)
        self._works = max(3, int(work / self._step) + 2)
        self._slacks = int(slack / self._unit) + 2
        self._kept, self._gone = self._next(self._step)
        self._runs = self._changes(self._step, self._kept, self._gone)
        self._waits = [eight(row) for row in self._changes(self._unit, *self._next(self._unit))]
        by_age = [each.young for each in rates], [each.old for each in rates]
        self._lost = [[_ends(rate * self._step) for rate in lost] for lost in by_age]
        self._grows = [_ends(each.grows * self._step) for each in rates]
        self._aged = [_FOUND * each.aged for each in rates]  # how likely one is that it comes to
        self._after = Later(self._slacks, restart / self._unit)
        count = len(self.ranks)
        nothing = [0.0] * self._slacks
        # A spot machine of that rank runs, which came lately, or has lasted.
        self._on: list[list[Rows]] = [[[nothing] for _ in range(count)] for _ in by_age]
        # Nothing runs, or a sure machine, and that rank is the best that can be had.
        self._idle: list[Rows] = [[nothing] for _ in range(count + 1)]
        self._safe: list[Rows] = [[nothing] for _ in range(count + 1)]
        self._moved = self._arrived([[nothing] * count] * len(by_age))  # as of the last row
        for _ in range(1, self._works):
            self._row()
        pack(*self._on, self._idle, self._safe)

    def holds(self, ranks: Sequence[Rank], sure: float, restart: float) -> bool:
        """Whether these tables answer for such terms."""
        return self._terms == (_step(sure), _step(restart)) and self.ranks == ranks

    @property
    def numbers(self) -> int:
        """That are kept, and worked out before: how much memory and time they take."""
        return (4 * len(self.ranks) + 2) * self._works * self._slacks

    def _next(self, hours: float) -> tuple[Chances, Chances]:
        """From each rank as the best to be had: how likely each is to be so after that time, where
        its machines are still there, and where they are lost. Better ones come as often in both."""
        count = len(self.ranks)
        kept: Chances = []
        gone: Chances = []
        for rank in range(count + 1):
            better, rest = [], 1.0
            for each in self.ranks[:rank]:
                comes = _ends(each.rates.back * hours)
                better.append(rest * comes)
                rest *= 1 - comes
            kept.append([*better, rest, *[0.0] * (count - rank)])
            worse = []
            for each in self.ranks[rank + 1 :]:
                worse.append(rest * each.rates.share)
                rest *= 1 - each.rates.share
            gone.append([*better, *([0.0] if rank < count else []), *worse, rest])
        return kept, gone

    def _changes(self, hours: float, kept: Chances, gone: Chances) -> Chances:
        """The same, where nothing is known of the age of machines."""
        lost = [_ends(rank.rates.lost * hours) for rank in self.ranks]
        return [
            [(1 - ends) * a + ends * b for a, b in zip(stays, goes, strict=True)]
            for ends, stays, goes in zip([*lost, 0.0], kept, gone, strict=True)
        ]

    # --- one more step of work, from what is known of less --------------------------------------
    def _row(self) -> None:
        young, old = ([table[-1] for table in tables] for tables in self._on)
        idle_was = [table[-1] for table in self._idle]
        safe_was = [table[-1] for table in self._safe]
        grown: Rows = [blend(*each) for each in zip(self._grows, young, old, strict=True)]
        lost = [mix(chances, idle_was, 0.0) for chances in self._gone[:-1]]
        on = [
            [
                self._on_row(age, rank, *then)
                for rank, then in enumerate(zip(rows, lost, strict=True))
            ]
            for age, rows in enumerate([grown, old])
        ]
        self._moved = self._arrived(on)
        steady = [mix(chances, safe_was, self.sure * self._step) for chances in self._runs]
        idle = self._idle_rows(steady)
        for tables, rows in zip(self._on, on, strict=True):
            for table, row in zip(tables, rows, strict=True):
                table.append(row)
        for rank, (stays, begins) in enumerate(zip(steady, idle, strict=True)):
            self._idle[rank].append(begins)
            self._safe[rank].append(lesser(stays, begins))

    def _on_row(self, age: int, rank: int, stays: Row, lost: Row) -> list[float]:
        """It runs at that rank: it goes on, moves to a better one that comes, or is lost."""
        ends, cost = self._lost[age][rank], self.ranks[rank].price * self._step
        moves = [lesser(stays, moved) for moved in self._moved[:rank]]
        keeps = [(1 - ends) * chance for chance in self._kept[rank][: rank + 1]]
        return mix([*keeps, ends], [*moves, stays, lost], cost)

    def _idle_rows(self, steady: Sequence[Row]) -> Rows:
        """Nothing runs: a spot machine is begun, or a sure one, or it waits, which takes slack."""
        begin = self.sure * self.restart
        begun: list[Sequence[float]] = [[begin + cost for cost in row] for row in steady]
        for rank, moved in enumerate(self._moved):
            begun[rank] = lesser(moved, begun[rank])
        columns: list[Sequence[float]] = []
        for costs in zip(*begun, strict=True):
            waits = least(costs, self._waits, eight(columns[-1])) if columns else costs
            columns.append(waits)
        return list(map(list, zip(*columns, strict=True)))

    def _arrived(self, on: Sequence[Sequence[Row]]) -> Rows:
        """By rank, and slack before the move, which takes a restart of it."""
        found: Rows = []
        for rank, aged, young, old in zip(self.ranks, self._aged, *on, strict=True):
            money = rank.price * self.restart + rank.carry
            moved = self._after.read(blend(aged, young, old))
            found.append([NEVER] * self._after.first + [money + cost for cost in moved])
        return found

    # --- questions ------------------------------------------------------------------------------
    def runs(self, rank: int, work: float, slack: float, old: float) -> float:
        """What the rest costs if a spot machine of that rank runs, which is old that likely."""
        young, aged = (self._look(tables[rank], work, slack) for tables in self._on)
        return (1 - old) * young + old * aged

    def waits(self, rank: int, work: float, slack: float) -> float:
        """The same, if nothing is begun for a while, and that rank is the best to be had now."""
        if slack < self._unit:
            return NEVER
        then = [self._begins(table, work, slack - self._unit) for table in self._idle]
        return dot(self._waits[rank], eight(then))

    def _begins(self, table: Rows, work: float, slack: float) -> float:
        """As `_look`; below the first row a line to nothing would forget that something has to be
        begun, so the line through the next two goes on."""
        if work >= self._step:
            return self._look(table, work, slack)
        first = self._look(table, self._step, slack)
        second = self._look(table, 2 * self._step, slack)
        return first - (1 - work / self._step) * (second - first)

    def stays(self, rank: int, work: float, slack: float) -> float:
        """The same, if a sure machine runs and is not left at once."""
        if work <= self._step:
            return self.sure * work
        then = [self._look(table, work - self._step, slack) for table in self._safe]
        return self.sure * self._step + dot(eight(self._runs[rank]), eight(then))

    def slack_price(self, rank: int, work: float, slack: float) -> float:
        """What an hour of slack is worth, while a spot machine of that rank runs."""
        more = min(slack + self.restart, (self._slacks - 1) * self._unit)
        less = max(0.0, more - 2 * self.restart)
        if more <= less:
            return 0.0
        old = self._aged[rank]
        dearer = self.runs(rank, work, less, old) - self.runs(rank, work, more, old)
        return max(0.0, dearer / (more - less))

    def _look(self, table: Rows, work: float, slack: float) -> float:
        return NEVER if slack < 0 else between(table, work / self._step, slack / self._unit)


def _step(number: float) -> int:
    return round(_STEPS * ln(number)) if 0 < number < math.inf else 0


def _ends(expected: float) -> float:
    """How likely what ends so often on average does within that time."""
    return 1 - exp(-min(600.0, expected))
