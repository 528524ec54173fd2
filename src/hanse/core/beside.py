"""What a job that begins now gets of sites where others run: what is free at once, and of the rest
its part by weight, as leases are granted. Deadlines give nobody more. Whoever has less to do than
its part leaves the rest of that, so the part is that of the mean over the time of the job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf
from typing import NamedTuple

from hanse import limits
from hanse.core.job import Job
from hanse.core.place.estimate import may_use, work_left
from hanse.core.place.plan import ALL
from hanse.core.site import Site
from hanse.ids import JobId, SiteId

_EXACT = 1e-9


class Beside(NamedTuple):
    """Of one site.

    Attributes:
        part: slots, on the mean.
        wait_ns: until it gets the first of them.
        rivals: the names of those that have the others.
    """

    part: float
    wait_ns: float
    rivals: list[str]

    @property
    def slots(self) -> int:
        """In whole ones, of which none may be there all the time."""
        return max(1, ceil(self.part - _EXACT))

    @property
    def whole(self) -> float:
        """How much of each of these it has."""
        return self.part / self.slots


def beside(
    job: Job, usable: Iterable[tuple[Site, int]], others: Sequence[Job]
) -> dict[SiteId, Beside]:
    """Where others have something that the job could have.

    Args:
        usable: slots that are free for it, by site.
        others: that run, as `going` has them.
    """
    usable = list(usable)
    sites = [site for site, _ in usable]
    spread = {other.id: sum(_slots(other, site) for site in sites) for other in others}
    whole = sum(site.capacity.times(job.spec.needs) for site in sites)
    found = {site.id: _beside(job, site, own, others, spread, whole) for site, own in usable}
    return {site: one for site, one in found.items() if one is not None}


def _beside(
    job: Job, site: Site, own: int, others: Sequence[Job], spread: Mapping[JobId, int], whole: int
) -> Beside | None:
    """`spread`: the slots that others may have at all sites; `whole`: this one."""
    contested = site.capacity.times(job.spec.needs) - own
    if contested <= 0:
        return None
    there = {lease.job for lease in site.leases}
    rivals = [one for one in others if one.id in there or _slots(one, site)]
    if not rivals:
        return None
    assert job.place is not None
    here = site.capacity.times(job.spec.needs)
    # A job that is to be cheap does all at few sites, and others are done there earlier.
    alone = job.place.aims.objective == "cheapest"
    work, taken = _work(job) * (1.0 if alone else here / whole), 0.0
    for other in rivals:
        ratio = other.spec.weight / job.spec.weight
        part = _slots(other, site) / spread[other.id] if spread[other.id] else 1.0
        taken += min(ratio, part * work_left(other) / work if work else inf)
    wait_ns = 0.0 if own else max(_turn_ns(other, site) for other in rivals) / 2
    names = [other.spec.name for other in rivals]
    return Beside(own + contested / (1 + taken), wait_ns, names)


def going(jobs: Iterable[Job], but: Job | None) -> list[Job]:
    """Those that have leases, or wait for some, without the one whose place another would take."""
    return [job for job in jobs if job is not but and not job.state.ended
            and (job.leases or (job.ready and not job.withheld))]  # fmt: skip


def _slots(other: Job, site: Site) -> int:
    """How many it may have there, if there was room."""
    quota = ALL if other.place is None else other.place.quota.get(site.id, 0)
    if not quota or not may_use(other, site):
        return 0
    return min(quota, site.capacity.times(other.spec.needs))


def _work(job: Job) -> float:
    """What is to be done of a job that is only imagined, in time of one slot; 0: not known."""
    assert job.place is not None
    return job.place.work.moments()[0] * job.remaining()


def _turn_ns(other: Job, site: Site) -> float:
    """How long one of its leases there lasts."""
    rate = other.rates.get(site.id)
    return max(limits.LEASE_MAX_NS, rate.mean_ns if rate is not None and rate.known else 0.0)
