"""Items that are late for the deadline of their job begin once more at a faster site.

How long an item takes is known only when it has ended. One that turns out long on a slow site may
not end before the deadline there, where a faster site would still make it, begun anew.
"""

from __future__ import annotations

from hanse.core.helping import Helping
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.place.work import Tail
from hanse.core.placement import Placement
from hanse.core.placing import takes
from hanse.core.site import Site

_GAIN = 0.06  # by so much the chance that it is late must be less elsewhere


class Rescuing(Helping):
    """How a home keeps deadlines that single items endanger."""

    def _rescue_all(self) -> None:
        for job in list(self._placed.values()):
            place = job.place
            assert place is not None
            if job.due_ns is None or job.state.ended:
                continue
            if place.looked_ns == self._now_ns or place.kept is not None:
                self._rescue(job, place, job.due_ns - self._now_ns)

    def _rescue(self, job: Job, place: Placement, left_ns: int) -> None:
        tail = place.work.tail()
        backed = {lease.backup_of for lease in job.leases.values()}
        kept = None
        for lease in list(job.leases.values()):
            if left_ns > 0 and lease.id not in backed and _may_be_backed(job, lease):
                if place.near is not None and not self._near_end(job, place.near, lease, left_ns):
                    continue  # how long items are is judged by all chunks together
                site = self._better(job, place, lease, tail, left_ns)
                if site is None:
                    continue
                if site.free.fits(job.spec.needs) and self._pays(job, site):
                    self._begin_again(job, lease, site)
                else:
                    kept = site.id
        if kept != place.kept:
            changed = [id for id in (kept, place.kept) if id is not None]
            place.kept = kept
            for id in changed:
                self._requoted(job, self.sites[id])

    def _better(
        self, job: Job, place: Placement, lease: Lease, tail: Tail, left_ns: int
    ) -> Site | None:
        """The site at which its item is most likely to be in time, if that is much likelier there
        than where it is."""
        speed = place.work.speed(lease.site)
        age = (self._now_ns - lease.begun_ns) * speed
        danger = tail.goes_on(age, age + left_ns * speed)
        if danger < _GAIN:
            return None
        best, least = None, danger - _GAIN
        for site in self.sites.values():
            if site.id == lease.site or site.id in place.barred or site.silent(self._now_ns):
                continue
            if not site.capacity.fits(job.spec.needs) or not takes(job, site):
                continue
            there = tail.goes_on(age, left_ns * place.work.speed(site.id))
            if there < least:
                best, least = site, there
        return best

    def _begin_again(self, job: Job, lease: Lease, site: Site) -> None:
        if lease.unbegun and lease.cut_to is None:
            self._cut(lease, lease.after(0))
        backup = self._grant(job, site, (lease.begun, lease.begun + 1))
        backup.backup_of = lease.id
        job.backups += 1
        for shape in self._shapes:
            shape.note(site)


def _may_be_backed(job: Job, lease: Lease) -> bool:
    return not (
        lease.cancelled
        or lease.queued
        or lease.backup_of is not None
        or not lease.holds(lease.begun)
        or lease.begun >= lease.stop
        or lease.begun in job.settled
        or lease.begun in job.linked  # what it waits for may be known to its own site alone
    )
