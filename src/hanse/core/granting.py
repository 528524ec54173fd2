"""The half of a home that hands out leases: who is served, and what the orders say.

Only what an event has changed is served: sites with new room meet all runnable jobs, then shapes of
which a job has become runnable meet the sites that are idle. So between events no job is runnable
that an idle site could run. Every grant, cut or cancel marks its site as dirty, and dirty sites get
orders at the end of the event.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import islice

from hanse import limits
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.messages import CutOrder, Grant, Orders
from hanse.core.place.length import lease_length
from hanse.core.place.rate import Rate
from hanse.core.place.tail import current_left_ns
from hanse.core.placing import Placing, takes
from hanse.core.shapes import Shape
from hanse.core.site import Site
from hanse.ids import LeaseId
from hanse.model.ranges import Range
from hanse.model.resources import Amount


class _Line:
    """When the slots of a site are free, the next first."""

    def __init__(self, soon_ns: int) -> None:
        self.soon_ns = soon_ns
        self.ends: list[float] = []


class Granting(Placing):
    """How a home fills its sites."""

    def _serve(self) -> None:
        """Give every site with something free what fits."""
        while self._roomy or self._fresh:
            if self._roomy:
                roomy, self._roomy = self._roomy, {}
                for site in roomy.values():
                    if site.trip_ns >= limits.LOOK_AHEAD_NS:
                        self._fill_nearer(site)
                    self._fill(site)
            if self._fresh:
                self._serve_fresh()

    def _serve_fresh(self) -> None:
        fresh, self._fresh = list(self._fresh.values()), {}
        for shape, _ in fresh:
            while shape.runnable and shape.idle:
                self._fill(next(iter(shape.idle.values())))
        for site in self._restricted.values():
            if any(_may_serve(site, shape, functions) for shape, functions in fresh):
                self._fill(site)

    def _fill_nearer(self, site: Site) -> None:
        """What a far site gave back is for those who idle nearer: they are done with it before it
        could have it again."""
        for shape, _ in list(self._fresh.values()):
            some = islice(shape.idle.values(), limits.LOOK_LEASES)
            nearer = [each for each in some if each.trip_ns < site.trip_ns]
            for each in sorted(nearer, key=lambda one: one.trip_ns):
                if shape.runnable:
                    self._fill(each)

    def _fill(self, site: Site) -> None:
        if site.silent(self._now_ns):
            for shape in self._shapes:
                shape.idle.pop(site.id, None)
            return
        while self._runnable and (job := self._next(site, site.free)) is not None:
            self._lease(job, site)
        if self._runnable and site.leases and site.trip_ns >= limits.LOOK_AHEAD_NS:
            self._look_ahead(site)
        for shape in self._shapes:
            shape.note(site)

    def _look_ahead(self, site: Site) -> None:
        """Grant what is to follow the leases that will end before an answer to their end could be
        there; it waits in line at the site."""
        running = sum(not lease.queued for lease in site.leases)
        waiting = len(site.leases) - running
        line = _Line(2 * site.trip_ns + limits.FLUSH_NS)
        free = site.free
        for lease in site.leases:
            free = free.plus(self._free_soon(site, line, lease))
        while waiting < limits.LOOK_AHEAD_SHORT * running:
            job = self._next(site, free) if site.reserved is None else None
            if job is None:
                return
            short = job.place is not None and job.place.near is not None
            if waiting >= limits.LOOK_AHEAD_LEASES * running and not short:
                return
            lease = self._lease(job, site)
            lease.queued = True
            if job.place is not None:
                job.place.purse.waits(lease.id)
            waiting += 1
            free = free.minus(job.spec.needs).plus(self._free_soon(site, line, lease))

    def _free_soon(self, site: Site, line: _Line, lease: Lease) -> Amount:
        """What the lease, the next one in line, will have given back within a trip and the time in
        which a site may say nothing."""
        job = self.jobs[lease.job]
        mean = self._rate(job, site).mean_ns
        if lease.queued:
            end_ns = (heappop(line.ends) if line.ends else 0.0) + lease.unbegun * mean
        else:
            end_ns = current_left_ns(lease, mean, self._now_ns) + lease.unbegun * mean
        heappush(line.ends, end_ns)
        return job.spec.needs if end_ns < line.soon_ns else Amount()

    def _next(self, site: Site, free: Amount) -> Job | None:
        """Who gets a lease of this site: of the jobs that fit, the one that was granted the least.

        One that comes before it and does not fit, because others hold parts of the site, has the
        site emptied for it after a while.
        """
        if site.reserved is not None:
            return self._reserved_for(site)
        best = wide = None
        for shape in self._runnable.values():
            if not shape.suits(site):
                continue
            if shape.place is not None and not shape.place.allows(site.id):
                continue
            if free.fits(shape.needs):
                best = _before(shape.first_for(site), best)
            elif site.capacity.fits(shape.needs) and not free.fits_but_for_scripts(shape.needs):
                wide = _before(shape.first_for(site), wide)
        if wide is not None and _before(wide, best) is wide and self._reserve(site, wide):
            return None
        if best is not None and best.place is not None and not self._pays(best, site):
            return self._next(site, free)
        return best

    def _reserved_for(self, site: Site) -> Job | None:
        job = self.jobs[site.reserved] if site.reserved is not None else None
        assert job is not None
        assert job.shape is not None
        if not site.capacity.fits(job.spec.needs) or not takes(job, site):
            self._unreserve(job)  # the site has shrunk, or its owner lets others through now
            return None
        if not site.free.fits(job.spec.needs):
            return None
        self._unreserve(job)
        if job.place is not None and not (job.place.allows(site.id) and self._pays(job, site)):
            return None
        return job

    def _reserve(self, site: Site, job: Job) -> bool:
        """Empty the site for the job, if it has waited long enough, no other one is emptied, and
        others could take what gets free before it."""
        waited = self._now_ns - job.hungry_ns
        if job.reserved is not None or waited < limits.RESERVE_AFTER_NS:
            return False
        needs, running = job.spec.needs, [lease for lease in site.leases if not lease.queued]
        own = sum(lease.job == job.id for lease in running)
        if not site.capacity.minus(needs, own).fits(needs):
            return False  # its own leases leave no room for one more, whoever else goes
        if running and all(self.jobs[each.job].spec.needs.fits(needs) for each in running):
            return False  # whichever ends gives room, and the job comes first then
        job.reserved, site.reserved = site.id, job.id
        for lease in site.leases:
            if lease.unbegun and lease.cut_to is None and not lease.cancelled:
                self._cut(lease, lease.after(0))
        return True

    def _lease(self, job: Job, site: Site) -> Lease:
        """Grant the job its next lease, and charge it for that."""
        rate = self._rate(job, site)
        ready = most = 1
        waiting = len(job.waiting)
        if (remaining := job.remaining()) + waiting > 1:
            slots, power = self._power(job, rate)
            ready = most = lease_length(remaining, slots, power, rate, job.seen)
            if waiting:  # a lease takes on what waits only for itself
                most = lease_length(remaining + waiting, slots, power, rate, job.seen)
        if job.vtime > self._vtime:
            self._vtime = job.vtime
        if job.place is not None:
            ready = most = self._affords(job, job.place, site, ready)
            if job.place.near is not None:
                return self._lease_span(job, site, job.place.near.take(site.id, ready), rate)
        return self._lease_span(job, site, job.take(ready, most), rate)

    def _lease_span(self, job: Job, site: Site, span: Range, rate: Rate) -> Lease:
        lease = self._grant(job, site, span)
        work = int((lease.stop - lease.start) * rate.mean_ns)
        job.vtime += max(1, work * site.capacity.share_milli(job.spec.needs) // job.spec.weight)
        job.hungry_ns = self._now_ns
        assert job.shape is not None
        if job.id in job.shape.runnable:
            job.shape.push(job)
        return lease

    def _grant(self, job: Job, site: Site, span: Range) -> Lease:
        lease = Lease(LeaseId(self._next_lease), job.id, site.id, span, self._now_ns)
        self._next_lease += 1
        lease.granted_seq = site.orders_seq + 1
        site.free = site.free.minus(job.spec.needs)
        self._hold(job, site, lease)
        self._dirty[site.id] = site
        return lease

    # --- orders ---------------------------------------------------------------------------------
    def _orders(self) -> list[Orders]:
        if not self._dirty:
            return []
        sends = [self._orders_for(site) for site in self._dirty.values()]
        self._dirty.clear()
        return sends

    def _orders_for(self, site: Site) -> Orders:
        """Everything that the site's last report did not show yet."""
        site.orders_seq += 1
        site.owed = False
        if not site.timed_seq:
            site.timed_seq, site.timed_ns = site.orders_seq, self._now_ns
        grants, cuts = [], []
        cancels = list(self._strays.pop(site.id, ())) if self._strays else []
        look = limits.REPORT_EVERY_NS
        for lease in site.leases:
            job = self.jobs[lease.job]
            if lease.cancelled:
                cancels.append(lease.id)
                continue
            if self._watched(job):
                part_ns = int(self._rate(job, site).mean_ns) // limits.TAIL_LOOK_PART
                look = min(look, max(limits.TAIL_LOOK_NS, part_ns))
            if lease.granted_seq > site.orders_seen:
                grants.append(
                    Grant(
                        lease.id,
                        job.id,
                        lease.start,
                        lease.stop,
                        job.spec.needs,
                        job.attempts_within(lease.start, lease.stop),
                    )
                )
            if lease.cut_to is not None:
                cuts.append(CutOrder(lease.id, lease.cut_to))
        site.look_ns, site.every_ns = look, max(site.every_ns, look)
        return Orders(
            site.id,
            site.incarnation,
            site.orders_seq,
            site.notes_durable,
            grants,
            cuts,
            cancels,
            look,
        )

    def _watched(self, job: Job) -> bool:
        """Slots idle while the last of the job runs: its tail is to be looked at often."""
        if job.id not in self._tails:
            return False
        assert job.shape is not None
        return bool(job.shape.idle) and (len(self.sites) > 1 or job.leased > len(job.leases))


def _may_serve(site: Site, shape: Shape, functions: Iterable[str]) -> bool:
    """Whether a restricted site has room for the shape, and lets any of these through."""
    assert site.offer is not None
    return bool(shape.runnable) and shape.fits(site) and any(map(site.offer.lets, functions))


def _before(one: Job | None, other: Job | None) -> Job | None:
    """Whichever was granted less for its weight (start-time fair queueing: Goyal, Vin, Cheng
    1996); ties by id."""
    if one is None or other is None:
        return one or other
    return one if (one.vtime, one.id) < (other.vtime, other.id) else other
