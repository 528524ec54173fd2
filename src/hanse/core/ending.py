"""How items and jobs end: what fails takes with it what needs it; the last item ends its job."""

from __future__ import annotations

from hanse.core.events import ItemsFailed, JobEnded, Shortfall
from hanse.core.job import ItemRef, Job
from hanse.core.rescuing import Rescuing
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.model.job import JobState

Lost = tuple[Job, int, int]  # items of a job that will have no result


class Ending(Rescuing):
    """Everything that comes to an end at a home."""

    def _running(self, job_id: JobId) -> Job | None:
        job = self.jobs.get(job_id)
        return None if job is None or job.state.ended else job

    def _fail(
        self,
        job: Job,
        item: int,
        cause: Cause,
        lease: LeaseId | None,
        needed: ItemRef | None = None,
    ) -> None:
        """The item failed for good, and with it what needs its result."""
        if job.state.ended or item in job.settled:
            return
        self._decide(ItemsFailed(job.id, item, item + 1, cause, lease, needed))
        self._end_rivals(job, item, item + 1, lease)
        self._release_failed([(job, item, item + 1)])
        if job.spec.fail_fast and cause is not Cause.CANCELLED:
            self._end(job, JobState.FAILED)

    def _release_failed(self, queue: list[Lost]) -> None:
        """What waits for these items fails, and what waits for that, to the end of the chain."""
        while queue:
            source, low, high = queue.pop()
            for needed, waiting in source.released(low, high):
                for other_id, item in waiting:
                    other = self._running(other_id)
                    if other is None or item in other.settled:
                        continue
                    self._decide(
                        ItemsFailed(
                            other_id, item, item + 1, Cause.DEPENDENCY, None, (source.id, needed)
                        )
                    )
                    queue.append((other, item, item + 1))
                    if other.spec.fail_fast:
                        queue += self._stop(other, JobState.FAILED)
                    else:
                        self._settled(other)

    def _settled(self, job: Job) -> None:
        """Something was settled or added: see whether that was the last."""
        self._refile(job)
        if job.complete and not job.state.ended:
            self._end(job, JobState.DONE if job.whole else JobState.FAILED)

    def _end(self, job: Job, state: JobState) -> None:
        if not job.state.ended:
            self._release_failed(self._stop(job, state))

    def _stop(
        self, job: Job, state: JobState, because: str = "", short: Shortfall | None = None
    ) -> list[Lost]:
        """End the job by itself; what it leaves without a result is returned."""
        if job.place is not None and (
            job.spec.durable or job.due_ns is not None or job.place.purse.total()
        ):
            self._account(job)
        self._decide(JobEnded(job.id, state, because, short))
        self._refile(job)
        for lease in job.leases.values():
            self._cancel(lease)
        return [(job, start, stop) for start, stop in job.settled.gaps(0, job.size)]

    def _drop(self) -> None:
        """Nobody wants these items, and no lease holds them."""
        dropped, self._dropped = self._dropped, []
        lost: list[Lost] = []
        for job, start, stop in dropped:
            for a, b in [] if job.state.ended else job.settled.gaps(start, stop):
                self._decide(ItemsFailed(job.id, a, b, Cause.CANCELLED))
                lost.append((job, a, b))
        self._release_failed(list(lost))
        for job, _, _ in lost:
            self._settled(job)

    def _end_rivals(self, job: Job, start: int, stop: int, by: LeaseId | None) -> None:
        """These items are settled now, by one lease: see to the others that hold some of them.

        One that has no open item left is cancelled. One that its site may not have seen is taken
        back: its grant would be repeated, and with it the items that are settled.
        """
        for lease in job.leases.over(start, stop):
            if lease.id == by and stop >= lease.stop:
                continue  # it ends by itself
            if not job.open_under(lease):
                self._cancel(lease)
            elif lease.granted_seq > self.sites[lease.site].orders_seen:
                self._close(lease)
