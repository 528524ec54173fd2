"""What bytes have to do with where a job runs: what carrying them costs, and which site works on
which chunk of its data.

Jobs whose items do not say where their data lies have no chunks, and pay nothing for this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from math import sqrt
from typing import NamedTuple

from hanse.core.beside import Beside
from hanse.core.events import Timed
from hanse.core.indexes import Indexes
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.messages import SegmentNote
from hanse.core.place.egress import Egress
from hanse.core.place.near import Lot, Near, Parts, Share, any_where, follow, probe
from hanse.core.place.offer import Offer
from hanse.core.place.plan import ALL, Goal, Plan, plan
from hanse.core.place.work import Left
from hanse.core.placement import Placement
from hanse.core.site import Site
from hanse.ids import SiteId
from hanse.limits import SECOND
from hanse.model.data import Lies

_GAIN = 0.02  # of all cost: where bytes can cost no more, or less, it does not matter who has what
_SPARE = 0.01  # of the time left: so much sooner all is to be done, where sites keep to them
_UNEVEN = 0.5  # items: so much later than if work were even is a site's last slot done
_TRIED_NS, _TRIED = 10 * SECOND, 0.02  # so long, or of all time, one item of a chunk is tried
_CLOSE = 1.25
_SAMPLE = 100  # segments that say how long the items of an imagined job take
_SEEN = 1000  # items of a chunk that the others are taken to be like


class Way(NamedTuple):
    """A plan, and what sites may take under it."""

    plan: Plan
    shares: Share
    strict: bool
    parts: Parts


class Carrying(Indexes):
    """How bytes count."""

    def __init__(self, first_lease: int = 1) -> None:
        super().__init__(first_lease)
        self.egress = Egress()  # whoever owns the home may set another
        self.region = ""  # of the home

    def _carries(self, job: Job, there: str, start: int, stop: int) -> tuple[int, int]:
        """Bytes that these items fetch from other regions if they run in that one, and nano for
        them."""
        return self._fetched(self._reads(job, start, stop), there)

    def _reads(self, job: Job, start: int, stop: int) -> list[tuple[str, int]]:
        """What these items read: regions, and bytes there."""
        assert job.place is not None
        parts: list[tuple[str, int]] = []
        if job.place.aims.data:
            count = max(1, job.spec.total or job.size)
            parts = [(region, size * (stop - start) // count)
                     for region, size in job.place.aims.data]  # fmt: skip
        if job.data is not None:
            parts += job.data.nbytes(start, stop).items()
        return parts

    def _fetched(self, parts: Sequence[tuple[str, int]], there: str) -> tuple[int, int]:
        nbytes = nano = 0
        for region, size in parts:
            if region != there:
                nbytes += size
                nano += self.egress.cost(region, there, size)
        return nbytes, nano

    def _carry(self, job: Job, site: Site, items: int) -> int:
        """Nano for the bytes of so many items that it would be granted next."""
        assert job.place is not None
        near = job.place.near
        span = (0, items) if near is None else near.next_for(site.id, items) or (0, 0)
        return self._carries(job, site.tariff.region, *span)[1]

    def fetches_once(self, job: Job, site: Site) -> tuple[int, int]:
        """Bytes of what all items share that the site has to fetch from another region before the
        first of them, and nano for them."""
        place = job.place
        assert place is not None
        if not place.aims.shared or place.has.get(site.id) == site.incarnation:
            return 0, 0
        return self.fetches_fresh(place, site.tariff.region)

    def fetches_fresh(self, place: Placement, there: str) -> tuple[int, int]:
        """The same for any site in a region that has nothing of it."""
        return self._fetched([(self.region, place.aims.shared)], there)

    # --- which site works on which chunk ----------------------------------------------------------
    def _learn_chunk(self, job: Job, near: Near, site: Site, note: SegmentNote) -> None:
        """A segment of several chunks, as a lease from before may have them, teaches nothing."""
        assert job.data is not None
        parts = list(job.data.parts(note.start, note.stop))
        if len(parts) == 1:
            items = note.stop - note.start
            if not near.efforts.timed(parts[0][0]) and job.place is not None:
                job.place.look_ns = 0  # one item of it was tried; the others wait for that
            near.efforts.observe(parts[0][0], site.id, items, note.busy_ns)

    def _way(
        self, job: Job, place: Placement, offers: Sequence[Offer], left: Left, goal: Goal
    ) -> Way:
        """The plan for a job with chunks. Sites keep to them where bytes count for something, and
        time is not all that counts."""
        near = place.near
        assert near is not None
        offers, left, lots = self._by_chunks(job, near, offers, left)
        found = plan(offers, left, goal)
        loose = Way(found, any_where(offers, lots), strict=False, parts={})
        if near.strict and not near.ready:  # whatever comes back is for those who had it
            there = {offer.site for offer in offers}
            slots = {site: count for site, count in place.quota.items() if site in there}
            cost, high = _here(offers, left, goal)
            told = found._replace(slots=slots, cost=cost, high_cost=high)
            return Way(told, near.shares, strict=True, parts={})
        if goal.objective != "cheapest" or found.hurry or not offers:
            return loose
        time_ns = None if goal.time_ns is None else goal.time_ns * (1 - _SPARE)
        way = follow(offers, lots, self._busy_ns(job, near, offers), time_ns)
        begun = max(0.0, left.mean - sum(lot.items * lot.work for lot in lots))
        rest = begun * _here(offers, left, goal)[0] / left.mean if left.mean else 0.0
        if goal.time_ns is not None and left.sure and _spread(lots) < _GAIN * found.cost:
            return loose
        slots = {o.site: ALL for o in offers if way.shares[o.site] or place.held.get(o.site)}
        reasons = {o.site: "its items cost less elsewhere, where their data is nearer or the work "
                   "is cheaper" for o in offers if o.site not in slots}  # fmt: skip
        spread = found.high_cost / found.cost if found.cost else 1.0
        cost = way.cost + rest
        told = Plan(slots, reasons, cost, cost * spread, way.end_ns,
                    way.end_ns * (left.high / left.mean if left.mean else 1.0),
                    hurry=False)  # fmt: skip
        tries = self._now_ns - job.since_ns < max(_TRIED_NS, goal.whole_ns * _TRIED)
        shares = probe(way.shares, lots, _leased(job)) if tries else way.shares
        whole = 1 + rest / way.cost if way.cost else 1.0  # what has begun costs a little more
        parts = {site: (work, nano * whole) for site, (work, nano) in way.parts.items()}
        return Way(told, shares, strict=True, parts=parts)

    def _by_chunks(
        self, job: Job, near: Near, offers: Sequence[Offer], left: Left
    ) -> tuple[list[Offer], Left, list[Lot]]:
        """The same offers and the same work, as they are known by chunk; and the chunks."""
        near.efforts.fit({o.site: self.sites[o.site].tariff.speed_milli / 1000 for o in offers})
        lots = self._lots(job, near, offers, self._each_once(job, offers))
        work = sum(lot.items * lot.work for lot in lots)
        carries = [sum(lot.items * lot.carry[at] for lot in lots) / work if work else 0.0
                   for at in range(len(offers))]  # fmt: skip
        assert job.place is not None
        beside = job.place.beside
        offers = [_by_chunk(offer, near, carry, beside.get(offer.site))
                  for offer, carry in zip(offers, carries, strict=True)]  # fmt: skip
        return offers, _left_of(left, lots, near.efforts.variance()), lots

    def _imagine(
        self, job: Job, near: Near, timed: Sequence[Timed], data: Sequence[Lies],
        present: Job | None,
    ) -> None:  # fmt: skip
        """What is said of the data of a job that is only imagined, whose data sets are taken to be
        alike; of one in the place of a `present` job, all that is known of that."""
        known = present.place.near if present is not None and present.place is not None else None
        if present is not None and present.data is not None and known is not None:
            job.data, near.efforts = present.data, copy(known.efforts)
            job.ready = near.free(job.data, present.settled.gaps(0, present.size))
            job.size = len(job.ready)  # and others may come
        elif data:
            job.grow(job.spec.total or 0, {}, data=data)
            assert job.data is not None
            for chunk in range(len(job.data.regions)):
                for site, items, busy_ns in timed[:_SAMPLE]:
                    near.efforts.observe(chunk, site, items, busy_ns)

    def _lots(
        self, job: Job, near: Near, offers: Sequence[Offer], once: Sequence[float]
    ) -> list[Lot]:
        """What is ready, by chunk; all chunks are named, as more may become ready. `once` is nano
        for one item, by offer, beside those for what it reads itself."""
        assert job.data is not None
        found, begun = [], _begun(job)
        ages, runs = self._ages(near, begun), Counter(chunk for _, chunk in begun)
        there = [self.sites[offer.site].tariff.region for offer in offers]
        for chunk, region in enumerate(job.data.regions):
            items = near.ready.chunks.get(chunk)
            if items:
                start, stop = near.ready.next_of(chunk, _SEEN)
                parts = self._reads(job, start, stop)
                each = {one: self._fetched(parts, one)[1] / (stop - start)
                        for one in dict.fromkeys(there)}  # fmt: skip
            else:
                each = {one: float(chunk and self.egress.price(region, one))
                        for one in dict.fromkeys(there)}  # fmt: skip
            work, timed = near.efforts.work(chunk), near.efforts.timed(chunk)
            if not timed and work:  # it is at least as much as was done of one
                work = max(work, ages.get(chunk, 0.0))
            carry = [each[one] + more for one, more in zip(there, once, strict=True)]
            found.append(Lot(chunk, len(items or ()), work, timed, carry, runs[chunk]))
        return found

    def _each_once(self, job: Job, offers: Sequence[Offer]) -> list[float]:
        """Nano of what all items share, by offer, if it did all of them: for one item."""
        return [self.fetches_once(job, self.sites[offer.site])[1] / max(1, job.remaining())
                for offer in offers]  # fmt: skip

    def _ages(self, near: Near, begun: Sequence[tuple[Lease, int]]) -> dict[int, float]:
        """By chunk, how much work its longest running item has been so far."""
        found: dict[int, float] = {}
        for lease, chunk in begun:
            found[chunk] = max(self._age(near, lease), found.get(chunk, 0.0))
        return found

    def _age(self, near: Near, lease: Lease) -> float:
        """How much work its item has been so far."""
        if lease.queued:
            return 0.0
        return (self._now_ns - lease.begun_ns) * (near.efforts.speed(lease.site) or 1.0)

    def _near_end(self, job: Job, near: Near, lease: Lease, left_ns: int) -> bool:
        """Whether its item is expected to be late, or nearly: by others of its chunk, or if it has
        outrun them, to go on for as long again."""
        each_ns = near.efforts.work(_chunk_of(job, lease)) / (near.efforts.speed(lease.site) or 1.0)
        age_ns = self._now_ns - lease.begun_ns
        return left_ns < _CLOSE * (each_ns - age_ns if age_ns < each_ns else age_ns)

    def _busy_ns(self, job: Job, near: Near, offers: Sequence[Offer]) -> list[float]:
        """For how long each site has work of the job, or has to begin with."""
        work: dict[SiteId, float] = {}
        longest = 0.0
        for lease, chunk in _begun(job):
            each = near.efforts.work(chunk)
            more = (lease.stop - lease.begun) * each - min(self._age(near, lease), each)
            work[lease.site] = work.get(lease.site, 0.0) + more
            longest = max(longest, each)
        return [
            (0.0 if offer.open else offer.start_ns)
            + work.get(offer.site, 0.0) / offer.power
            + _UNEVEN * longest / offer.speed
            for offer in offers
        ]

    def _follow(self, job: Job, near: Near, way: Way) -> None:
        """From now on."""
        near.shares, near.strict, near.parts = way.shares, way.strict, way.parts
        leased = _leased(job)
        near.everywhere = {site for site, share in way.shares.items() if leased <= share.keys()}


def _begun(job: Job) -> list[tuple[Lease, int]]:
    """The leases of which an item runs, or is about to, and its chunk."""
    return [(lease, _chunk_of(job, lease))
            for lease in job.leases.values() if lease.begun < lease.stop]  # fmt: skip


def _leased(job: Job) -> set[int]:
    """The chunks of these."""
    return {chunk for _, chunk in _begun(job)}


def _chunk_of(job: Job, lease: Lease) -> int:
    """Of the item that it runs, or is about to."""
    assert job.data is not None
    chunk, _, _ = next(job.data.parts(lease.begun, lease.begun + 1))
    return chunk


def _spread(lots: Sequence[Lot]) -> float:
    """How much more all bytes cost at the worst than at the best."""
    return sum(lot.items * (max(lot.carry) - min(lot.carry)) for lot in lots)


def _here(offers: Sequence[Offer], left: Left, goal: Goal) -> tuple[float, float]:
    """What is left costs so much, and at most, without bytes: what has begun has paid for them."""
    found = plan([offer._replace(carry=0.0) for offer in offers], left, goal)
    return found.cost, found.high_cost


def _by_chunk(offer: Offer, near: Near, carry: float, shared: Beside | None) -> Offer:
    """With the speed that is known by chunk, and with what all that is ready would carry there."""
    speed = offer.speed
    if (known := near.efforts.speed(offer.site)) is not None:
        speed = known * (1.0 if shared is None else shared.each)
    return offer._replace(speed=speed, carry=carry)


def _left_of(left: Left, lots: Sequence[Lot], variance: float) -> Left:
    """What is left, where chunks differ in how long their items take."""
    if not left.sure or not left.mean or not any(lot.items for lot in lots):
        return left
    items, work = sum(lot.items for lot in lots), sum(lot.items * lot.work for lot in lots)
    mean = max(0.0, left.mean - left.each * items) + work
    # Longest ones of all chunks together would be those of one chunk, not a tail.
    rest = max((lot.work for lot in lots if lot.items), default=left.each) * (1 + variance)

    def spread(known: Callable[[Lot], int]) -> float:
        each = (lot.work**2 * lot.items * (1 + lot.items / max(1, known(lot))) for lot in lots)
        return 1.65 * sqrt(variance * sum(each))

    return left._replace(
        mean=mean, high=mean + spread(lambda lot: lot.timed),
        spread=spread(lambda lot: lot.timed + lot.runs), whole=left.whole + mean - left.mean,
        rest=rest, tail=left.tail._replace(at=0.0),
    )  # fmt: skip
