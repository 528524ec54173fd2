"""The half of a home that decides where jobs with aims may run.

A plan is made at reports, as often as what is left changes by some half percent, from what has been
learnt by then. It comes down to how many leases a job may hold at each site; granting asks for that
and nothing else. Jobs without aims do not pass through here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from hanse import limits
from hanse.core.beside import beside, going
from hanse.core.events import Timed
from hanse.core.job import Job
from hanse.core.paying import Paying
from hanse.core.place.allot import Chunks
from hanse.core.place.egress import Egress
from hanse.core.place.offer import Offer
from hanse.core.place.plan import Goal, plan
from hanse.core.place.renting import Group, Held, Kind, Lack, Rents
from hanse.core.place.work import Left
from hanse.core.placement import Placement
from hanse.core.site import Site
from hanse.core.spots import Spots, Told
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.aims import HOUR_NS, Aims, Tariff
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.rental import Rental

PLAN_SHARE = 200
"""A plan is looked at again after this part of the time that it is made for."""

RENTED = "it was rented for jobs with a deadline or a budget, and runs no others"

_GUESSED_NS = limits.SECOND  # an item's time until one was timed, beside what all items share


class Placing(Paying):
    """How aims become quotas."""

    def __init__(self, first_lease: int = 1) -> None:
        super().__init__(first_lease)
        self.spots = Spots()  # what is learnt of machines that can be taken away
        self.rentals: dict[str, Rental] = {}  # what providers could bring
        self.rents: Callable[[Job, int], Rents] = _nothing  # ... for a job, now
        self.draining: dict[SiteId, str] = {}  # sites that get nothing more, and why

    def carries_at(self, egress: Egress, region: str = "") -> None:
        """Bytes between regions cost this from now on, and the home is in that one."""
        self.egress, self.region = egress, region
        self._look_soon()

    # --- what is known of sites -----------------------------------------------------------------
    def _look_soon(self) -> None:
        """A site has come, gone or changed."""
        for job in self._placed.values():
            assert job.place is not None
            job.place.look_ns = 0

    def _site_up(self, site: Site) -> None:
        """Another incarnation speaks for the site, or the first."""
        self.spots.begins(site, self._now_ns)
        if self._placed:
            self._look_soon()

    def _site_down(self, site: Site, lost: bool = True) -> None:
        """Its incarnation is gone: how long it has lived is learnt, unless it was when it said that
        it would be taken away."""
        self.spots.watch(site, self._now_ns, lost=lost)
        site.up_ns = None
        if self._placed:
            self._look_soon()

    def _site_taken(self, site: Site, why: str) -> None:
        """It will be gone soon, and says so: a loss of the machine, and of nothing else."""
        self.spots.watch(site, self._now_ns, lost=True)
        site.leaving = why
        if self._placed:
            self._look_soon()

    def loss_ns(self, lease: LeaseId) -> int:
        """Mean time between losses of machines like the one that runs the lease, at its age; 0 if
        nothing is known."""
        held = self.leases.get(lease)
        site = None if held is None else self.sites[held.site]
        if site is None or not site.tariff.spot:
            return 0
        self.spots.follow(self.sites.values(), self._now_ns)
        return self.spots.loss_ns(site, self._now_ns)

    def spots_told(self, now_ns: int) -> Told:
        """What was learnt of spot machines, for the next run of this home."""
        self._now_ns = max(self._now_ns, now_ns)
        return self.spots.told(self.sites.values(), self._now_ns)

    # --- plans ----------------------------------------------------------------------------------
    def _plan_all(self) -> None:
        for job in list(self._placed.values()):
            if job.state.ended:
                del self._placed[job.id]
            elif job.place is not None and self._now_ns >= job.place.look_ns:
                self._replan(job, job.place)

    def _replan(self, job: Job, place: Placement) -> None:
        """Decide anew how many slots of which site the job uses."""
        offers = self._offers(job, place)
        left = self._left(job, place)
        goal = self._goal(job, place)
        place.look_ns = self._now_ns + int(goal.every_ns)
        place.looked_ns = self._now_ns
        near = place.near
        # Where others have everything, its turn comes at one of the sites that it would be at.
        those = offers or self._offers(job, place, least=1)
        if near is None:
            place.plan = plan(those, left, goal)
        else:
            way = self._way(job, place, those, left, goal)
            place.plan = way.plan
            self._follow(job, near, way)
        place.count(offers)
        if near is not None or place.stopped or place.plan.slots != place.quota:
            place.stopped, place.quota = False, place.plan.slots
            self._requote(job, place)

    def _goal(self, job: Job, place: Placement) -> Goal:
        aims = place.aims
        time_ns = None if job.due_ns is None else float(job.due_ns - self._now_ns)
        spent = place.purse.total() + place.purse.due(self._now_ns)
        money = None
        if aims.budget_nano is not None:
            money = float(aims.budget_nano - spent - place.purse.reserved)
        span_ns = max(0.0, time_ns or 0.0) / PLAN_SHARE
        every_ns = min(max(span_ns, limits.PLAN_LEAST_NS), limits.REPORT_EVERY_NS)
        whole_ns = float(aims.deadline_ns or 0)
        return Goal(aims.objective, time_ns, money, every_ns, whole_ns, float(spent))

    def may_run(self, job: Job, site: Site) -> bool:
        """Whether the site is there, and can and may run an item of it, once it has room."""
        return (
            not site.silent(self._now_ns)
            and site.capacity.fits(job.spec.needs)
            and takes(job, site)
            and (job.place is None or barred(job.place.aims, site.tariff) is None)
        )

    # --- for quotes -----------------------------------------------------------------------------
    @contextmanager
    def imagined(
        self, spec: JobSpec, timed: Sequence[Timed], now_ns: int, of: JobId | None = None,
        data: Sequence[Lies] = (),
    ) -> Iterator[Job]:  # fmt: skip
        """A job that nobody has submitted, as it would be seen here now; inside alone. It may use
        what is free, and what the job `of` holds, which it would take the place of."""
        then_ns, self._now_ns = self._now_ns, max(self._now_ns, now_ns)
        job = Job(JobId(""), spec, self._now_ns)
        place, present = job.place, self.jobs.get(of) if of is not None else None
        assert place is not None
        for name, items, busy_ns in timed:
            place.work.observe(name, items, busy_ns)
        for site in self.sites.values():
            self._hint(place, site)
        if present is not None:
            place.held.update(Counter(lease.site for lease in present.leases.values()))
            place.has = {} if present.place is None else dict(present.place.has)
        if place.near is not None:
            self._imagine(job, place.near, timed, data, present)
        else:
            job.grow(spec.total or 0, {})
        self._shapes.join(job, self.sites.values())
        usable = [(site, self._usable(job, site)) for site in self.sites.values()]
        place.beside = beside(job, usable, going(self.jobs.values(), present))
        try:
            with self.spots.aside(self.sites.values()):
                if place.near is not None and place.near.ready:
                    offers, left = self._offers(job, place), self._left(job, place)
                    way = self._way(job, place, offers, left, self._goal(job, place))
                    place.plan = way.plan
                    self._follow(job, place.near, way)
                yield job
        finally:
            self._shapes.leave(job)
            self._now_ns = then_ns

    def _requote(self, job: Job, place: Placement) -> None:
        """Other sites may serve it now; those that are not to be used any more end the item that
        they run, and no other."""
        shape = job.shape
        assert shape is not None
        for site in self.sites.values():
            shape.note(site)
        if shape.runnable:
            self._freshen(job)
        for lease in job.leases.values():
            if place.quota.get(lease.site) or lease.cut_to is not None or lease.cancelled:
                continue
            if lease.site in self.draining:  # items that run are told too, and save
                self._cut(lease, lease.begun)
            elif lease.unbegun:
                self._cut(lease, lease.after(0))

    def _offers(self, job: Job, place: Placement, least: int = 0) -> list[Offer]:
        """What it may use of sites, by what is free and its own; so many slots at least of each
        that could have them."""
        self.spots.follow(self.sites.values(), self._now_ns)
        place.barred = {}
        offers = []
        for site in self.sites.values():
            if site.silent(self._now_ns) or not takes(job, site):
                continue
            why_not = barred(place.aims, site.tariff) or self.draining.get(site.id)
            if why_not is not None:
                place.barred[site.id] = why_not
            elif slots := max(
                self._usable(job, site), min(least, site.capacity.times(job.spec.needs))
            ):
                offers.append(self._offer(job, place, site, slots))
        return offers

    def _usable(self, job: Job, site: Site) -> int:
        """Slots that are the job's or free."""
        assert job.place is not None
        if (shared := job.place.beside.get(site.id)) is not None:
            return shared.slots
        held = job.place.held.get(site.id, 0)
        return min(site.capacity.times(job.spec.needs), site.free.times(job.spec.needs) + held)

    def _offer(self, job: Job, place: Placement, site: Site, slots: int) -> Offer:
        tariff = site.tariff
        self._hint(place, site)
        lasts_ns = math.inf
        if tariff.spot and place.aims.deadline_ns is not None:
            lasts_ns = self.spots.stays_ns(site, self._now_ns, place.aims.deadline_ns)
        cost = self._slot_price(job, site) / HOUR_NS
        rate = job.rates.get(site.id)
        start_ns = float(tariff.start_ns) + (rate.cost_ns if rate is not None else 0.0)
        speed = place.work.speed(site.id)
        if (shared := place.beside.get(site.id)) is not None:
            cost, speed = cost * shared.each, speed * shared.each
            start_ns += shared.wait_ns
        each, once = self._carry(job, site, 1), self.fetches_once(job, site)[1]
        carry = self._unit_carry(job, place, slots * speed, each, once)
        return Offer(site.id, slots, speed, cost, start_ns, lasts_ns, carry,
                     bool(place.quota.get(site.id)), sunk=tariff.rented)  # fmt: skip

    def _hint(self, place: Placement, site: Site) -> None:
        if site.tariff.speed_milli:
            place.work.hint(site.id, site.tariff.speed_milli / 1000)

    def _unit_carry(self, job: Job, place: Placement, power: float, each: int, once: int) -> float:
        """Nano per unit of work, at a site of such power: for the bytes of `each` item, and for
        what it fetches once, which all items share that it could do in time."""
        mean, _, known = place.work.moments()
        items = float(max(1, job.remaining()))
        if not known:
            return once / items / _GUESSED_NS
        if job.due_ns is not None:
            items = min(items, max(1.0, power * (job.due_ns - self._now_ns) / mean))
        return (each + once / items) / mean

    def _left(self, job: Job, place: Placement) -> Left:
        begun = []
        unbegun = 0
        for lease in job.leases.values():
            if lease.backup_of is None and not lease.cancelled:
                unbegun += lease.unbegun
                if lease.begun < lease.stop and not lease.queued:
                    begun.append((lease.site, self._now_ns - lease.begun_ns))
        coming = (job.spec.total or 0) - job.size if not job.sealed else 0
        waiting = len(job.waiting) + len(job.ready) + max(0, coming)
        within_ns = math.inf if job.due_ns is None else job.due_ns - self._now_ns
        return place.work.left(begun, waiting + unbegun, within_ns)

    # --- machines that could be rented ------------------------------------------------------------
    @property
    def placed(self) -> list[Job]:
        """Running jobs with aims, those that are due first before others."""
        running = (job for job in self._placed.values() if not job.state.ended and not job.withheld)
        return sorted(running, key=lambda job: (_due_ns(job), job.id))

    def lack(
        self, job: Job, coming: Sequence[Group], now_ns: int, held: Sequence[Held] = ()
    ) -> Lack:
        """What the job has to do, and who for; `held` are machines that were brought for it, and
        `coming` those of others that will have room."""
        place = job.place
        assert place is not None
        self._now_ns = max(self._now_ns, now_ns)
        left, goal = self._left(job, place), self._goal(job, place)
        offers = self._offers(job, place)
        if place.near is not None:
            offers, left, _ = self._by_chunks(job, place.near, offers, left)
        return Lack(left, goal.time_ns, goal.whole_ns, goal.money, offers, coming, held)

    def chunks(self, job: Job, offers: Sequence[Offer]) -> Chunks | None:
        """What has not begun of a job whose items say where their data lies, for who asks which
        bytes will travel; None of other jobs. `offers` are those of its `lack` at this moment."""
        place, data = job.place, job.data
        assert place is not None
        if place.near is None or data is None or not place.near.shares:
            return None
        lots = self._lots(job, place.near, offers, [0.0] * len(offers))
        totals = data.totals()
        there = [self.sites[offer.site].tariff.region for offer in offers]
        fetched = []
        for lot in lots:
            items, nbytes = totals.get(lot.chunk, (1, 0))
            region = data.regions[lot.chunk]
            fetched.append([nbytes / items if region != one else 0.0 for one in there])
        return Chunks(offers, lots, fetched, place.near.shares)

    def fetches(self, job: Job, regions: Collection[str]) -> dict[str, tuple[int, int]]:
        """By region, bytes that as many items as are left would fetch there from other ones, and
        nano for them."""
        count, every = job.remaining(), max(1, job.spec.total or 0, job.size)
        parts = [(one, size * count // every) for one, size in self._reads(job, 0, every)]
        return {region: self._fetched(parts, region) for region in regions}

    def kind_of(self, job: Job, rental: Rental, room: int, start_ns: float, like: Sequence[SiteId],
                lasts_ns: float) -> Kind | str:  # fmt: skip
        """What such a machine is to the job; in words, why it is nothing. `like` are sites of the
        kind, which have shown how fast it is; `lasts_ns` is how long one stays."""
        place, needs = job.place, job.spec.needs
        assert place is not None
        if not rental.amount.fits(needs):
            return "an item needs more: " + ", ".join(rental.amount.lacks(needs))
        why_not = barred(place.aims, rental.tariff)
        if why_not is not None:
            return why_not
        speeds = [place.work.speed(site) for site in like if site in place.quota]
        told = rental.tariff.speed_milli / 1000 or 1.0
        speed = sum(speeds) / len(speeds) if speeds else told
        slots = rental.amount.times(needs)
        each = self._carries(job, rental.tariff.region, 0, 1)[1]
        once = self.fetches_fresh(place, rental.tariff.region)[1]
        carry = self._unit_carry(job, place, slots * speed, each, once)
        return Kind(rental, slots, speed, room, float(start_ns), lasts_ns, carry)

    def drain(self, sites: Mapping[SiteId, str]) -> None:
        """These get nothing more, for such reasons, and no others."""
        if sites != self.draining:
            self.draining = dict(sites)
            self._look_soon()


def _nothing(job: Job, now_ns: int) -> Rents:
    return Rents((), (), {}, {})


def _due_ns(job: Job) -> float:
    return math.inf if job.due_ns is None else float(job.due_ns)


def takes(job: Job, site: Site) -> bool:
    """Whether the site can run such code, and its owner lets it."""
    assert job.shape is not None
    return site.lets(job.spec) and job.shape.suits(site)


def barred(aims: Aims, tariff: Tariff) -> str | None:
    """Why the aims rule such a site out; None if they do not."""
    if aims.regions and tariff.region not in aims.regions:
        where = f"its region, {tariff.region}," if tariff.region else "it names no region and"
        return f"{where} is not among those allowed: {', '.join(aims.regions)}"
    if tariff.spot and not aims.spot:
        return "it can be taken away at any time, and the job asks for sites that cannot"
    if tariff.rented and aims.deadline_ns is None and aims.budget_nano is None:
        return RENTED
    return None
