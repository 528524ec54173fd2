"""What the rest of a job costs that can use the spot machines of one zone, and sure ones.

As `chain` does for many zones, by dynamic programming backwards over work and slack; and here how
long the zone has had machines, or none, is a part of the state (`spells`): a machine that came a
moment ago is likely to be lost soon, and a zone that has none for hours stays so. Such a spell
grows older by chance, class by class, at the rate that is right on average. What was not seen for a
while is a matter of chances, too (`belief`). Times in hours; slack is counted beyond the reserve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hanse.core.place.exact import exp
from hanse.core.place.spells import EDGES, class_of
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

_WORKS, _SLACKS = 60, 32  # steps of the grid
_FINE = 0.05  # in which changes are followed
_RATES, _TERMS = 0.12, 0.02  # tables are kept while these change by less
_FORGOTTEN = 100.0  # what was seen so long ago tells nothing of now
_CLASSES = len(EDGES)

Matrix = list[list[float]]
States = Mapping[int, float]
"""How likely each one is."""


class Terms(NamedTuple):
    """What an hour of a spot machine costs, and of a sure one, and how long one takes to begin."""

    price: float
    sure: float
    restart: float


class Lone:
    """The tables for up to so many hours of work and of slack. States are the classes of age of a
    spell with machines, and then of one without."""

    def __init__(
        self, lost: Sequence[float], back: Sequence[float], terms: Terms, work: float, slack: float
    ) -> None:
        self.price, self.sure, self.restart = terms
        self._terms, self._rates = terms, (*lost, *back)
        self.work, self.slack = work, slack
        self._step = max(work / _WORKS, terms.restart / 2, LEAST)
        self._unit = max(slack / _SLACKS, terms.restart / 2, LEAST)
        self._slacks = int(slack / self._unit) + 2
        small = _changes(lost, back, _FINE)
        self._doubled = [small]  # changes in such a time, in twice that, and so on
        self._runs = _power(small, self._step)
        self._waits = [eight(row) for row in _power(small, self._unit)]
        alive = [row[:_CLASSES] for row in small[:_CLASSES]]
        self._lives = _ends(_power(alive, self._step))
        self._begins = _ends(_power(alive, terms.restart))
        self._after = Later(self._slacks, terms.restart / self._unit)
        nothing = [0.0] * self._slacks
        self._on: list[Rows] = [[nothing] for _ in range(_CLASSES)]
        self._idle: list[Rows] = [[nothing] for _ in range(2 * _CLASSES)]
        self._safe: list[Rows] = [[nothing] for _ in range(2 * _CLASSES)]
        self._moved: list[Rows] = [[nothing] for _ in range(_CLASSES)]
        for _ in range(int(work / self._step) + 1):
            self._row()
        pack(self._on, self._idle, self._safe, self._moved)

    def holds(self, lost: Sequence[float], back: Sequence[float], terms: Terms) -> bool:
        """Whether these tables still answer for such rates and terms."""
        return _near(terms, self._terms, _TERMS) and _near((*lost, *back), self._rates, _RATES)

    @property
    def numbers(self) -> int:
        """That are kept, and worked out before: how much memory and time they take."""
        return 6 * _CLASSES * len(self._on[0]) * self._slacks

    def belief(self, up: bool, age: float, ago: float) -> tuple[States, States]:
        """What a spell is like by now, if there is a machine, and if there is none; so long ago it
        was seen whether there was one, and that it had been so for `age`."""
        at = class_of(age) + (0 if up else _CLASSES)
        chances = [float(state == at) for state in range(2 * _CLASSES)]
        if ago > _FINE / 2:
            chances = self._later(chances, min(ago, _FORGOTTEN))
        ups = {state: chances[state] for state in range(_CLASSES)}
        downs = {state: chances[state] for state in range(_CLASSES, 2 * _CLASSES)}
        return _whole(ups, 0), _whole(downs, _CLASSES)

    def _later(self, chances: list[float], hours: float) -> list[float]:
        """As `_power`, of one row, which takes a twentieth of the time."""
        times, at = _times(hours), 0
        while times:
            if at == len(self._doubled):
                last = self._doubled[-1]
                self._doubled.append(_product(last, last))
            if times & 1:
                chances = _product([chances], self._doubled[at])[0]
            times, at = times >> 1, at + 1
        return chances

    # --- one more step of work ------------------------------------------------------------------
    def _row(self) -> None:
        idle_was = self._idle[_CLASSES][-1]  # a spell without machines begins
        on_was = [table[-1] for table in self._on]
        safe_was = [table[-1] for table in self._safe]
        price, sure = self.price * self._step, self.sure * self._step
        on: Rows = [mix(lives, [*on_was, idle_was], price) for lives in self._lives]
        steady: Rows = [mix(row, safe_was, sure) for row in self._runs]
        idle, moved = self._idle_rows(on, steady)
        for table, row in zip(self._on, on, strict=True):
            table.append(row)
        for table, row in zip(self._moved, moved, strict=True):
            table.append(row)
        for state, table in enumerate(self._idle):
            table.append(idle[state])
            self._safe[state].append(lesser(steady[state], idle[state]))

    def _idle_rows(self, on: Sequence[Row], steady: Sequence[Row]) -> tuple[Rows, Rows]:
        """Nothing runs: a machine is begun, which may be lost before it works, or a sure one, or
        none, which takes slack."""
        begin, first = self.sure * self.restart, self._after.first
        begun = list(zip(*([begin + cost for cost in row] for row in steady), strict=True))
        lives = self._lived(on)
        starts = [self.price * self.restart * (1 - ends / 2) for *_, ends in self._begins]
        columns: list[list[float]] = []
        none: list[float] = []  # of a spell without machines that begins
        moved: Rows = [[] for _ in range(_CLASSES)]
        for slack, now in enumerate(begun):
            costs = list(now)
            back = self._after.grown(none) if none and slack >= first else 0.0
            for age in range(_CLASSES):
                arrived = NEVER
                if none and slack >= first:
                    ends = self._begins[age][_CLASSES]
                    arrived = starts[age] + ends * back + lives[age][slack - first]
                moved[age].append(arrived)
                costs[age] = min(costs[age], arrived)
            if columns:
                costs = least(costs, self._waits, eight(columns[-1]))
            columns.append(costs)
            none.append(costs[_CLASSES])
        return list(map(list, zip(*columns, strict=True))), moved

    def _lived(self, on: Sequence[Row]) -> Sequence[Row]:
        """What the rest costs by the age of a machine that was begun, where it comes to work."""
        read = [self._after.read(row) for row in on]
        return [mix(lives[:_CLASSES], read, 0.0) for lives in self._begins]

    # --- questions ------------------------------------------------------------------------------
    def moved(self, states: States, work: float, slack: float) -> float:
        """What the rest costs if a spot machine is begun, where its zone is like that."""
        if slack < self.restart:
            return NEVER
        return _mean(states, lambda state: self._look(self._moved[state], work, slack))

    def waits(self, states: States, work: float, slack: float) -> float:
        """The same, if nothing is begun for a while."""
        if slack < self._unit:
            return NEVER
        then = [self._look(table, work, slack - self._unit) for table in self._idle]
        costs = eight(then)
        return _mean(states, lambda state: dot(self._waits[state], costs))

    def stays(self, states: States, work: float, slack: float) -> float:
        """The same, if a sure machine runs and is not left at once."""
        if work <= self._step:
            return self.sure * work
        then = [self._look(table, work - self._step, slack) for table in self._safe]
        costs, cost = eight(then), self.sure * self._step
        return cost + _mean(states, lambda state: dot(eight(self._runs[state]), costs))

    def _look(self, table: Rows, work: float, slack: float) -> float:
        return between(table, work / self._step, slack / self._unit)


def _near(now: Sequence[float], then: Sequence[float], part: float) -> bool:
    return all(abs(a - b) <= part * b for a, b in zip(now, then, strict=True))


def _whole(chances: States, first: int) -> States:
    """That add up to one; a spell that cannot be has just begun."""
    total = sum(chances.values())
    if total < LEAST:
        return {first: 1.0}
    return {state: chance / total for state, chance in chances.items() if chance > LEAST}


def _mean(states: States, cost: Callable[[int], float]) -> float:
    return sum(chance * cost(state) for state, chance in states.items())


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


def _times(hours: float) -> int:
    return max(1, round(hours / _FINE))


def _power(matrix: Matrix, hours: float) -> Matrix:
    """After so many of the small times."""
    times = _times(hours)
    size = range(len(matrix))
    result = [[float(a == b) for b in size] for a in size]
    while times:
        if times & 1:
            result = _product(result, matrix)
        matrix = _product(matrix, matrix)
        times >>= 1
    return result


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = [eight(column) for column in zip(*right, strict=True)]
    return [[dot(row, column) for column in columns] for row in map(eight, left)]


def _ends(lives: Matrix) -> Matrix:
    """How likely each age is, and that it was lost."""
    return [[*row, 1 - sum(row)] for row in lives]
