"""What a site shows in its reports of the leases that it runs, and how far away it is."""

from __future__ import annotations

from hanse.core.ending import Ending
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.messages import Report, Running
from hanse.core.place.length import longest_ns
from hanse.core.site import Site
from hanse.model.ranges import Range
from hanse.model.resources import Amount


class Following(Ending):
    """Leases as their sites tell of them."""

    def _follow_running(self, site: Site, report: Report) -> None:
        shown = set()
        site.waits = {running.lease: running.waits for running in report.running if running.waits}
        for running in report.running:
            shown.add(running.lease)
            lease = self.leases.get(running.lease)
            if lease is None or lease.site != site.id:
                lease = self._adopt(site, running)
                if lease is None:
                    continue
            self._follow_lease(site, lease, running)
        for lease in list(site.leases):
            if lease.id not in shown and lease.granted_seq <= report.orders_seen:
                self._close(lease)  # the site knows nothing of it: it must have restarted

    def _follow_lease(self, site: Site, lease: Lease, running: Running) -> None:
        job = self.jobs[lease.job]
        self._moved[job.id] = job
        if lease.queued and not running.queued and lease.granted_seq <= site.orders_seen:
            lease.queued, lease.begun_ns = False, self._now_ns
            if job.place is not None:
                job.place.purse.began(lease.id, self._now_ns)
        begun = max(lease.start, min(running.begun, lease.stop))
        if begun != lease.begun:  # earlier than before: its worker died with what it had not told
            job.leased -= begun - lease.begun
            lease.begun, lease.begun_ns = begun, self._now_ns
        if running.stop < lease.stop:
            self._shorten(lease, running.stop)
        elif lease.cut_to is not None and lease.after(0) >= lease.stop:
            lease.cut_to = None  # too late: its last item has begun
        if lease.cut_to is None and not lease.cancelled:
            self._trim(job, site, lease)

    def _trim(self, job: Job, site: Site, lease: Lease) -> None:
        """Its items take far longer than was thought: bring it back to the longest lease."""
        mean = self._rate(job, site).mean_ns
        most_ns = longest_ns(self._rate(job, site))
        if lease.unbegun * mean > 2 * most_ns:
            self._cut(lease, lease.after(int(most_ns / mean)))

    def _adopt(self, site: Site, running: Running) -> Lease | None:
        """Take back a lease that expired here, or that an earlier run of this home granted."""
        job = self._running(running.job)
        span = None if job is None else _adoptable(job, running)
        if (
            job is None
            or span is None
            or running.lease in self.leases
            or not 1 <= running.lease < self._next_lease  # no home has granted it
            or running.stop > job.known_to(running.lease)
        ):
            self._strays.setdefault(site.id, {})[running.lease] = None
            return None
        job.adopt(*span)
        lease = Lease(running.lease, job.id, site.id, span, self._now_ns)
        lease.begun, lease.queued = running.begun, running.queued
        lease.granted_seq = site.orders_seen
        self._hold(job, site, lease)
        return lease

    def _take_free(self, site: Site, report: Report) -> None:
        free = report.free if self._now_ns >= site.resting_until_ns else Amount()
        for lease in site.leases:
            if lease.granted_seq > report.orders_seen:
                free = free.minus(self.jobs[lease.job].spec.needs)
        self._set_room(site, report.capacity, free)

    def _time_trip(self, site: Site, report: Report) -> None:
        """How long orders and the answer to them are on their way; seen where none were under way
        that the report does not know of."""
        if report.orders_seen == site.orders_seq:
            site.every_ns = site.look_ns
        if site.timed_seq and report.orders_seen >= site.timed_seq:
            if report.orders_seen == site.timed_seq and report.orders_age_ns >= 0:
                trip_ns = max(0, self._now_ns - site.timed_ns - report.orders_age_ns)
                site.trip_ns += (trip_ns - site.trip_ns) // (2 if site.trip_ns else 1)
            site.timed_seq = 0


def _adoptable(job: Job, running: Running) -> Range | None:
    """The part of the lease that may be taken back: none of its open items is anywhere else.

    What it has finished and not reported yet is taken back too, if it can be.
    """
    if not 0 <= running.start <= running.begun <= running.stop <= job.size:
        return None
    for start in (running.start, running.begun):
        rest = job.settled.gaps(start, running.stop)
        if (rest or start == running.stop) and all(job.free(a, b) for a, b in rest):
            return start, running.stop
    return None
