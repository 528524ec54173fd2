"""Why a job is where it is, in words and with numbers, from the same state that decisions use."""

from __future__ import annotations

from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.place.choose import refusal
from hanse.ids import JobId


def explain(home: Home, job_id: JobId, now_ns: int) -> list[str]:
    """What the job waits for: one line per reason, the most telling first."""
    job = home.jobs.get(job_id)
    if job is None:
        return ["The job is not known here any more."]
    if job.state.ended:
        return [f"The job is {job.state}."]
    lines = [
        f"{job.done:,} of {_size(job)} items are done, {len(job.failed):,} failed, "
        f"{job.leased:,} are leased, {len(job.ready):,} are ready, {len(job.waiting):,} wait for "
        "results of other items."
    ]
    for lease in job.leases.values():
        seconds = (now_ns - lease.begun_ns) / 1e9
        lines.append(
            f"{lease.site} runs items {lease.begun:,} to {lease.stop:,}; the first of them for "
            f"{seconds:.1f} s at least."
        )
    if job.ready:
        lines += _refusals(home, job, now_ns)
    if not job.sealed and not job.ready and not job.leases:
        lines.append("It waits for further inputs.")
    return lines


def _size(job: Job) -> str:
    if job.sealed:
        return f"{job.size:,}"
    return f"{job.spec.total:,}" if job.spec.total is not None else f"{job.size:,} or more"


def _refusals(home: Home, job: Job, now_ns: int) -> list[str]:
    if not home.sites:
        return ["No site takes part."]
    lines = []
    for site in home.sites.values():
        reason = refusal(job, site.capacity, site.free)
        if site.silent(now_ns):
            reason = f"it has been silent for {(now_ns - site.heard_ns) / 1e9:.0f} s"
        if reason is not None:
            lines.append(f"{site.id} gets no lease of it: {reason}.")
    return lines
