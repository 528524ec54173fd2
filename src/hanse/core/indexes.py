"""What a home knows, filed so that no event has to look at every job, site or lease.

Each index agrees with what it is an index of after every event; `invariants.check` asserts that.
Leases are filed by id, by job and by site; jobs by the shape of what they need, by whether a lease
of them can be granted, and by whether only a tail of them is left; sites by the shapes that fit
into what they have free, and by how long they have been silent.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from hanse import limits
from hanse.core.events import Fact, JobForgotten, JobResumed, JobSubmitted
from hanse.core.facts import apply
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.place.near import Near
from hanse.core.place.rate import LONG_AGES, Rate
from hanse.core.place.window import wanted
from hanse.core.shapes import Key, Shape, Shapes
from hanse.core.site import Site
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.job import JobState
from hanse.model.resources import Amount

Fresh = tuple[Shape, dict[str, None]]  # with the functions of those jobs, by name

_UNKNOWN = Rate()
_RUNNING = JobState.RUNNING


class Indexes:
    """Jobs, sites and leases, and every way in which they are looked up."""

    def __init__(self, first_lease: int = 1) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.sites: dict[SiteId, Site] = {}
        self.leases: dict[LeaseId, Lease] = {}
        self._first_lease = LeaseId(first_lease)  # those below are of earlier runs of the home
        self._next_lease = first_lease
        self._now_ns = 0  # of the event that is handled
        self._shapes = Shapes()
        self._runnable: dict[Key, Shape] = {}  # shapes of runnable jobs
        self._roomless: OrderedDict[JobId, Job] = OrderedDict()  # runnable, and without a lease
        self._tails: OrderedDict[JobId, Job] = OrderedDict()  # nothing is ready, something leased
        self._heard: OrderedDict[SiteId, Site] = (
            OrderedDict()
        )  # not silent; first heard longest ago
        self._gone: OrderedDict[SiteId, int] = OrderedDict()  # withdrawn, and when; longest first
        self._awaited: OrderedDict[SiteId, None] = OrderedDict()  # so long ago, and jobs are for it
        self._forgets_ns = 0  # when it is looked next who can be forgotten
        self._restricted: dict[SiteId, Site] = {}  # let some functions through only
        self._placed: dict[JobId, Job] = {}  # running jobs with aims
        self._vtime = 0  # of the job that was granted a lease last; never goes back
        self._facts: list[Fact] = []
        self._position = 0  # facts of durable jobs that were decided
        self._recorded = 0  # of these, how many are known to be durable
        self._unrecorded: deque[tuple[int, Site, int, int]] = deque()  # position, whose, notes
        # Of this event alone; empty between events.
        self._dirty: dict[SiteId, Site] = {}  # sites that need orders after this event
        self._roomy: dict[SiteId, Site] = {}  # sites whose free resources have changed
        self._moved: dict[JobId, Job] = {}  # jobs of which something was leased, or came along
        self._fresh: dict[Key, Fresh] = {}  # shapes of which a job has become runnable
        self._strays: dict[SiteId, dict[LeaseId, None]] = {}  # unknown leases to be cancelled
        self._dropped: list[tuple[Job, int, int]] = []  # withdrawn, and not settled yet

    # --- jobs -----------------------------------------------------------------------------------
    def _decide(self, fact: Fact) -> None:
        self._facts.append(fact)
        kind = type(fact)
        if kind is JobSubmitted:
            durable = fact.spec.durable  # type: ignore[union-attr]
        else:
            durable = kind is not JobForgotten and self.jobs[fact.job].spec.durable
        self._position += durable
        if kind is JobForgotten:
            for index in (self._tails, self._roomless, self._moved):
                index.pop(fact.job, None)
            self._shapes.leave(self.jobs[fact.job])
        for job in apply(self.jobs, fact):
            self._refile(job)
        if kind is JobSubmitted or kind is JobResumed:
            self._join(self.jobs[fact.job], self.sites.values())

    def _join(self, job: Job, sites: Iterable[Site]) -> None:
        self._shapes.join(job, sites)
        if job.place is not None:
            self._placed[job.id] = job

    def _refile(self, job: Job) -> None:
        """Something has changed on which it depends whether the job is runnable, or a tail."""
        shape, id = job.shape, job.id
        assert shape is not None
        self._moved[id] = job
        if job.place is not None and job.place.near is not None:
            self._chunks_turned(job, job.place.near)
        runnable = bool(job.ready) and job.state is _RUNNING and not job.withheld
        if runnable is not (id in shape.runnable):
            if runnable:
                job.vtime = max(job.vtime, self._vtime)  # sleep saves up no claim on the past
                job.hungry_ns = self._now_ns
                shape.wake(job)
                self._runnable[shape.key] = shape
                self._freshen(job)
            else:
                shape.sleep(job)
                self._unreserve(job)
                if not shape.runnable:
                    del self._runnable[shape.key]

    def _chunks_turned(self, job: Job, near: Near) -> None:
        """Of some chunk nothing is ready any more, or something again: that is for other sites."""
        shape = job.shape
        assert shape is not None
        if not near.ready.turned:
            return
        near.ready.turned = False
        for site in self.sites.values():
            if not site.silent(self._now_ns):
                shape.note(site)
        if job.id in shape.runnable:
            self._freshen(job)

    def _freshen(self, job: Job) -> None:
        """Sites that idle may be able to run it since now."""
        shape = job.shape
        assert shape is not None
        _, functions = self._fresh.setdefault(shape.key, (shape, {}))
        functions[job.spec.function] = None

    def _file_moved(self) -> None:
        """File the jobs that this event has changed by what is left of them."""
        for id, job in self._moved.items():
            running, leased = job.state is _RUNNING, bool(job.leases)
            roomless = running and not leased and bool(job.ready) and not job.withheld
            if roomless is not (id in self._roomless):
                _file(self._roomless, job, roomless)
            tail = running and leased and not job.ready
            if tail is not (id in self._tails):
                _file(self._tails, job, tail)

    def _unreserve(self, job: Job) -> None:
        if job.reserved is not None:
            site = self.sites[job.reserved]
            site.reserved = job.reserved = None
            self._roomy[site.id] = site

    # --- sites ----------------------------------------------------------------------------------
    def _new_site(self, id: SiteId) -> Site:
        site = self.sites[id] = Site(id)
        for shape in self._shapes:
            shape.meet(site)
        return site

    def _forget_gone(self) -> None:
        """Sites that left long ago, or too many: nothing is held of them. Those that a job is for
        are known for longer, as many of these; and one whose last notes are not recorded yet, as
        those are acknowledged to it."""
        due = self._now_ns >= self._forgets_ns
        if not due and len(self._gone) <= limits.SITES_GONE:
            return
        names = {job.spec.requires.site for job in self.jobs.values() if not job.state.ended}
        for id, since_ns in list(self._gone.items()):
            young = self._now_ns - since_ns < limits.SITE_KEPT_NS
            if young and len(self._gone) <= limits.SITES_GONE:
                break
            site = self.sites[id]
            if site.notes_durable == site.notes_seen:
                self._forget_or_await(site, names)
        if due:
            self._forgets_ns = self._now_ns + limits.SITES_GONE_LOOK_NS
            for id in list(self._awaited):
                self._forget_or_await(self.sites[id], names)
        while len(self._awaited) > limits.SITES_GONE:
            self._forget_site(self.sites[next(iter(self._awaited))])

    def _forget_or_await(self, site: Site, names: set[str]) -> None:
        """`names` are those of sites that jobs are for."""
        if not any(map(site.goes_by, filter(None, names))):
            self._forget_site(site)
        elif self._gone.pop(site.id, None) is not None:
            self._awaited[site.id] = None

    def _unfile_gone(self, id: SiteId) -> None:
        self._gone.pop(id, None)
        self._awaited.pop(id, None)

    def _forget_site(self, site: Site) -> None:
        """What was spent there, and how fast it was by what their plans know, jobs keep."""
        assert not site.leases
        assert site.capacity == Amount()
        for job in self.jobs.values():
            job.rates.pop(site.id, None)  # it counts for nothing there, as it has no slots
            job.losses.pop(site.id, None)
            if job.place is not None and job.place.kept == site.id:
                job.place.kept = None
        for shape in self._shapes:
            shape.part(site)
        self._restricted.pop(site.id, None)
        self._unfile_gone(site.id)
        del self.sites[site.id]

    def _set_room(self, site: Site, capacity: Amount, free: Amount) -> None:
        """What the site has, and what of it is free for further grants."""
        if capacity != site.capacity:
            self._shapes.resized(site, capacity)
            site.capacity = capacity
            for job in self.jobs.values():  # seldom: a site comes, goes, or grows
                if site.id in job.rates:
                    self._count(job, site)
                if job.place is not None:
                    job.place.look_ns = 0
        else:
            capacity = site.capacity  # one object is enough
        site.free = capacity if free == capacity else free
        self._roomy[site.id] = site

    # --- rates ----------------------------------------------------------------------------------
    def _learn(self, job: Job, site: Site, items: int, busy_ns: int) -> None:
        rate = job.rates.get(site.id)
        fresh = rate is None
        if rate is None:
            rate = job.rates[site.id] = Rate()
        rate.observe(items, busy_ns)
        if job.place is not None:
            job.place.work.observe(site.id, items, busy_ns)
        if len(self.sites) > 1:
            job.pooled.observe(items, busy_ns)
        job.seen += items
        if fresh or not rate.slots:
            self._count(job, site)
            if fresh:
                site.rated.append(job.id)
                self._forget_rates(site)
        else:
            power = rate.slots * (LONG_AGES // max(1, int(rate.mean_ns)))
            job.power += power - rate.power
            rate.power = power

    def _forget_rates(self, site: Site) -> None:
        """Of the jobs that it ran, a site is known to have its own pace at the last few only."""
        while len(site.rated) > limits.RATES_KEPT + len(site.leases):
            job = self.jobs.get(site.rated.pop(0))
            if job is not None and (rate := job.rates.pop(site.id, None)) is not None:
                job.slots -= rate.slots
                job.power -= rate.power

    def _count(self, job: Job, site: Site) -> None:
        """Count what the site can do for the job anew."""
        rate = job.rates[site.id]
        job.slots -= rate.slots
        job.power -= rate.power
        rate.slots = site.capacity.times(job.spec.needs)
        rate.power = rate.slots * (LONG_AGES // max(1, int(rate.mean_ns)))
        job.slots += rate.slots
        job.power += rate.power

    def _rate(self, job: Job, site: Site) -> Rate:
        """What is known of the job on the site, or else on all sites."""
        rate = job.rates.get(site.id)
        if rate is not None and rate.known:
            return rate
        if job.pooled.known:
            return job.pooled
        return next((r for r in job.rates.values() if r.known), _UNKNOWN)

    def wanted(self, id: JobId) -> int:
        """How many items of a job it takes to keep all slots busy; 0 while nothing is known."""
        job = self.jobs.get(id)
        if job is None or job.shape is None or not job.seen:
            return 0
        rate = next((r for r in (job.pooled, *job.rates.values()) if r.known), None)
        return 0 if rate is None else wanted(job.shape.slots, rate)

    def _power(self, job: Job, like: Rate) -> tuple[int, float]:
        """Slots that may run the job, and items per nanosecond of all of them together; those that
        never ran it are taken to be like this one."""
        if job.place is not None and job.place.slots:
            return job.place.slots, job.place.power
        assert job.shape is not None
        slots = job.shape.slots
        power = job.power / LONG_AGES
        if slots > job.slots:
            power += (slots - job.slots) / like.mean_ns
        return slots, power

    # --- leases ---------------------------------------------------------------------------------
    def _hold(self, job: Job, site: Site, lease: Lease) -> None:
        self.leases[lease.id] = lease
        job.leases.add(lease)
        site.leases.append(lease)
        job.leased += lease.stop - lease.begun
        if job.place is not None:
            self._pay_granted(job, site, lease)
        self._refile(job)

    def _close(self, lease: Lease) -> None:
        """The lease is over: what it did not settle is ready again."""
        del self.leases[lease.id]
        self.sites[lease.site].leases.remove(lease)
        job = self.jobs[lease.job]
        job.leases.remove(lease)
        job.leased -= lease.stop - lease.begun
        if job.place is not None:
            self._pay_closed(job, lease)
        if job.backups:
            for other in job.leases.over(lease.start, lease.stop + 1):
                if other.backup_of == lease.id:
                    other.backup_of = None  # it is the item's only lease now
        self._moved[job.id] = job
        if not job.state.ended:
            self._return(job, lease.start, lease.stop)
        else:
            self._forget_if_idle(job)

    def _pay_granted(self, job: Job, site: Site, lease: Lease) -> None:
        raise NotImplementedError  # see placing.py

    def _pay_closed(self, job: Job, lease: Lease) -> None:
        raise NotImplementedError

    def _forget_if_idle(self, job: Job) -> None:
        """A job is kept until nobody asks about it and no site runs anything of it."""
        if job.forgotten and not job.leases:
            self._decide(JobForgotten(job.id))

    def _return(self, job: Job, start: int, stop: int) -> None:
        for a, b in job.loose(start, stop):
            self._make_ready(job, a, b)
        self._refile(job)

    def _make_ready(self, job: Job, start: int, stop: int) -> None:
        """No lease holds these items any more."""
        if not job.withdrawn:
            job.give_back(start, stop)
            return
        self._dropped += [(job, a, b) for a, b in job.withdrawn.within(start, stop)]
        for a, b in job.withdrawn.gaps(start, stop):
            job.give_back(a, b)

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

    # --- time -----------------------------------------------------------------------------------
    def _silence_expires_ns(self) -> int | None:
        """When the site that has been silent for longest loses its leases."""
        site = next(iter(self._heard.values()), None)
        return None if site is None else site.heard_ns + limits.LEASE_TTL_NS


def _file(index: OrderedDict[JobId, Job], job: Job, belongs: bool) -> None:
    if belongs:
        index[job.id] = job
    else:
        del index[job.id]
