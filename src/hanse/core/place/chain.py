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

from array import array
from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

NEVER = 1e15
_WORKS, _SLACKS = 40, 32  # steps of the grid, and
_MORE_WORKS = 120  # so many at most, where machines are lost within a step
_LEAST = 1e-9  # a chance below this changes nothing

Row = MutableSequence[float]  # by slack
Rows = list[Row]  # by work


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
        """The ranks from the best on; `sure` is the price of a sure machine for an hour, and
        `restart` how long one takes to begin."""
        self.ranks, self.sure, self.restart = list(ranks), sure, restart
        often = max([rank.lost for rank in ranks], default=0.0)
        step = min(work / _WORKS, 0.5 / max(often, _LEAST))
        self._step = max(step, work / _MORE_WORKS, restart / 2, _LEAST)
        self._unit = max(slack / _SLACKS, restart / 2, _LEAST)
        self._works = max(3, int(work / self._step) + 2)
        self._slacks = int(slack / self._unit) + 2
        self._runs, self._waits = self._changes(self._step), self._changes(self._unit)
        count = len(self.ranks)
        nothing = [0.0] * self._slacks
        self._on: list[Rows] = [[nothing] for _ in range(count)]  # a spot machine of that rank
        # Nothing runs, or a sure machine, and that rank is the best that can be had.
        self._idle: list[Rows] = [[nothing] for _ in range(count + 1)]
        self._safe: list[Rows] = [[nothing] for _ in range(count + 1)]
        for _ in range(1, self._works):
            self._row()
        pack(self._on, self._idle, self._safe)

    def _changes(self, hours: float) -> list[list[tuple[int, float]]]:
        """From each rank as the best to be had: which one may be so after that time, and how likely
        that is."""
        count = len(self.ranks)
        found = []
        for rank in range(count + 1):
            chances: list[tuple[int, float]] = []
            rest = 1.0
            for better in range(rank):
                comes = min(1.0, self.ranks[better].back * hours)
                chances.append((better, rest * comes))
                rest *= 1 - comes
            if rank < count:
                lost = min(1.0, self.ranks[rank].lost * hours)
                chances.append((rank, rest * (1 - lost)))
                rest *= lost
                for worse in range(rank + 1, count):
                    chances.append((worse, rest * self.ranks[worse].share))
                    rest *= 1 - self.ranks[worse].share
            chances.append((count, rest))
            found.append([(target, chance) for target, chance in chances if chance > _LEAST])
        return found

    # --- one more step of work, from what is known of less --------------------------------------
    def _row(self) -> None:
        count = len(self.ranks)
        on_was = [table[-1] for table in self._on]
        idle_was = [table[-1] for table in self._idle]
        safe_was = [table[-1] for table in self._safe]
        moved_was = [self._arrived(rank, on_was[rank]) for rank in range(count)]
        moved: Rows = []
        for rank in range(count):
            on = self._on_row(rank, on_was[rank], moved_was, idle_was)
            self._on[rank].append(on)
            moved.append(self._arrived(rank, on))
        moved.append([NEVER] * self._slacks)
        steady: Rows = []
        for rank in range(count + 1):
            row = [self.sure * self._step] * self._slacks
            for target, chance in self._runs[rank]:
                row = [
                    cost + chance * then for cost, then in zip(row, safe_was[target], strict=True)
                ]
            steady.append(row)
        idle = self._idle_rows(moved, steady)
        for rank in range(count + 1):
            self._idle[rank].append(idle[rank])
            self._safe[rank].append(list(map(min, steady[rank], idle[rank])))

    def _on_row(self, rank: int, stays: Row, moved: Rows, idle: Rows) -> Row:
        """It runs at that rank: it goes on, moves to a better one that comes, or is lost."""
        row = [self.ranks[rank].price * self._step] * self._slacks
        lost = min(1.0, self.ranks[rank].lost * self._step)
        for target, chance in self._runs[rank]:
            then = stays
            if target < rank:  # which says nothing of whether this one is lost meanwhile
                then = [
                    (1 - lost) * min(stay, move) + lost * begin
                    for stay, move, begin in zip(stays, moved[target], idle[target], strict=True)
                ]
            elif target > rank:
                then = idle[target]
            row = [cost + chance * more for cost, more in zip(row, then, strict=True)]
        return row

    def _idle_rows(self, moved: Rows, steady: Rows) -> Rows:
        """Nothing runs: a spot machine is begun, or a sure one, or it waits, which takes slack."""
        begin = self.sure * self.restart
        ranks = range(len(self.ranks) + 1)
        rows: Rows = [[] for _ in ranks]
        before: Row = []
        for slack in range(self._slacks):
            now = [min(moved[rank][slack], begin + steady[rank][slack]) for rank in ranks]
            if before:
                for rank in ranks:
                    waits = 0.0
                    for target, chance in self._waits[rank]:
                        waits += chance * before[target]
                    now[rank] = min(now[rank], waits)
            for rank in ranks:
                rows[rank].append(now[rank])
            before = now
        return rows

    def _arrived(self, rank: int, row: Row) -> Row:
        """By slack before the move, which takes a restart of it."""
        kind = self.ranks[rank]
        money = kind.price * self.restart + kind.carry
        least = self.restart / self._unit
        return [
            NEVER if slack < least - _LEAST else money + between(row, max(0.0, slack - least))
            for slack in range(self._slacks)
        ]

    # --- questions ------------------------------------------------------------------------------
    def runs(self, rank: int, work: float, slack: float) -> float:
        """What the rest costs if a spot machine of that rank runs."""
        return self._look(self._on[rank], work, slack)

    def waits(self, rank: int, work: float, slack: float) -> float:
        """The same, if nothing is begun for a while, and that rank is the best to be had now."""
        if slack < self._unit:
            return NEVER
        cost = 0.0
        for target, chance in self._waits[rank]:
            cost += chance * self._begins(self._idle[target], work, slack - self._unit)
        return cost

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
        cost = self.sure * self._step
        for target, chance in self._runs[rank]:
            cost += chance * self._look(self._safe[target], work - self._step, slack)
        return cost

    def slack_price(self, rank: int, work: float, slack: float) -> float:
        """What an hour of slack is worth, while a spot machine of that rank runs."""
        more = min(slack + self.restart, (self._slacks - 1) * self._unit)
        less = max(0.0, more - 2 * self.restart)
        if more <= less:
            return 0.0
        dearer = self.runs(rank, work, less) - self.runs(rank, work, more)
        return max(0.0, dearer / (more - less))

    def _look(self, table: Rows, work: float, slack: float) -> float:
        """Between rows and columns: straight lines."""
        if slack < 0:
            return NEVER
        at = min(max(work / self._step, 0.0), len(table) - 1.0)
        row = min(int(at), len(table) - 2)
        part, column = at - row, slack / self._unit
        return (1 - part) * between(table[row], column) + part * between(table[row + 1], column)


def pack(*tables: list[Rows]) -> None:
    """From now on they are only read, and take a quarter of the memory."""
    for rows in (rows for table in tables for rows in table):
        rows[:] = [array("d", row) for row in rows]


def between(row: Sequence[float], at: float) -> float:
    at = min(at, len(row) - 1.0)
    low = int(at)
    part = at - low
    return row[low] if part < _LEAST else (1 - part) * row[low] + part * row[low + 1]
