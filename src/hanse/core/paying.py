"""The half of a home that counts what jobs with aims cost.

What a lease may come to, and whether the budget has room for it; what was spent, and when that is
recorded. What is out, and what it costs by the clock, is kept by each job's `purse`.
"""

from __future__ import annotations

import math
from operator import add

from hanse import limits
from hanse.core.carrying import Carrying
from hanse.core.events import JobSpent
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.placement import Placement
from hanse.core.purse import cost_of
from hanse.core.site import Site
from hanse.ids import LeaseId, SiteId

_MOST_MOVED = 1 << 62  # bytes: a record has room for no more
_SPENT_SHARE = 200  # what was spent is recorded again after this part of a job's age


class Paying(Carrying):
    """How money counts."""

    def _slot_price(self, job: Job, site: Site) -> int:
        """Of what one item of it holds, for an hour: its part of the price of the site."""
        price = site.tariff.price_at(self._now_ns)
        if not price:
            return 0
        cpus = site.capacity.cpus_milli or 1000
        return price * min(site.capacity.share_milli(job.spec.needs), cpus) // cpus

    def _pays(self, job: Job, site: Site) -> bool:
        """Whether the budget has room for one more item there; if not, nothing is granted."""
        assert job.place is not None
        if self._affords(job, job.place, site, 1):
            return True
        job.place.stopped = True
        assert job.shape is not None
        job.shape.idle.clear()
        return False

    def _affords(self, job: Job, place: Placement, site: Site, items: int) -> int:
        """How many of so many items the budget has room for at that site, beside all that is out
        already; if none, nothing is granted any more."""
        if place.aims.budget_nano is None:
            return items
        purse = place.purse
        room = place.aims.budget_nano - purse.total() - purse.bound(self._now_ns) - purse.reserved
        price = self._slot_price(job, site)
        while items and self._bound(job, place, site, items, price) > room:
            items //= 2
        return items

    def _bound(self, job: Job, place: Placement, site: Site, items: int, price: int) -> int:
        held = self._bound_ns(job, place, site, items)
        nano = self._carry(job, site, items) + self.fetches_once(job, site)[1]
        return cost_of(held, price) + nano

    def _bound_ns(self, job: Job, place: Placement, site: Site, items: int) -> int:
        """A lease of so many items is reckoned not to last longer than that."""
        mean, variance, known = place.work.moments()
        if not known:
            return limits.LEASE_MAX_NS + limits.REPORT_EVERY_NS
        each = mean / place.work.speed(site.id)
        spread = math.sqrt(variance * items)
        rate = job.rates.get(site.id)
        cost = rate.cost_ns if rate is not None else 0.0
        return int(each * (items + 3 * spread) + 2 * cost) + limits.REPORT_EVERY_NS

    def _pay_granted(self, job: Job, site: Site, lease: Lease) -> None:
        place = job.place
        assert place is not None
        items = lease.stop - lease.begun
        place.held[site.id] = place.held.get(site.id, 0) + 1
        price, bound_ns = self._slot_price(job, site), self._bound_ns(job, place, site, items)
        moved = place.moved.get(site.id, (0, 0))
        if lease.id < self._first_lease:
            place.purse.taken_back(lease, price, bound_ns)
            if moved[0] >= self.fetches_fresh(place, site.tariff.region)[0]:
                place.has[site.id] = site.incarnation  # it was paid for, as is recorded
        else:
            own = self._carries(job, site.tariff.region, lease.begun, lease.stop)
            nbytes, nano = map(add, own, self.fetches_once(job, site))
            place.has[site.id] = site.incarnation
            if nbytes:
                place.moved[site.id] = min(moved[0] + nbytes, _MOST_MOVED), moved[1] + nano
            place.purse.granted(lease, price, nano, bound_ns, self._now_ns)
        self._requoted(job, site)

    def _pay_late(self, job: Job, site: Site, lease: LeaseId, busy_ns: int) -> None:
        """Results come of a lease that is not known here, for the first time."""
        if job.place is not None and lease < self._first_lease:
            job.place.purse.late(site.id, self._slot_price(job, site), busy_ns)

    def _account_all(self) -> None:
        """Record what was spent, where that is due."""
        for job in self._placed.values():
            place = job.place
            if place is None or job.state.ended or self._now_ns < place.tell_ns:
                continue
            if job.spec.durable and (place.purse.burns() or self._spent(job) != job.paid):
                age_ns = self._now_ns - job.since_ns
                every_ns = max(limits.SPENT_LEAST_NS, age_ns // _SPENT_SHARE)
                place.tell_ns = self._now_ns + min(every_ns, limits.SPENT_MOST_NS)
                self._account(job)

    def _account(self, job: Job) -> None:
        assert job.place is not None
        job.place.purse.pay(self._now_ns)
        moved = dict(job.place.moved)
        late_ns = 0 if job.due_ns is None else max(0, self._now_ns - job.due_ns)
        self._decide(JobSpent(job.id, self._spent(job), self._now_ns, moved, late_ns))

    def _spent(self, job: Job) -> dict[SiteId, int]:
        assert job.place is not None
        sites = job.place.purse.by_site(self._now_ns)
        return {site: nano for site, nano in sites.items() if nano}

    def _pay_closed(self, job: Job, lease: Lease) -> None:
        place, site = job.place, lease.site
        assert place is not None
        place.held[site] -= 1
        if not place.held[site]:
            del place.held[site]
        place.purse.closed(lease.id, None, self._now_ns)
        self._requoted(job, self.sites[site])

    def _requoted(self, job: Job, site: Site) -> None:
        """Whether the job may have one more lease there may have changed."""
        shape = job.shape
        if shape is not None:
            shape.note(site)
            if shape.runnable and shape.fits(site):
                self._freshen(job)
