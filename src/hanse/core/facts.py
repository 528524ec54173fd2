"""Facts change jobs here and nowhere else: live decisions and recovery walk the same path."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from hanse.core.events import (
    AttemptFailed,
    Fact,
    ItemsFailed,
    JobEnded,
    JobForgotten,
    JobGrown,
    JobResumed,
    JobSealed,
    JobSpent,
    JobSubmitted,
    SegmentCommitted,
)
from hanse.core.job import ItemRef, Job
from hanse.ids import JobId


def apply(jobs: dict[JobId, Job], fact: Fact) -> list[Job]:
    """Bring the jobs to where they are once the fact holds; return those with new ready items."""
    match fact:
        case SegmentCommitted(job_id, start, stop):
            job = jobs[job_id]
            job.settle(start, stop)
            return _arrived(jobs, job, start, stop) if job.dependents else []
        case ItemsFailed(job_id, start, stop):
            jobs[job_id].settle(start, stop)
            jobs[job_id].failed.add(start, stop)
        case AttemptFailed(job_id, item, cause, lease):
            jobs[job_id].attempt_failed(item, cause, lease)
        case JobGrown(job_id, size, waits, since, data):
            still = {item: _open(jobs, refs) for item, refs in waits.items()}
            jobs[job_id].grow(
                size, {item: len(refs) for item, refs in still.items() if refs}, since, data
            )
            for item, refs in still.items():
                for other, needed in refs:
                    jobs[other].dependents.setdefault(needed, []).append((job_id, item))
        case JobSubmitted(job_id, spec, now_ns):
            jobs[job_id] = Job(job_id, spec, now_ns)
        case JobSealed(job_id, whole):
            jobs[job_id].sealed, jobs[job_id].whole = True, whole
        case JobResumed(job_id, spec, again, now_ns):
            jobs[job_id].resume(spec, again, now_ns)
        case JobSpent(job_id, sites, now_ns, moved, late_ns):
            jobs[job_id].paid, jobs[job_id].paid_ns = sites, now_ns
            jobs[job_id].moved, jobs[job_id].late_ns = moved, late_ns
        case JobEnded(job_id, state):
            jobs[job_id].end(state)
        case JobForgotten(job_id):
            del jobs[job_id]
    return []


def moved(fact: Fact, by_ns: int) -> Fact:
    """The fact on another clock, which is ahead by so much: a home's own begins anew with every
    boot, so what is recorded is told by the clock of the wall."""
    if isinstance(fact, JobSubmitted | JobResumed | JobSpent):
        return replace(fact, now_ns=fact.now_ns + by_ns)
    return fact


def _open(jobs: dict[JobId, Job], refs: Sequence[ItemRef]) -> list[ItemRef]:
    """Those of these items that are still to come. When a home decides, all are; in a record that
    is read back, other jobs may be further on, or gone: then whoever runs the item finds out."""
    return [ref for ref in refs if ref[0] in jobs and ref[1] not in jobs[ref[0]].settled]


def _arrived(jobs: dict[JobId, Job], job: Job, start: int, stop: int) -> list[Job]:
    changed: dict[JobId, Job] = {}
    for _item, waiting in job.released(start, stop):
        for other_id, item in waiting:
            other = jobs.get(other_id)
            if other is not None and not other.state.ended:
                other.arrived(item)
                changed[other_id] = other
    return list(changed.values())
