"""A job's account: the same state that decisions use, as numbers."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from hanse.core.deadlines import late
from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.place.estimate import Estimate, estimate
from hanse.core.reckoning import expected
from hanse.core.why import nowhere, refusals
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.account import Account, SiteAccount, settled
from hanse.model.aims import NANO


def account(home: Home, job_id: JobId, now_ns: int) -> Account | None:
    """Of a job that is known here; None if it is not, or has ended and nothing was counted."""
    job = home.jobs.get(job_id)
    if job is None:
        return None
    if job.state.ended:
        return settled(job.paid, job.moved, job.late_ns)
    found = estimate(job, home, now_ns)
    moments = (None, None, None)
    if found is not None:
        moments = tuple(  # type: ignore[assignment]
            (ns - now_ns) / 1e9 for ns in (found.end_ns, found.low_ns, found.high_ns)
        )
    told = Account(
        spent=sum(spent_of(job, now_ns).values()) / NANO, sites=_sites(home, job, now_ns),
        end_s=moments[0], end_low_s=moments[1], end_high_s=moments[2],
        nowhere=nowhere(home, job, now_ns),
    )  # fmt: skip
    return told if job.place is None else _with_aims(told, home, job, found, now_ns)


def spent_of(job: Job, now_ns: int) -> dict[SiteId, int]:
    """In nano, by site."""
    return dict(job.paid if job.place is None else job.place.purse.by_site(now_ns))


def moved_of(job: Job) -> dict[SiteId, tuple[int, int]]:
    """Bytes that came from other regions, and nano for them, by site."""
    return dict(job.moved if job.place is None else job.place.moved)


def _sites(home: Home, job: Job, now_ns: int) -> list[SiteAccount]:
    spent, why = spent_of(job, now_ns), refusals(home, job, now_ns)
    moved = moved_of(job)
    names = dict.fromkeys([*home.sites, *spent])
    leases = Counter(lease.site for lease in job.leases.values())
    return [
        SiteAccount(
            site=name, spent=spent.get(name, 0) / NANO, refused=why.get(name, ""),
            leases=leases[name], moved_bytes=moved.get(name, (0, 0))[0],
            moved_cost=moved.get(name, (0, 0))[1] / NANO,
        )
        for name in names
    ]  # fmt: skip


def _with_aims(told: Account, home: Home, job: Job, end: Estimate | None, now_ns: int) -> Account:
    place = job.place
    assert place is not None
    aims, plan = place.aims, place.plan
    if aims.budget_nano is not None:
        told = replace(told, budget=aims.budget_nano / NANO)
    if job.due_ns is not None:
        told = replace(told, deadline_s=(job.due_ns - now_ns) / 1e9)
    found, more = expected(home, job, now_ns)
    by_ns, high_ns = late(job, end, found, now_ns)
    told = replace(told, late_s=by_ns / SECOND, late_high_s=high_ns / SECOND)
    if plan is None or found is None or not (found.timed and found.cost):
        return told
    by_site = found.by_site()
    sites = [replace(site, expected=by_site.pop(site.site, 0.0) / NANO) for site in told.sites]
    sites += [SiteAccount(site=site, expected=nano / NANO) for site, nano in by_site.items()]
    return replace(
        told, sites=sites, expected=found.cost / NANO, expected_high=found.cost_high / NANO,
        hurry=plan.hurry, sooner=None if more is None else more / NANO,
    )  # fmt: skip
