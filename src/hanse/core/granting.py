"""The half of a home that hands out leases: who is served, what is cut, what the orders say.

Leases live in three indexes that always agree: by id, by job, by site. Every grant, cut or cancel
marks its site as dirty, and dirty sites get orders at the end of the event.
"""

from __future__ import annotations

from hanse import limits
from hanse.core.events import Fact, JobForgotten, JobSubmitted
from hanse.core.facts import apply
from hanse.core.job import Job, Lease
from hanse.core.messages import CutOrder, Grant, Orders
from hanse.core.place.choose import choose
from hanse.core.place.length import lease_length
from hanse.core.place.rate import Rate
from hanse.core.place.tail import best_backup, best_cut
from hanse.core.site import Site
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.ranges import Range

_POWER_AGE_NS = 10 * limits.MS
_UNKNOWN = Rate()


class Granting:
    """What a home knows of sites and leases, and how it fills the one with the other."""

    def __init__(self, first_lease: int = 1) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.sites: dict[SiteId, Site] = {}
        self.leases: dict[LeaseId, Lease] = {}
        self._first_lease = LeaseId(first_lease)  # those below are of earlier runs of the home
        self._next_lease = first_lease
        self._runnable: dict[JobId, Job] = {}  # running jobs with ready items
        self._dirty: dict[SiteId, Site] = {}  # sites that need orders after this event
        self._strays: dict[SiteId, dict[LeaseId, None]] = {}  # unknown leases to be cancelled
        self._vtime = 0  # of the job that was granted a lease last; never goes back
        self._facts: list[Fact] = []
        self._position = 0  # facts of durable jobs that were decided
        self._recorded = 0  # of these, how many are known to be durable
        self._dropped: list[tuple[Job, int, int]] = []  # withdrawn, and not settled yet
        self._watching = False  # slots idle while leases run: tails are to be looked at often

    # --- bookkeeping ----------------------------------------------------------------------------
    def _decide(self, fact: Fact) -> None:
        self._facts.append(fact)
        if type(fact) is JobSubmitted:
            durable = fact.spec.durable
        else:
            durable = type(fact) is not JobForgotten and self.jobs[fact.job].spec.durable
        self._position += durable
        for job in apply(self.jobs, fact):
            self._note_ready(job)

    def _new_site(self, id: SiteId) -> Site:
        site = self.sites[id] = Site(id)
        return site

    def _note_ready(self, job: Job) -> None:
        if job.ready and not job.state.ended:
            if job.id not in self._runnable:
                job.vtime = max(job.vtime, self._vtime)  # sleep saves up no claim on the past
                self._runnable[job.id] = job
        else:
            self._runnable.pop(job.id, None)

    def _hold(self, job: Job, site: Site, lease: Lease) -> None:
        self.leases[lease.id] = job.leases[lease.id] = site.leases[lease.id] = lease
        job.leased += lease.stop - lease.begun

    def _close(self, lease: Lease) -> None:
        """The lease is over: what it did not settle is ready again."""
        del self.leases[lease.id]
        self.sites[lease.site].leases.pop(lease.id, None)
        job = self.jobs[lease.job]
        del job.leases[lease.id]
        job.leased -= lease.stop - lease.begun
        if job.backups:
            for other in job.leases.values():
                if other.backup_of == lease.id:
                    other.backup_of = None  # it is the item's only lease now
        if not job.state.ended:
            self._return(job, lease.start, lease.stop)
        else:
            self._forget_if_idle(job)

    def _forget_if_idle(self, job: Job) -> None:
        """A job is kept until nobody asks about it and no site runs anything of it."""
        if job.forgotten and not job.leases:
            self._decide(JobForgotten(job.id))

    def _return(self, job: Job, start: int, stop: int) -> None:
        for a, b in job.loose(start, stop):
            self._make_ready(job, a, b)
        self._note_ready(job)

    def _make_ready(self, job: Job, start: int, stop: int) -> None:
        """No lease holds these items any more."""
        self._dropped += [(job, a, b) for a, b in job.withdrawn.within(start, stop)]
        for a, b in job.withdrawn.gaps(start, stop):
            job.ready.add(a, b)

    def _shorten(self, lease: Lease, stop: int) -> None:
        old, lease.stop = lease.stop, max(stop, lease.begun)
        lease.cut_to = None
        job = self.jobs[lease.job]
        job.leased -= old - lease.stop
        if not job.state.ended:
            self._return(job, lease.stop, old)

    def _cancel(self, lease: Lease) -> None:
        lease.cancelled = True
        self._dirty[lease.site] = self.sites[lease.site]

    def _cut(self, lease: Lease, stop: int) -> None:
        lease.cut_to = stop
        self._dirty[lease.site] = self.sites[lease.site]

    # --- serving --------------------------------------------------------------------------------
    def _serve(self, now_ns: int) -> None:
        """Give every site with something free what fits; then see what idles."""
        if self._runnable:
            for site in self.sites.values():
                self._fill(site, now_ns)
        for job in list(self._runnable.values()):
            if not job.leases:
                self._make_room(job, now_ns)
        self._watching = False
        if self.leases:
            self._look_at_tails(now_ns)

    def _fill(self, site: Site, now_ns: int) -> None:
        while self._runnable:
            job = choose(self._runnable.values(), site.free)
            if job is None:
                return
            rate = self._rate(job, site)
            slots, power = self._power(job, now_ns)
            most = lease_length(job.remaining(), slots, power, rate, job.seen)
            lease = self._grant(job, site, job.ready.take(most), now_ns)
            items = lease.stop - lease.start
            self._vtime = max(self._vtime, job.vtime)
            job.vtime += (
                int(items * rate.mean_ns) * max(1, job.spec.needs.cpus_milli) // job.spec.weight
            )
            self._note_ready(job)

    def _grant(self, job: Job, site: Site, span: Range, now_ns: int) -> Lease:
        lease = Lease(LeaseId(self._next_lease), job.id, site.id, span, now_ns)
        self._next_lease += 1
        lease.granted_seq = site.orders_seq + 1
        lease.expires_ns = now_ns + limits.LEASE_TTL_NS
        self._hold(job, site, lease)
        site.free = site.free.minus(job.spec.needs)
        self._dirty[site.id] = site
        return lease

    def _rate(self, job: Job, site: Site) -> Rate:
        """What is known of the job on the site, or else on any site."""
        rate = job.rates.get(site.id)
        if rate is not None and rate.known:
            return rate
        return next((r for r in job.rates.values() if r.known), _UNKNOWN)

    def _power(self, job: Job, now_ns: int) -> tuple[int, float]:
        """Slots that may run the job, and items per nanosecond of all of them together."""
        if now_ns - job.power_ns < _POWER_AGE_NS and job.power_ns >= 0:
            return job.slots, job.power
        job.slots, job.power, job.power_ns = 0, 0.0, now_ns
        for site in self.sites.values():
            slots = site.capacity.times(job.spec.needs)
            job.slots += slots
            job.power += slots / self._rate(job, site).mean_ns
        return job.slots, job.power

    # --- tails ----------------------------------------------------------------------------------
    def _make_room(self, job: Job, now_ns: int) -> None:
        """All is busy with other jobs: the lease that would end last ends after its item."""
        if job.room_from in self.leases:
            return
        late: Lease | None = None
        late_ns = float(limits.TAIL_LOOK_NS)
        for lease in self.leases.values():
            if lease.cut_to is None and not lease.cancelled and lease.unbegun:
                other = self.jobs[lease.job]
                left = lease.unbegun * self._rate(other, self.sites[lease.site]).mean_ns
                if left > late_ns and self.sites[lease.site].capacity.fits(job.spec.needs):
                    late, late_ns = lease, left
        if late is not None:
            self._cut(late, late.begun + 1)
            job.room_from = late.id

    def _look_at_tails(self, now_ns: int) -> None:
        several = len(self.sites) > 1
        for job in self.jobs.values():
            if job.state.ended or job.ready:
                continue
            if not (job.leased if several else job.leased > len(job.leases)):
                continue
            idle = {
                s.id: s.free.times(job.spec.needs)
                for s in self.sites.values()
                if s.free.fits(job.spec.needs)
            }
            if idle:
                self._watching |= len(self.sites) > 1 or any(
                    lease.unbegun for lease in job.leases.values()
                )
                self._help(job, idle, now_ns)

    def _help(self, job: Job, idle: dict[SiteId, int], now_ns: int) -> None:
        helper_site = self.sites[next(iter(idle))]
        rates = {
            lease.site: self._rate(job, self.sites[lease.site]) for lease in job.leases.values()
        }
        helper = self._rate(job, helper_site)
        found = best_cut(job.leases.values(), rates, sum(idle.values()), helper, now_ns)
        if found is not None:
            self._cut(*found)
            return
        for site_id in idle:
            site = self.sites[site_id]
            mean = self._rate(job, site).mean_ns
            late = best_backup(job, site_id, job.rates.get(site_id, _UNKNOWN), mean, now_ns)
            if late is not None and job.seen:
                lease = self._grant(job, site, (late.begun, late.begun + 1), now_ns)
                lease.backup_of = late.id
                job.backups += 1

    # --- orders ---------------------------------------------------------------------------------
    def _orders(self, now_ns: int) -> list[Orders]:
        sends = [self._orders_for(site, now_ns) for site in self._dirty.values()]
        self._dirty.clear()
        return sends

    def _orders_for(self, site: Site, now_ns: int) -> Orders:
        """Everything that the site's last report did not show yet."""
        site.orders_seq += 1
        grants, cuts, cancels = [], [], list(self._strays.pop(site.id, ()))
        look = limits.TAIL_LOOK_NS if self._watching and site.leases else limits.REPORT_EVERY_NS
        for lease in site.leases.values():
            job = self.jobs[lease.job]
            if lease.cancelled:
                cancels.append(lease.id)
                continue
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
