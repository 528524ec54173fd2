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
from hanse.ids import SiteId

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
    def each(self) -> float:
        """How much of each of these it has."""
        return self.part / self.slots


class _Rival(NamedTuple):
    """Another job, and how many slots it may have at each site, if there was room."""

    job: Job
    slots: Mapping[SiteId, int]

    def part(self, site: SiteId) -> float:
        """How much of what it has to do it does there."""
        every = sum(self.slots.values())
        return self.slots[site] / every if every else 1.0


def beside(
    job: Job, usable: Iterable[tuple[Site, int]], others: Sequence[Job]
) -> dict[SiteId, Beside]:
    """Where others have something that the job could have.

    Args:
        usable: slots that are free for it, by site.
        others: that run, as `going` has them.
    """
    usable = list(usable)
    assert job.place is not None
    rivals = [_Rival(other, {site.id: _slots(other, site) for site, _ in usable})
              for other in others]  # fmt: skip
    whole = sum(site.capacity.times(job.spec.needs) for site, _ in usable)
    found = {}
    for site, own in usable:
        here = site.capacity.times(job.spec.needs)
        there = {lease.job for lease in site.leases}
        those = [one for one in rivals if one.job.id in there or one.slots[site.id]]
        if here > own and those:
            # A job that is to be cheap does all at few sites, and others are done there earlier.
            alone = job.place.aims.objective == "cheapest"
            work = _work(job) * (1.0 if alone else here / whole)
            part = own + (here - own) / (1 + _taken(job, work, site, those))
            wait_ns = 0.0 if own else max(_turn_ns(one.job, site) for one in those) / 2
            found[site.id] = Beside(part, wait_ns, [one.job.spec.name for one in those])
    return found


def _taken(job: Job, work: float, site: Site, rivals: Sequence[_Rival]) -> float:
    """What those have of the site for each slot that the job has, until it has done that work
    there."""
    taken = 0.0
    for other, part in [(one.job, one.part(site.id)) for one in rivals]:
        ratio = other.spec.weight / job.spec.weight
        taken += min(ratio, part * work_left(other) / work if work else inf)
    return taken


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
