"""Which job a site gets a lease of: feasible, then ranked, then chosen.

The job that was granted the least work for its weight comes first (start-time fair queueing: Goyal,
Vin, Cheng 1996), ties by id. A refusal keeps its reason, for `explain`.
"""

from __future__ import annotations

from collections.abc import Iterable

from hanse.core.job import Job
from hanse.model.resources import Amount


def choose(jobs: Iterable[Job], free: Amount) -> Job | None:
    """The job that comes first among those with ready items that fit; None if none does."""
    best: Job | None = None
    for job in jobs:
        if (best is None or (job.vtime, job.id) < (best.vtime, best.id)) and free.fits(
            job.spec.needs
        ):
            best = job
    return best


def refusal(job: Job, capacity: Amount, free: Amount) -> str | None:
    """Why a site with this much does not get a lease of the job now, in words; None if it may."""
    never = capacity.lacks(job.spec.needs)
    if never:
        return "it can never run an item: " + ", ".join(never)
    now = free.lacks(job.spec.needs)
    if now:
        return "it is busy: " + ", ".join(now)
    if not job.ready:
        return "no item is ready"
    return None
