"""What a home does when slots are idle or missing: tails are cut, late items backed up, and room is
made for jobs that find all busy.

All of it is looked at when news comes, for the jobs that the news is about and a few others in
turn; see `limits` for how often the tail of a large job is.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from hanse import limits
from hanse.core.granting import Granting
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.place.rate import Rate
from hanse.core.place.tail import Helper, best_backup, cuts
from hanse.core.site import Site
from hanse.ids import JobId

_UNKNOWN = Rate()


class Helping(Granting):
    """How a home evens out what was granted."""

    # --- tails ----------------------------------------------------------------------------------
    def _look_at_tails(self) -> bool:
        """Whether leases were granted or taken back."""
        looked = self._tails
        if len(looked) > limits.TAILS_LOOKED:
            looked = self._some_tails()
        changed = False
        for job in list(looked.values()):
            if self._now_ns >= job.look_ns and self._watched(job):
                changed |= self._give_up(job) or self._help(job)
        return changed

    def _some_tails(self) -> OrderedDict[JobId, Job]:
        """Those that have moved, and those whose turn it is."""
        looked = OrderedDict((id, job) for id, job in self._moved.items() if id in self._tails)
        for _ in range(limits.TAILS_LOOKED):
            id, job = next(iter(self._tails.items()))
            self._tails.move_to_end(id)
            looked[id] = job
        return looked

    def _give_up(self, job: Job) -> bool:
        """Take back leases of sites that should have spoken: slots idle that can run them. A site
        that speaks after all keeps what nobody has begun again; its results are welcome anyway."""
        lost = [
            lease for lease in job.leases.values() if self.sites[lease.site].overdue(self._now_ns)
        ]
        for lease in lost:
            self._close(lease)
        return bool(lost)

    def _help(self, job: Job) -> bool:
        """Cut what ends late, so that those who idle end with the others; else back it up. Whether
        anything was granted."""
        assert job.shape is not None
        count = len(job.leases)
        if count > limits.LOOK_LEASES:
            job.look_ns = self._now_ns + count * limits.LOOK_LEASE_NS
        there = (site for site in job.shape.idle.values() if not site.silent(self._now_ns))
        idle = list(islice(there, count))
        if not idle:
            return False
        rates = {
            lease.site: self._rate(job, self.sites[lease.site]) for lease in job.leases.values()
        }
        helpers = [
            Helper(
                site.id, site.free.times(job.spec.needs), self._rate(job, site), 2 * site.trip_ns
            )
            for site in idle
        ]
        trips = {site: self.sites[site].trip_ns for site in rates}
        found = cuts(job.leases.values(), rates, helpers, self._now_ns, trips)
        for lease, stop in found:
            self._cut(lease, stop)
        if found or not job.seen:
            return False
        backups = job.backups
        for site in idle:
            self._back_up(job, site)
        return job.backups > backups

    def _back_up(self, job: Job, site: Site) -> None:
        mean = self._rate(job, site).mean_ns
        late = best_backup(job, site.id, job.rates.get(site.id, _UNKNOWN), mean, self._now_ns)
        if late is None or not site.free.fits(job.spec.needs):
            return
        if job.place is not None and not (job.place.allows(site.id) and self._pays(job, site)):
            return
        lease = self._grant(job, site, (late.begun, late.begun + 1))
        lease.backup_of = late.id
        job.backups += 1
        for shape in self._shapes:
            shape.note(site)

    # --- room -----------------------------------------------------------------------------------
    def _make_rooms(self) -> None:
        """Jobs that find all busy with others: at each site that spoke, the lease that would end
        last ends after its item."""
        spoke = list(self._dirty.values()) or list(
            islice(self._heard.values(), limits.TAILS_LOOKED)
        )
        for job in list(islice(self._roomless.values(), limits.TAILS_LOOKED)):
            self._roomless.move_to_end(job.id)
            if job.room_from not in self.leases:
                self._make_room(job, spoke)

    def _make_room(self, job: Job, sites: list[Site]) -> None:
        late: Lease | None = None
        late_ns = float(limits.TAIL_LOOK_NS)
        for site in sites:
            assert job.shape is not None
            if not site.capacity.fits(job.spec.needs) or not job.shape.suits(site):
                continue
            if job.place is not None and not job.place.allows(site.id):
                continue
            if site.free.fits_but_for_scripts(job.spec.needs):
                continue
            for lease in site.leases:
                if lease.cut_to is None and not lease.cancelled and lease.unbegun:
                    other = self.jobs[lease.job]
                    left = lease.unbegun * self._rate(other, site).mean_ns
                    if left > late_ns:
                        late, late_ns = lease, left
        if late is not None:
            self._cut(late, late.after(0))
            job.room_from = late.id
