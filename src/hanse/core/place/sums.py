"""What tables of costs are added up by: rows by slack, and chances by which they are mixed.

Written out term by term, as that is three times as fast as a loop over terms, and a home stands
still meanwhile.
"""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence, Sequence

NEVER = 1e15
LEAST = 1e-9  # a chance below this changes nothing
MOST = 8  # states of a table

Row = MutableSequence[float]  # by slack
Rows = list[Row]  # by work
Eight = tuple[float, float, float, float, float, float, float, float]


def mix(chances: Sequence[float], rows: Sequence[Sequence[float]], cost: float) -> list[float]:
    """The cost, and each row as far as it is likely, for each slack."""
    terms = [each for each in zip(chances, rows, strict=True) if each[0] > LEAST]
    found = [cost] * len(rows[0])
    while terms:
        part = terms[:4]
        part += [(0.0, rows[0])] * (4 - len(part))
        (a, first), (b, second), (c, third), (d, fourth) = part
        found = [
            so_far + a * w + b * x + c * y + d * z
            for so_far, w, x, y, z in zip(found, first, second, third, fourth, strict=True)
        ]
        terms = terms[4:]
    return found


def blend(chance: float, first: Sequence[float], second: Sequence[float]) -> list[float]:
    """As `mix` of two: the second is so likely."""
    rest = 1 - chance
    return [rest * a + chance * b for a, b in zip(first, second, strict=True)]


def eight(chances: Sequence[float]) -> Eight:
    """As many as `dot` adds up; those that are missing are 0."""
    a, b, c, d, e, f, g, h = [*chances, *[0.0] * (MOST - len(chances))]
    return a, b, c, d, e, f, g, h


def dot(left: Eight, right: Eight) -> float:
    a, b, c, d, e, f, g, h = left
    i, j, k, m, n, o, p, q = right
    return a * i + b * j + c * k + d * m + e * n + f * o + g * p + h * q


def least(costs: Sequence[float], waits: Sequence[Eight], then: Eight) -> list[float]:
    """For each state, what it costs at once or what it costs to wait, which is `then` by the
    chances that `waits` has."""
    i, j, k, m, n, o, p, q = then
    return [
        cost
        if cost <= (wait := a * i + b * j + c * k + d * m + e * n + f * o + g * p + h * q)
        else wait
        for cost, (a, b, c, d, e, f, g, h) in zip(costs, waits, strict=True)
    ]


def lesser(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a if a <= b else b for a, b in zip(left, right, strict=True)]


class Later:
    """Rows as they are read after a move, which takes so many columns of slack."""

    def __init__(self, columns: int, move: float) -> None:
        self.first = next((n for n in range(columns) if n - move >= -LEAST), columns)
        """The first column that a move may begin in."""
        self._places = [_place(n - move, columns) for n in range(self.first, columns)]
        self._grown = [_place(n - move, max(1, n)) for n in range(columns)]

    def read(self, row: Sequence[float]) -> list[float]:
        """From the first column on that a move may begin in."""
        return [keeps * row[low] + part * row[high] for low, high, keeps, part in self._places]

    def grown(self, row: Sequence[float]) -> float:
        """At the column that comes next to a row that is not whole yet."""
        low, high, keeps, part = self._grown[len(row)]
        return keeps * row[low] + part * row[high]


def _place(at: float, columns: int) -> tuple[int, int, float, float]:
    """Between which two columns it is, and how near each of them."""
    at = min(max(0.0, at), columns - 1.0)
    low = int(at)
    part = at - low
    return (low, low, 1.0, 0.0) if part < LEAST else (low, low + 1, 1 - part, part)


def between(rows: Rows, work: float, slack: float) -> float:
    """Between rows and columns, counted in these: straight lines."""
    at = min(max(work, 0.0), len(rows) - 1.0)
    row = min(int(at), len(rows) - 2)
    part = at - row
    low, high, keeps, more = _place(slack, len(rows[row]))
    first, second = rows[row], rows[row + 1]
    return (1 - part) * (keeps * first[low] + more * first[high]) + part * (
        keeps * second[low] + more * second[high]
    )


def pack(*tables: list[Rows]) -> None:
    """From now on they are only read, and take a quarter of the memory."""
    for rows in (rows for table in tables for rows in table):
        rows[:] = [array("d", row) for row in rows]
