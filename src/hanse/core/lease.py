"""One lease, and the leases of one job in the order of their items.

Leases of a job hardly ever overlap: only a backup, or an item that failed under one lease and runs
again under another. So the index keeps those that do not overlap sorted by their start, where
`bisect` finds who holds an item, and the few others beside them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain

from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.ranges import Range


class _Rare:
    """What is out of the ordinary about a lease: few have any, so the others do not pay for it."""

    __slots__ = ("backup_of", "cancelled", "cut_to", "given_back")

    def __init__(self) -> None:
        self.cut_to: int | None = None  # asked for, not confirmed yet: start <= cut_to < stop
        self.cancelled: bool = False  # asked for; true of every lease whose job has ended
        self.backup_of: LeaseId | None = None  # a lease of another site; None once that is over
        self.given_back: dict[int, None] | None = (
            None  # failed under it, so not held by it any more
        )


class Lease:
    """The right of a site to run the items `start` to `stop`, which only ever shrinks."""

    __slots__ = (
        "_rare",
        "begun",
        "begun_ns",
        "granted_seq",
        "id",
        "job",
        "queued",
        "site",
        "start",
        "stop",
    )

    def __init__(self, id: LeaseId, job: JobId, site: SiteId, span: Range, now_ns: int) -> None:
        self.id = id  # in the indexes of the home, of its job and of its site, or in none
        self.job = job
        self.site = site
        self.start, self.stop = span  # 0 <= start <= begun <= stop <= size; stop only shrinks
        self.begun = self.start  # all before it are finished; again if a death undid some
        self.begun_ns = now_ns  # when `begun` was first seen
        self.granted_seq = 0  # the orders that first carried it; at most the site's orders_seq
        self.queued = False  # it waits at its site for another to end: nothing of it has begun
        self._rare: _Rare | None = None

    @property
    def cut_to(self) -> int | None:
        return None if self._rare is None else self._rare.cut_to

    @cut_to.setter
    def cut_to(self, cut_to: int | None) -> None:
        if self._rare is None:
            self._rare = _Rare()
        self._rare.cut_to = cut_to

    @property
    def cancelled(self) -> bool:
        return False if self._rare is None else self._rare.cancelled

    @cancelled.setter
    def cancelled(self, cancelled: bool) -> None:
        if self._rare is None:
            self._rare = _Rare()
        self._rare.cancelled = cancelled

    @property
    def backup_of(self) -> LeaseId | None:
        return None if self._rare is None else self._rare.backup_of

    @backup_of.setter
    def backup_of(self, backup_of: LeaseId | None) -> None:
        if self._rare is None:
            self._rare = _Rare()
        self._rare.backup_of = backup_of

    @property
    def given_back(self) -> dict[int, None] | None:
        return None if self._rare is None else self._rare.given_back

    @given_back.setter
    def given_back(self, given_back: dict[int, None] | None) -> None:
        if self._rare is None:
            self._rare = _Rare()
        self._rare.given_back = given_back

    def holds(self, item: int) -> bool:
        return self.start <= item < self.stop and not (self.given_back and item in self.given_back)

    @property
    def unbegun(self) -> int:
        """Items that its worker has not begun, as far as is known."""
        return max(0, self.stop - self.after(0))

    def after(self, items: int) -> int:
        """Where it would be cut so that it keeps what runs now, and so many items more."""
        return self.begun + items + (not self.queued)


class Leases:
    """The leases of one job. Whoever is found is found in the same order on every machine."""

    __slots__ = ("_beside", "_leases", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []  # of the leases below, ascending
        self._leases: list[Lease] = []  # no two of them overlap
        self._beside: dict[LeaseId, Lease] = {}  # overlapped another one when they were added

    def add(self, lease: Lease) -> None:
        if self._sorted_over(lease.start, lease.stop):
            self._beside[lease.id] = lease
        else:
            at = bisect_left(self._starts, lease.start)
            self._starts.insert(at, lease.start)
            self._leases.insert(at, lease)

    def remove(self, lease: Lease) -> None:
        if self._beside.pop(lease.id, None) is None:
            at = bisect_left(self._starts, lease.start)
            while self._leases[at] is not lease:  # empty ones may start where it does
                at += 1
            del self._starts[at], self._leases[at]

    def over(self, start: int, stop: int) -> list[Lease]:
        """Those that reach into the items `start` to `stop`."""
        found = self._sorted_over(start, stop)
        if self._beside:
            found += [b for b in self._beside.values() if b.start < stop and start < b.stop]
        return found

    def _sorted_over(self, start: int, stop: int) -> list[Lease]:
        found = []
        at = bisect_left(self._starts, stop)
        while at:
            at -= 1
            lease = self._leases[at]
            if lease.stop > start:
                found.append(lease)
            elif lease.stop > lease.start:
                break  # those before it end before it
        return found

    def values(self) -> Iterator[Lease]:
        return chain(self._leases, self._beside.values())

    def __len__(self) -> int:
        return len(self._leases) + len(self._beside)

    def __bool__(self) -> bool:
        return bool(self._leases or self._beside)
