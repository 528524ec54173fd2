"""Sets of item numbers kept as ranges, so that a million items in a row cost one pair of numbers.

A `RangeSet` holds disjoint, non-adjacent, half-open ranges in order, in two lists that `bisect`
searches. Every operation costs the ranges that it touches, never the items.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class RangeSet:
    """A mutable set of integers as ranges `[start, stop)`. `len()` counts the integers."""

    __slots__ = ("_count", "_starts", "_stops")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._count = 0
        for start, stop in ranges:
            self.add(start, stop)

    def add(self, start: int, stop: int) -> None:
        """Add `[start, stop)`; what is already there stays."""
        if start >= stop:
            return
        if not self._stops or start >= self._stops[-1]:  # behind all others, as most are
            if self._stops and start == self._stops[-1]:
                self._stops[-1] = stop
            else:
                self._starts.append(start)
                self._stops.append(stop)
            self._count += stop - start
            return
        low = bisect_left(self._stops, start)  # the first range that touches or follows
        high = bisect_right(self._starts, stop)  # one past the last that touches or precedes
        if low < high:
            start = min(start, self._starts[low])
            stop = max(stop, self._stops[high - 1])
            self._count -= sum(self._stops[low:high]) - sum(self._starts[low:high])
        self._starts[low:high] = [start]
        self._stops[low:high] = [stop]
        self._count += stop - start

    def remove(self, start: int, stop: int) -> None:
        """Remove `[start, stop)`; what is not there is no error."""
        if start >= stop or not self._starts:
            return
        low = bisect_right(self._stops, start)  # the first range that reaches past start
        high = bisect_left(self._starts, stop)  # one past the last that begins before stop
        if low >= high:
            return
        first, last = self._starts[low], self._stops[high - 1]
        self._count -= sum(self._stops[low:high]) - sum(self._starts[low:high])
        keep = [(a, b) for a, b in ((first, start), (stop, last)) if a < b]
        self._starts[low:high] = [a for a, _ in keep]
        self._stops[low:high] = [b for _, b in keep]
        self._count += sum(b - a for a, b in keep)

    def take(self, most: int) -> Range:
        """Remove and return the lowest range, `most` integers long at most. The set has some."""
        start, stop = self._starts[0], self._stops[0]
        if stop - start <= most:
            del self._starts[0], self._stops[0]
        else:
            stop = self._starts[0] = start + most
        self._count -= stop - start
        return start, stop

    def within(self, start: int, stop: int) -> list[Range]:
        """The parts of `[start, stop)` that are in the set, in order."""
        if start >= stop or not self._stops or start >= self._stops[-1]:
            return []
        low = bisect_right(self._stops, start)
        high = bisect_left(self._starts, stop, low)
        if low == high:
            return []
        return [(max(start, self._starts[i]), min(stop, self._stops[i])) for i in range(low, high)]

    def gaps(self, start: int, stop: int) -> list[Range]:
        """The parts of `[start, stop)` that are not in the set, in order."""
        found = []
        for a, b in self.within(start, stop):
            if start < a:
                found.append((start, a))
            start = b
        if start < stop:
            found.append((start, stop))
        return found

    def first(self) -> Range | None:
        """The lowest range, or None."""
        return (self._starts[0], self._stops[0]) if self._starts else None

    def covers(self, start: int, stop: int) -> bool:
        """Whether all of `[start, stop)` is in the set."""
        i = bisect_right(self._starts, start) - 1
        return start >= stop or (i >= 0 and stop <= self._stops[i])

    def ranges(self) -> int:
        """How many ranges the set is made of: what it costs in memory."""
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        i = bisect_right(self._starts, number) - 1
        return i >= 0 and number < self._stops[i]

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._starts, self._stops, strict=True)))

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and (
            self._starts == other._starts and self._stops == other._stops
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"
