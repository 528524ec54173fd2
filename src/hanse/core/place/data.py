"""Where the data of a job's items lies: by runs of items, in chunks, with what is ready of each.

A chunk is a data set in a region. However many items a job has, only runs of items whose data lies
together cost memory, and a job that says nothing of its data has none of this.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hanse import limits
from hanse.model.data import Lies
from hanse.model.ranges import Range, RangeSet

NOWHERE = 0
"""The chunk of items of which nothing is said."""


class Places:
    """Which chunk each item belongs to. Grows with the job, from the front to the back."""

    __slots__ = ("_bytes", "_chunks", "_index", "_starts", "_stops", "_totals", "regions")

    def __init__(self) -> None:
        self.regions: list[str] = [""]  # of each chunk
        self._index: dict[tuple[str, str], int] = {}
        self._starts: list[int] = []  # of the runs
        self._stops: list[int] = []
        self._chunks: list[int] = []
        self._bytes: list[int] = []
        self._totals: dict[int, tuple[int, int]] = {}  # by chunk, items and bytes

    def add(self, told: Iterable[Lies]) -> None:
        """What is said of items that are known already is not heard."""
        for one in told:
            if one.start >= one.stop or (self._stops and one.start < self._stops[-1]):
                continue
            chunk = self._chunk(one.region, one.name)
            if chunk == NOWHERE:
                continue
            if self._goes_on(one, chunk):
                self._stops[-1] = one.stop
                self._bytes[-1] += one.nbytes
                self._count(one, chunk)
            elif not self.full:
                self._starts.append(one.start)
                self._stops.append(one.stop)
                self._chunks.append(chunk)
                self._bytes.append(one.nbytes)
                self._count(one, chunk)

    def _count(self, one: Lies, chunk: int) -> None:
        items, nbytes = self._totals.get(chunk, (0, 0))
        self._totals[chunk] = items + one.stop - one.start, nbytes + one.nbytes

    def _goes_on(self, one: Lies, chunk: int) -> bool:
        """It is more of the same as the last run: so many bytes for each item."""
        if not self._stops or self._stops[-1] != one.start or self._chunks[-1] != chunk:
            return False
        count = self._stops[-1] - self._starts[-1]
        return self._bytes[-1] * (one.stop - one.start) == one.nbytes * count

    def _chunk(self, region: str, name: str) -> int:
        """Beyond so many named ones data sets of a region are not told apart; regions have a share
        of their own, so a job that names each of a million files is placed by regions."""
        found = self._index.get((region, name))
        if found is not None:
            return found
        if name and len(self.regions) > limits.DATA_SETS:
            return self._chunk(region, "")
        if len(self.regions) > limits.DATA_CHUNKS:
            return NOWHERE
        self.regions.append(region)
        self._index[region, name] = len(self.regions) - 1
        return len(self.regions) - 1

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The items `start` to `stop` in order: chunk, first, last and one."""
        at = bisect_right(self._stops, start)
        while start < stop:
            if at == len(self._starts) or self._starts[at] >= stop:
                yield NOWHERE, start, stop
                return
            if start < self._starts[at]:
                yield NOWHERE, start, self._starts[at]
                start = self._starts[at]
            last = min(stop, self._stops[at])
            yield self._chunks[at], start, last
            start, at = last, at + 1

    def nbytes(self, start: int, stop: int) -> dict[str, int]:
        """What these items read, by region; of a run each item reads the same."""
        found: dict[str, int] = {}
        if self._stops and start <= self._starts[0] and self._stops[-1] <= stop:
            for chunk, (_, size) in self._totals.items():  # there may be a hundred thousand runs
                found[self.regions[chunk]] = found.get(self.regions[chunk], 0) + size
            return found
        at = bisect_right(self._stops, start)
        while at < len(self._starts) and self._starts[at] < stop:
            first, last = self._starts[at], self._stops[at]
            count = min(stop, last) - max(start, first)
            region = self.regions[self._chunks[at]]
            size = self._bytes[at] * count // (last - first)
            found[region] = found.get(region, 0) + size
            at += 1
        return found

    def grouped(self, ranges: Iterable[Range]) -> list[Lies]:
        """What is said of these items, as if they came by chunk; of one item after the other."""
        chunks: dict[int, tuple[int, int]] = {}
        for a, b in ranges:
            for chunk, start, stop in self.parts(a, b):
                items, nbytes = chunks.get(chunk, (0, 0))
                more = sum(self.nbytes(start, stop).values())
                chunks[chunk] = items + stop - start, nbytes + more
        found, at = [], 0
        for chunk, (items, nbytes) in chunks.items():
            if chunk != NOWHERE:
                found.append(Lies(at, at + items, self.regions[chunk], nbytes, str(chunk)))
                at += items
        return found

    @property
    def runs(self) -> int:
        """Items in a row whose data lies together."""
        return len(self._starts)

    @property
    def full(self) -> bool:
        """What is said of further items is not heard."""
        return len(self._starts) >= limits.DATA_RUNS

    def totals(self) -> Mapping[int, tuple[int, int]]:
        """Items and bytes of each chunk that has a region."""
        return self._totals


class ByChunk(RangeSet):
    """A set of items that is kept by chunk as well."""

    __slots__ = ("chunks", "places", "turned")

    def __init__(self, places: Places, ranges: Sequence[Range] = ()) -> None:
        self.places = places
        self.chunks: dict[int, RangeSet] = {}
        self.turned = False  # a chunk has become empty, or is not empty any more; for who looks
        super().__init__(ranges)

    def add(self, start: int, stop: int) -> None:
        super().add(start, stop)
        for chunk, a, b in self.places.parts(start, stop):
            some = self.chunks.get(chunk)
            if some is None:
                some = self.chunks[chunk] = RangeSet()
            self.turned |= not some
            some.add(a, b)

    def remove(self, start: int, stop: int) -> None:
        super().remove(start, stop)
        for chunk, a, b in self.places.parts(start, stop):
            some = self.chunks.get(chunk)
            if some:
                some.remove(a, b)
                self.turned |= not some

    def take(self, most: int) -> Range:
        found = self.first()
        assert found is not None
        span = found[0], min(found[1], found[0] + most)
        self.remove(*span)
        return span

    def next_of(self, chunk: int, most: int) -> Range:
        """The lowest range of that chunk, so long at most; it has some."""
        found = self.chunks[chunk].first()
        assert found is not None
        return found[0], min(found[1], found[0] + most)

    __hash__ = None
