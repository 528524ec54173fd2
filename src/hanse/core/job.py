"""A job as its home sees it: which items are ready, leased, settled; never an object per item.

The durable half changes only through `apply_*`, which live events and recovery share. The other
half (leases, rates) is rebuilt from reports. Only items that are out of the ordinary cost memory
of their own: those that failed before, and those that wait for other items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hanse.core.lease import Lease, Leases
from hanse.core.place.data import Places
from hanse.core.place.rate import Rate
from hanse.core.placement import Placement
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.data import Lies
from hanse.model.failure import Cause
from hanse.model.job import JobSpec, JobState
from hanse.model.ranges import Range, RangeSet

if TYPE_CHECKING:
    from hanse.core.shapes import Shape

ItemRef = tuple[JobId, int]
_ANY = LeaseId(0)
_NOTHING: Mapping[SiteId, int] = {}


class Job:
    """Every item of a running job is in exactly one of settled, ready, waiting, or held by a lease.

    An item is held once, but for backups. One that waits may be held by a lease that holds what it
    waits for too, before it: then it is linked, not waiting. A settled one may still be covered by
    a lease: late segments and backups settle items that others run. `invariants.check` asserts all
    of this.
    """

    __slots__ = (
        "attempts",
        "backups",
        "births",
        "crashes",
        "data",
        "dependents",
        "failed",
        "failed_under",
        "forgotten",
        "hungry_ns",
        "id",
        "late_ns",
        "leased",
        "leases",
        "linked",
        "look_ns",
        "losses",
        "moved",
        "paid",
        "paid_ns",
        "place",
        "pooled",
        "power",
        "rates",
        "ready",
        "reserved",
        "room_from",
        "sealed",
        "seen",
        "settled",
        "shape",
        "since_ns",
        "size",
        "slots",
        "spec",
        "state",
        "vtime",
        "waiting",
        "whole",
        "withdrawn",
        "withheld",
        "won",
    )

    def __init__(self, id: JobId, spec: JobSpec, now_ns: int) -> None:
        self.id = id
        self.spec = spec
        self.since_ns = now_ns  # its deadline counts from here
        self.paid: Mapping[SiteId, int] = _NOTHING  # what it had cost by then, in nano, as recorded
        self.paid_ns = now_ns
        self.late_ns = 0  # how long its deadline was over by then
        self.moved: Mapping[SiteId, tuple[int, int]] = {}  # see `Placement`; as recorded
        self.state = JobState.RUNNING
        self.size = 0  # only grows; sealed, it stays
        self.births: list[tuple[int, LeaseId]] = []  # items from here on: known from this lease on
        self.sealed = False
        self.whole = True  # sealed and not whole: its inputs broke off
        self.data: Places | None = None  # where what its items read lies, if that was said
        self.place = None if spec.aims is None else Placement(spec.aims)
        self.ready = self._free()  # free to be leased; empty once the job has ended
        self.settled = RangeSet()  # committed, or failed for good; only grows in one run
        self.withdrawn = RangeSet()  # leased ones that are dropped once no lease holds them
        self.failed = RangeSet()  # the settled ones that failed
        # Sparse: they hold items that are not settled, and no other.
        self.waiting: dict[int, int] = {}  # item: results it waits for, as many as name it below
        self.linked: dict[int, int] = {}  # the same of items that a lease holds
        self.dependents: dict[int, list[ItemRef]] = {}  # own item: who waits for it
        self.attempts: dict[int, int] = {}  # item: failed attempts that count as retries
        self.crashes: dict[int, int] = {}  # item: workers that died on it
        self.failed_under: dict[int, tuple[LeaseId, ...]] = {}  # item: leases of counted failures

        self.leases = Leases()  # those of home.leases that are its own
        self.shape: Shape | None = None  # of the home that owns it; None before and after that
        self.rates: dict[SiteId, Rate] = {}
        self.pooled = Rate()  # of all sites together
        self.seen = 0  # items whose time is known
        self.slots = 0  # leases that the sites in `rates` can run at once: the sum of theirs
        self.power = 0  # of these slots together, per LONG_AGES ns: the sum of theirs
        self.vtime = 0  # weighted work granted so far; the least comes first; only grows
        self.hungry_ns = 0  # when it became runnable, or was granted a lease after that
        self.leased = 0  # items under leases, not known to be finished: the sum of stop - begun
        self.losses: dict[SiteId, int] = {}  # leases that sites gave up since their last result
        self.backups = 0  # ever granted; at most a share of the items
        self.won = 0  # of these, those that were done before what they backed up
        self.look_ns = 0  # its tail is not looked at again before this
        self.withheld = False  # nothing is granted: sites may still run what seems to be ready
        self.forgotten = False  # nobody will ask about it again: it goes with its last lease
        self.room_from: LeaseId | None = None  # a lease cut short to make room for this job
        self.reserved: SiteId | None = None  # a site that is emptied for this job

    # --- what is durable ------------------------------------------------------------------------
    def grow(
        self, size: int, waits: dict[int, int], since: LeaseId = _ANY, data: Sequence[Lies] = ()
    ) -> None:
        start, self.size = self.size, size
        if data:
            self._lies(data)
        if not self.births or self.births[-1][1] != since:
            self.births.append((start, since))
        self.waiting.update(waits)
        for item in sorted(waits):
            self.ready.add(start, item)
            start = item + 1
        self.ready.add(start, size)

    def _lies(self, data: Sequence[Lies]) -> None:
        if self.data is None:
            self.data = Places()
            self.ready = self._free(list(self.ready))
        known = len(self.data.regions)
        self.data.add(data)
        if self.place is not None and len(self.data.regions) > known:
            self.place.look_ns = 0  # its plan says nothing of these chunks

    def _free(self, ranges: Sequence[Range] = ()) -> RangeSet:
        """Items that are ready, kept by chunk where that counts."""
        near = None if self.place is None else self.place.near
        if near is None:
            return RangeSet(ranges)
        if self.data is None:
            self.data = Places()
        return near.free(self.data, ranges)

    def settle(self, start: int, stop: int) -> None:
        """These items are decided for good, whatever was known of them."""
        self.settled.add(start, stop)
        self.ready.remove(start, stop)
        self.withdrawn.remove(start, stop)
        if self.waiting or self.linked or self.failed_under:
            waits = self.waiting, self.linked
            for sparse in (self.attempts, self.crashes, self.failed_under, *waits):
                if sparse:
                    _drop(sparse, start, stop)

    def attempt_failed(self, item: int, cause: Cause, lease: LeaseId) -> None:
        count = self.crashes if cause is Cause.DIED else self.attempts
        count[item] = count.get(item, 0) + 1
        self.failed_under[item] = (*self.failed_under.get(item, ()), lease)

    def arrived(self, item: int) -> None:
        """One of the results that the item waits for is there."""
        waits = self.linked if item in self.linked else self.waiting
        left = waits.get(item)
        if left is None:
            return  # cancelled or failed meanwhile
        if left > 1:
            waits[item] = left - 1
            return
        del waits[item]
        if waits is self.waiting:
            self.ready.add(item, item + 1)

    @property
    def due_ns(self) -> int | None:
        """Its deadline, on the clock of its home; None if it has none."""
        aims = self.spec.aims
        if aims is None or aims.deadline_ns is None:
            return None
        return self.since_ns + aims.deadline_ns

    def end(self, state: JobState) -> None:
        self.state = state
        self.rates, self.slots, self.power = {}, 0, 0
        self.ready = self._free()
        self.withdrawn = RangeSet()
        self.waiting.clear()
        self.linked.clear()

    def resume(self, spec: JobSpec, again: bool, now_ns: int) -> None:
        """Open what is not settled; with `again` also what failed. Inputs that broke off may come
        whole now. A graph's waits are not kept beyond its end, so none that has ended is resumed;
        one that was cut off in its middle knows what still waits. The deadline of one that had
        ended counts anew, of one that was cut off it counts on."""
        assert not self.dependents or not self.state.ended
        assert not self.waiting or not again
        if self.state.ended:
            self.since_ns, self.late_ns = now_ns, 0
        self.spec, self.state = spec, JobState.RUNNING
        self.place = None if spec.aims is None else Placement(spec.aims)
        self.recall()
        self.sealed, self.whole = self.sealed and self.whole, True
        if again:
            for start, stop in self.failed:
                self.settled.remove(start, stop)
            self.failed = RangeSet()
        for sparse in (self.attempts, self.crashes, self.failed_under):
            sparse.clear()
        self.ready = self._free(self.settled.gaps(0, self.size))
        for item in self.waiting:
            self.ready.remove(item, item + 1)

    def recall(self) -> None:
        """What an earlier run of the home has spent counts on."""
        if self.place is not None:
            self.place.purse.recall(self.paid, self.paid_ns)
            self.place.moved = dict(self.moved)

    # --- what leases take and give back ---------------------------------------------------------
    def take(self, ready: int, most: int) -> Range:
        """Take the lowest ready items, so many at most; and with them, up to `most` in all, what
        follows and is ready, or waits for nothing but items that are taken before it."""
        start, stop = self.ready.take(ready)
        if self.waiting and stop - start < most:
            stop = self._take_linked(start, stop, ready - (stop - start), start + most)
        return start, stop

    def _take_linked(self, start: int, stop: int, ready: int, last: int) -> int:
        """Take what follows `start` to `stop`, none from `last` on; returns where that ends."""
        came: dict[int, int] = {}  # item: of the results that it waits for, how many come before
        at = start
        while True:
            while at < stop:
                for job, item in self.dependents.get(at, ()):
                    if job == self.id:
                        came[item] = came.get(item, 0) + 1
                at += 1
            if stop >= last:
                return stop
            if (count := self.waiting.get(stop)) is not None:
                if came.get(stop) != count:
                    return stop
                self.linked[stop] = self.waiting.pop(stop)
            elif ready > 0 and stop in self.ready:
                self.ready.remove(stop, stop + 1)
                ready -= 1
            else:
                return stop
            stop += 1

    def adopt(self, start: int, stop: int) -> None:
        """These items, which were free, are under a lease after all."""
        self.ready.remove(start, stop)
        for item in _some(self.waiting, start, stop):
            self.linked[item] = self.waiting.pop(item)

    def give_back(self, start: int, stop: int) -> None:
        """No lease holds these items any more: they are ready, unless they wait."""
        self.ready.add(start, stop)
        for item in _some(self.linked, start, stop):
            self.waiting[item] = self.linked.pop(item)
        for item in _some(self.waiting, start, stop):
            self.ready.remove(item, item + 1)

    # --- questions ------------------------------------------------------------------------------
    def free(self, start: int, stop: int) -> bool:
        """Whether all of these are ready or wait, so that no lease holds any of them."""
        gaps = self.ready.gaps(start, stop)
        return all(item in self.waiting for a, b in gaps for item in range(a, b))

    @property
    def complete(self) -> bool:
        return self.sealed and len(self.settled) == self.size

    @property
    def done(self) -> int:
        return len(self.settled) - len(self.failed)

    def lost(self, item: int) -> bool:
        """The item has no result, and never will have."""
        return item in self.failed or (self.state.ended and item not in self.settled)

    def known_to(self, lease: LeaseId) -> int:
        """Items below this are those that the lease was granted for, if it was for any. It may hold
        others by the numbers above: those came with a growth that a crash took back, and the client
        may have said it otherwise when it said it again."""
        for start, since in self.births:
            if lease < since:
                return start
        return self.size

    def attempt_of(self, item: int) -> int:
        """Which attempt of the item comes next, from 1."""
        return 1 + self.attempts.get(item, 0) + self.crashes.get(item, 0)

    def attempts_within(self, start: int, stop: int) -> dict[int, int]:
        if not self.attempts and not self.crashes:
            return {}
        if stop - start <= len(self.attempts) + len(self.crashes):
            items = [i for i in range(start, stop) if i in self.attempts or i in self.crashes]
        else:
            items = sorted(i for i in {**self.attempts, **self.crashes} if start <= i < stop)
        return {i: self.attempt_of(i) for i in items}

    def loose(self, start: int, stop: int) -> list[Range]:
        """The parts that are neither settled, ready, waiting nor under a lease: to be ready."""
        gaps = self.settled.gaps(start, stop)
        if not gaps:
            return []
        parts = RangeSet(gaps)
        given: dict[int, None] = {}
        for lease in self.leases.over(start, stop):
            parts.remove(lease.start, lease.stop)
            given.update(lease.given_back or ())
        for item in sorted(given):
            if start <= item < stop and item not in self.settled and not self.held(item):
                parts.add(item, item + 1)
        return list(parts)

    def open_under(self, lease: Lease) -> list[Range]:
        """What the lease holds and nobody has settled."""
        parts = self.settled.gaps(lease.start, lease.stop)
        if not lease.given_back:
            return parts
        items = RangeSet(parts)
        for item in lease.given_back:
            items.remove(item, item + 1)
        return list(items)

    def held(self, item: int) -> bool:
        return any(lease.holds(item) for lease in self.leases.over(item, item + 1))

    def remaining(self) -> int:
        """Items that are ready, under way, or known to come."""
        coming = (self.spec.total or 0) - self.size if not self.sealed else 0
        return len(self.ready) + self.leased + max(0, coming)

    def released(self, start: int, stop: int) -> list[tuple[int, list[ItemRef]]]:
        """Take out who waits for the items `start` to `stop`, in order of the items."""
        return [(i, self.dependents.pop(i)) for i in _some(self.dependents, start, stop)]


def _some(sparse: dict[int, Any], start: int, stop: int) -> list[int]:
    """The items from `start` to `stop` that are among these, in order."""
    if not sparse:
        return []
    if stop - start < len(sparse):
        return [item for item in range(start, stop) if item in sparse]
    return sorted(item for item in sparse if start <= item < stop)


def _drop(sparse: dict[int, Any], start: int, stop: int) -> None:
    if stop - start < len(sparse):
        for item in range(start, stop):
            sparse.pop(item, None)
    else:
        for item in [i for i in sparse if start <= i < stop]:
            del sparse[item]
