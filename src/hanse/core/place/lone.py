"""What the rest of a job costs that can use the spot machines of one zone, and sure ones.

As `chain` does for many zones, by dynamic programming backwards over work and slack; and here how
long the zone has had machines, or none, is a part of the state (`spells`): a machine that came a
moment ago is likely to be lost soon, and a zone that has none for hours stays so. Such a spell
grows older by chance, class by class, at the rate that is right on average. Times in hours; slack
is counted beyond the reserve.
"""

from __future__ import annotations

from collections.abc import Sequence

from hanse.core.place.chain import NEVER, Rows, between
from hanse.core.place.exact import exp
from hanse.core.place.spells import EDGES

_WORKS, _SLACKS = 60, 32  # steps of the grid
_FINE = 0.05  # in which changes are followed
_LEAST = 1e-9
_RATES, _PRICES = 0.12, 0.01  # tables are kept while these change by less
_CLASSES = len(EDGES)

Matrix = list[list[float]]


class Lone:
    """The tables for up to so many hours of work and of slack. States are the classes of age of a
    spell with machines, and then of one without."""

    def __init__(
        self, lost: Sequence[float], back: Sequence[float], price: float, sure: float,
        restart: float, work: float, slack: float,
    ) -> None:  # fmt: skip
        self.price, self.sure, self.restart = price, sure, restart
        self._made_for = *lost, *back
        self._work, self._slack = work, slack
        self._step = max(work / _WORKS, restart / 2, _LEAST)
        self._unit = max(slack / _SLACKS, restart / 2, _LEAST)
        self._slacks = int(slack / self._unit) + 2
        small = _changes(lost, back, _FINE)
        self._runs = _power(small, self._step)
        self._waits = _power(small, self._unit)
        alive = [row[:_CLASSES] for row in small[:_CLASSES]]
        self._lives = _power(alive, self._step)
        self._begins = _power(alive, restart)
        nothing = [0.0] * self._slacks
        self._on: list[Rows] = [[nothing] for _ in range(_CLASSES)]
        self._idle: list[Rows] = [[nothing] for _ in range(2 * _CLASSES)]
        self._safe: list[Rows] = [[nothing] for _ in range(2 * _CLASSES)]
        self._moved: list[Rows] = [[nothing] for _ in range(_CLASSES)]
        for _ in range(int(work / self._step) + 1):
            self._row()

    def holds(
        self, lost: Sequence[float], back: Sequence[float], price: float, work: float, slack: float
    ) -> bool:
        """Whether these tables still answer for such rates, and for so much work and slack."""
        return (
            work <= self._work < 2 * work
            and slack <= self._slack < 2 * slack + 1
            and abs(price - self.price) <= _PRICES * self.price
            and all(
                abs(now - then) <= _RATES * then
                for now, then in zip((*lost, *back), self._made_for, strict=True)
            )
        )

    def down(self, age: int) -> int:
        return _CLASSES + age

    # --- one more step of work ------------------------------------------------------------------
    def _row(self) -> None:
        idle_was = self._idle[_CLASSES][-1]  # a spell without machines begins
        on_was = [table[-1] for table in self._on]
        safe_was = [table[-1] for table in self._safe]
        on = []
        for lives in self._lives:
            ends = 1 - sum(lives)
            on.append(_mix([*lives, ends], [*on_was, idle_was], self.price * self._step))
        steady = [_mix(row, safe_was, self.sure * self._step) for row in self._runs]
        idle, moved = self._idle_rows(on, steady)
        for table, row in zip(self._on, on, strict=True):
            table.append(row)
        for table, row in zip(self._moved, moved, strict=True):
            table.append(row)
        for state, table in enumerate(self._idle):
            table.append(idle[state])
            self._safe[state].append(list(map(min, steady[state], idle[state])))

    def _idle_rows(self, on: Rows, steady: Rows) -> tuple[Rows, Rows]:
        begin = self.sure * self.restart
        states = range(2 * _CLASSES)
        idle: Rows = [[] for _ in states]
        moved: Rows = [[] for _ in range(_CLASSES)]
        before: list[float] = []
        for slack in range(self._slacks):
            now = [begin + steady[state][slack] for state in states]
            for age in range(_CLASSES):
                moved[age].append(self._arrived(age, on, idle[_CLASSES], slack))
                now[age] = min(now[age], moved[age][-1])
            if before:
                for state in states:
                    waits = sum(map(float.__mul__, self._waits[state], before))
                    now[state] = min(now[state], waits)
            for state in states:
                idle[state].append(now[state])
            before = now
        return idle, moved

    def _arrived(self, age: int, on: Rows, none: list[float], slack: int) -> float:
        """A machine is begun, and may be lost before it works."""
        left = slack - self.restart / self._unit
        if left < -_LEAST or not none:
            return NEVER
        left = max(0.0, left)
        lives = self._begins[age]
        ends = 1 - sum(lives)
        cost = self.price * self.restart * (1 - ends / 2) + ends * between(none, left)
        return cost + sum(
            chance * between(row, left) for chance, row in zip(lives, on, strict=True)
        )

    # --- questions ------------------------------------------------------------------------------
    def moved(self, age: int, work: float, slack: float) -> float:
        """What the rest costs if a spot machine is begun, of a zone that has had some so long."""
        return NEVER if slack < self.restart else self._look(self._moved[age], work, slack)

    def waits(self, state: int, work: float, slack: float) -> float:
        """The same, if nothing is begun for a while."""
        if slack < self._unit:
            return NEVER
        return sum(
            chance * self._look(table, work, slack - self._unit)
            for chance, table in zip(self._waits[state], self._idle, strict=True)
        )

    def stays(self, state: int, work: float, slack: float) -> float:
        """The same, if a sure machine runs and is not left at once."""
        if work <= self._step:
            return self.sure * work
        return self.sure * self._step + sum(
            chance * self._look(table, work - self._step, slack)
            for chance, table in zip(self._runs[state], self._safe, strict=True)
        )

    def _look(self, table: Rows, work: float, slack: float) -> float:
        at = min(max(work / self._step, 0.0), len(table) - 1.0)
        row = min(int(at), len(table) - 2)
        part, column = at - row, slack / self._unit
        return (1 - part) * between(table[row], column) + part * between(table[row + 1], column)


def _changes(lost: Sequence[float], back: Sequence[float], hours: float) -> Matrix:
    """How likely each state follows each within a time that is short."""
    found = [[0.0] * (2 * _CLASSES) for _ in range(2 * _CLASSES)]
    for state in range(2 * _CLASSES):
        age = state % _CLASSES
        rate = lost[age] if state < _CLASSES else back[age]
        other = _CLASSES if state < _CLASSES else 0
        ends = 1 - exp(-min(600.0, rate * hours))
        found[state][other] += ends
        older = 0.0
        if age + 1 < _CLASSES:
            older = (1 - ends) * min(1.0, hours / (EDGES[age + 1] - EDGES[age]))
            found[state][state + 1] += older
        found[state][state] += 1 - ends - older
    return found


def _power(matrix: Matrix, hours: float) -> Matrix:
    """After so many of the small times."""
    times = max(1, round(hours / _FINE))
    size = range(len(matrix))
    result = [[float(a == b) for b in size] for a in size]
    while times:
        if times & 1:
            result = _product(result, matrix)
        matrix = _product(matrix, matrix)
        times >>= 1
    return result


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    return [[sum(map(float.__mul__, row, column)) for column in columns] for row in left]


def _mix(chances: Sequence[float], rows: Sequence[list[float]], cost: float) -> list[float]:
    found = [cost] * len(rows[0])
    for chance, row in zip(chances, rows, strict=True):
        if chance > _LEAST:
            found = [so_far + chance * more for so_far, more in zip(found, row, strict=True)]
    return found
