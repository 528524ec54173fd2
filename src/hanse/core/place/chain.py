"""What the rest of a job costs, by how much work and slack it has left and what there is to run on.

Dynamic programming, backwards from the end, over work and slack. Zones are ranked, and what can be
had at a moment is told by the best rank that has a machine (a chain of ranks, the last of which is
none). Everything else follows: what an hour of slack is worth, whether a dear zone that is steady
beats a cheap one that is not, whether to wait for a better zone or for any, when to pay for a sure
machine and when to leave it again. "Can't Be Late" (NSDI 2024) keeps uniform progress instead,
which asks for no rates, and pays for a sure machine long before that is needed.

Slack is counted beyond the reserve, the time that it takes to begin a sure machine: a job without
slack that loses its machine begins a sure one, and stays there. Rates are taken to be constant; how
they are learnt is said in `zones`. Times in hours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hanse.core.place.exact import ln
from hanse.core.place.sums import (
    LEAST,
    NEVER,
    Later,
    Row,
    Rows,
    between,
    dot,
    eight,
    least,
    lesser,
    mix,
    pack,
)

_WORKS, _SLACKS = 40, 32  # steps of the grid, and
_MORE_WORKS = 80  # so many at most, where machines are lost within a step
_STEPS = 50  # of a price or a start, for a factor of e: within one, tables are the same


class Rank(NamedTuple):
    """One zone. The price is for an hour, and so are the rates: of losing a machine there, and of
    there being one again. The share is of the time in which there is one; `carry` is the money that
    arriving takes."""

    price: float
    lost: float
    back: float
    share: float
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
        often = max([rank.lost for rank in ranks], default=0.0)
        step = min(work / _WORKS, 0.5 / max(often, LEAST))
        self._step = max(step, work / _MORE_WORKS, restart / 2, LEAST)
        self._unit = max(slack / _SLACKS, restart / 2, LEAST)
        self._works = max(3, int(work / self._step) + 2)
        self._slacks = int(slack / self._unit) + 2
        self._runs = self._changes(self._step)
        self._waits = [eight(row) for row in self._changes(self._unit)]
        self._after = Later(self._slacks, restart / self._unit)
        count = len(self.ranks)
        nothing = [0.0] * self._slacks
        self._on: list[Rows] = [[nothing] for _ in range(count)]  # a spot machine of that rank
        # Nothing runs, or a sure machine, and that rank is the best that can be had.
        self._idle: list[Rows] = [[nothing] for _ in range(count + 1)]
        self._safe: list[Rows] = [[nothing] for _ in range(count + 1)]
        self._moved = [self._arrived(rank, nothing) for rank in range(count)]  # as of the last row
        for _ in range(1, self._works):
            self._row()
        pack(self._on, self._idle, self._safe)

    def holds(self, ranks: Sequence[Rank], sure: float, restart: float) -> bool:
        """Whether these tables answer for such terms."""
        return self._terms == (_step(sure), _step(restart)) and self.ranks == ranks

    @property
    def numbers(self) -> int:
        """That are kept, and worked out before: how much memory and time they take."""
        return (3 * len(self.ranks) + 2) * self._works * self._slacks

    def _changes(self, hours: float) -> list[list[float]]:
        """From each rank as the best to be had: how likely each is to be so after that time."""
        count = len(self.ranks)
        found = []
        for rank in range(count + 1):
            chances, rest = [0.0] * (count + 1), 1.0
            for better in range(rank):
                comes = min(1.0, self.ranks[better].back * hours)
                chances[better] = rest * comes
                rest *= 1 - comes
            if rank < count:
                lost = min(1.0, self.ranks[rank].lost * hours)
                chances[rank] = rest * (1 - lost)
                rest *= lost
                for worse in range(rank + 1, count):
                    chances[worse] = rest * self.ranks[worse].share
                    rest *= 1 - self.ranks[worse].share
            chances[count] = rest
            found.append([chance if chance > LEAST else 0.0 for chance in chances])
        return found

    # --- one more step of work, from what is known of less --------------------------------------
    def _row(self) -> None:
        count = len(self.ranks)
        on_was = [table[-1] for table in self._on]
        idle_was = [table[-1] for table in self._idle]
        safe_was = [table[-1] for table in self._safe]
        on = [self._on_row(rank, on_was[rank], idle_was) for rank in range(count)]
        self._moved = [self._arrived(rank, row) for rank, row in enumerate(on)]
        steady = [mix(chances, safe_was, self.sure * self._step) for chances in self._runs]
        idle = self._idle_rows(steady)
        for table, row in zip(self._on, on, strict=True):
            table.append(row)
        for rank in range(count + 1):
            self._idle[rank].append(idle[rank])
            self._safe[rank].append(lesser(steady[rank], idle[rank]))

    def _on_row(self, rank: int, stays: Row, idle: Rows) -> list[float]:
        """It runs at that rank: it goes on, moves to a better one that comes, or is lost."""
        chances, cost = self._runs[rank], self.ranks[rank].price * self._step
        lost = min(1.0, self.ranks[rank].lost * self._step)
        keeps = 1 - lost  # that a better one comes says nothing of whether this one is lost
        then: list[Sequence[float]] = [
            [
                keeps * (stay if stay <= move else move) + lost * begin
                for stay, move, begin in zip(stays, self._moved[target], idle[target], strict=True)
            ]
            if chances[target]
            else stays
            for target in range(rank)
        ]
        return mix(chances, [*then, stays, *idle[rank + 1 :]], cost)

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

    def _arrived(self, rank: int, row: Row) -> list[float]:
        """By slack before the move, which takes a restart of it."""
        kind = self.ranks[rank]
        money = kind.price * self.restart + kind.carry
        moved = [money + cost for cost in self._after.read(row)]
        return [NEVER] * self._after.first + moved

    # --- questions ------------------------------------------------------------------------------
    def runs(self, rank: int, work: float, slack: float) -> float:
        """What the rest costs if a spot machine of that rank runs."""
        return self._look(self._on[rank], work, slack)

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
        dearer = self.runs(rank, work, less) - self.runs(rank, work, more)
        return max(0.0, dearer / (more - less))

    def _look(self, table: Rows, work: float, slack: float) -> float:
        return NEVER if slack < 0 else between(table, work / self._step, slack / self._unit)


def _step(number: float) -> int:
    return round(_STEPS * ln(number)) if 0 < number < math.inf else 0
