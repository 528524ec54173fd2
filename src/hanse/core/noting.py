"""What sites note in their reports: segments, failures and ends of leases, and their receipt.

A note is taken once, whoever repeats it. It is acknowledged when the facts that came of it are
durable, and not before: so a home that dies is told again what it had not recorded.
"""

from __future__ import annotations

from hanse import limits
from hanse.core.events import AttemptFailed, Recorded, SegmentCommitted
from hanse.core.following import Following
from hanse.core.job import Job
from hanse.core.messages import EndNote, FailureNote, Report, SegmentNote
from hanse.core.site import Site
from hanse.ids import SiteId
from hanse.model.failure import Cause
from hanse.model.job import JobState

_RETRIED = frozenset({Cause.RAISED, Cause.TIMEOUT, Cause.MEMORY})


class Noting(Following):
    """What has become of leases and their items."""

    def _take_notes(self, site: Site, report: Report) -> None:
        fresh = max(0, site.notes_seen + 1 - report.first_note)
        for note in report.notes[fresh:]:
            if type(note) is SegmentNote:
                self._segment(site, note)
            elif type(note) is EndNote:
                self._lease_ended(site, note)
            elif type(note) is FailureNote:
                self._item_failed(site, note)
        site.notes_seen = max(site.notes_seen, report.first_note + len(report.notes) - 1)

    def _segment(self, site: Site, note: SegmentNote) -> None:
        job = self._running(note.job)
        if job is None or not 0 <= note.start < note.stop <= job.size:
            return
        lease = self.leases.get(note.lease)
        if lease is not None and (lease.site != site.id or lease.job != job.id):
            return
        self._learn(job, site, note.stop - note.start, note.busy_ns)
        if job.place is not None and job.place.near is not None:
            self._learn_chunk(job, job.place.near, site, note)
        parts = job.settled.gaps(note.start, min(note.stop, job.known_to(note.lease)))
        if note.folded and parts != [(note.start, note.stop)]:
            return
        for start, stop in parts:
            self._decide(SegmentCommitted(job.id, start, stop, note.lease))
        if parts:
            job.losses.pop(site.id, None)
            if lease is None:
                self._pay_late(job, site, note.lease, note.busy_ns)
            if lease is not None and lease.backup_of is not None:
                job.won += 1
            self._end_rivals(job, note.start, note.stop, note.lease)
            self._settled(job)

    def _item_failed(self, site: Site, note: FailureNote) -> None:
        job = self._running(note.job)
        if job is None or not 0 <= note.item < job.size or note.item in job.settled:
            return
        if note.lease in job.failed_under.get(note.item, ()):
            return  # an earlier run of this home counted it
        if note.item >= job.known_to(note.lease):
            return
        lease = self.leases.get(note.lease)
        if lease is not None and (lease.site != site.id or lease.job != job.id):
            return
        if note.cause is Cause.DEPENDENCY:
            self._take_back(job, note)
            return
        if note.busy_ns:
            self._learn(job, site, 1, note.busy_ns)
        job.losses.pop(site.id, None)  # a worker ran
        if note.cause is Cause.DIED:
            again = job.crashes.get(note.item, 0) + 1 < limits.MAX_CRASHES
        else:
            again = note.cause in _RETRIED and job.attempts.get(note.item, 0) < job.spec.retries
        if not again:
            self._fail(job, note.item, note.cause, note.lease)
            self._settled(job)
            return
        self._decide(AttemptFailed(job.id, note.item, note.cause, note.lease))
        self._take_back(job, note)

    def _take_back(self, job: Job, note: FailureNote) -> None:
        """The item has not ended, and its lease will not run it again."""
        lease = self.leases.get(note.lease)
        if lease is not None and lease.job == job.id:
            given_back = lease.given_back
            if given_back is None:
                lease.given_back = {note.item: None}
            else:
                given_back[note.item] = None
        if not job.held(note.item):
            self._make_ready(job, note.item, note.item + 1)
            self._refile(job)

    def _lease_ended(self, site: Site, note: EndNote) -> None:
        lease = self.leases.get(note.lease)
        if lease is None or lease.site != site.id:
            return
        job = self.jobs[lease.job]
        rate = job.rates.get(lease.site)
        if rate is not None and not note.lost:
            rate.observe_cost(note.wall_ns - note.busy_ns)
            if len(self.sites) > 1:
                job.pooled.observe_cost(note.wall_ns - note.busy_ns)
        if job.place is not None:
            job.place.purse.closed(lease.id, note.wall_ns, self._now_ns)
        self._close(lease)
        if len(site.rated) > limits.RATES_KEPT:
            self._forget_rates(site)
        if not note.lost:
            return
        job.losses[site.id] = job.losses.get(site.id, 0) + 1
        if not self._gave_up(job, site):
            return
        if len(self.sites) > 1:
            site.resting_until_ns = self._now_ns + limits.REST_NS  # others may do better
        if not job.state.ended and not any(
            self._may_still(job, each) for each in self.sites.values()
        ):
            self._release_failed(self._stop(job, JobState.FAILED, note.lost))

    def _may_still(self, job: Job, site: Site) -> bool:
        """Whether the site may run an item of the job, and has not given it up again and again."""
        return (
            not site.silent(self._now_ns)
            and site.capacity.fits(job.spec.needs)
            and site.may_run(job.spec)
            and not self._gave_up(job, site)
        )

    def _gave_up(self, job: Job, site: Site) -> bool:
        return job.losses.get(site.id, 0) >= limits.MAX_LOSSES

    # --- receipts --------------------------------------------------------------------------------
    def _note_recorded(self, site_id: SiteId) -> None:
        """What this report brought is acknowledged once all facts so far are durable."""
        site = self.sites[site_id]
        if self._position <= self._recorded:
            site.notes_durable = site.notes_seen
        elif site.notes_waiting < site.notes_seen:
            site.notes_waiting = site.notes_seen
            self._unrecorded.append((self._position, site, site.incarnation, site.notes_seen))

    def _take_recorded(self, event: Recorded) -> None:
        self._recorded = max(self._recorded, event.position)
        waiting = self._unrecorded
        while waiting and waiting[0][0] <= self._recorded:
            _, site, incarnation, notes = waiting.popleft()
            if incarnation == site.incarnation and notes > site.notes_durable:
                site.notes_durable = notes
                self._dirty[site.id] = site
