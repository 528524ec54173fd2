"""When a job ends, and how sure that is.

What is left is a sum of item times shared by slots. Its end is uncertain for three reasons, and
their variances add up: the items left differ, the mean they are taken to have was measured on some
items only, and at the end slots stand idle while the last items run out. An interval is given that
holds the true end in about four cases of five, as long as the items to come are like those that
were timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isqrt
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hanse import limits
from hanse.core.job import Job
from hanse.core.place.work import whole_of
from hanse.core.site import Site
from hanse.ids import SiteId

if TYPE_CHECKING:
    from hanse.core.granting import Granting

_QUANTILES = (3.08, 1.89, 1.64, 1.53, 1.48, 1.44, 1.41, 1.40, 1.38, 1.37)
_MANY = 1.29
"""Student's t, 80 % two-sided, by degrees of freedom: a spread from few batches is a guess too."""

_MARGIN = 1.1  # what the three reasons leave out: leases' own cost, slots that are not alike
_UNSEEN = 0.8  # fitted to lognormal items in simulation, as the tests have them
_PRIOR = 2.0  # batches' worth of belief that items differ as waiting times do
_EARLY = 20  # of the time until its deadline: a job may end by such a part before it
_ROUNDS = 8  # of a fixed point that is near after half of them

_SILENT_NS = 2 * limits.FLUSH_NS  # for so long a worker may run short items and not tell of them
_SLOTS_SUMMED = 4096  # the tail of more slots is as long but for the third digit


class Estimate(msgspec.Struct, frozen=True):
    """Times are on the clock of `now_ns`."""

    end_ns: int
    low_ns: int  # the end is between these in about 80 % of all cases
    high_ns: int
    items: int  # left, those that run included
    slots: float  # that share them, on average until then: what other jobs take is taken off
    mean_ns: int  # of one item
    deviation_ns: int


def unknown(job: Job, home: Granting) -> str | None:
    """Why the end cannot be estimated; None if it can."""
    return _too_early(job) or (None if _able(job, home) else "no site that can run it takes part")


def _too_early(job: Job) -> str | None:
    if job.state.ended:
        return f"the job is {job.state}"
    if not job.sealed and job.spec.total is None:
        return "further inputs may come"
    if not any(rate.known for rate in job.rates.values()):
        return "no item has been timed yet"
    return None


def estimate(job: Job, home: Granting, now_ns: int) -> Estimate | None:
    """The expected end of a job and its spread; None while `unknown` has a reason."""
    able = [] if _too_early(job) is not None else _able(job, home)
    if not able:
        return None
    share = _share(job, home)
    used, every = _used(job, able, share), _shared(able, share)
    found = _with(job, used, now_ns)
    place, due_ns = job.place, job.due_ns
    if place is None or place.plan is None or place.plan.hurry or due_ns is None:
        return found
    if place.aims.objective != "cheapest":
        return found
    cheapest = next(iter(place.plan.slots), None)
    alone = used if cheapest is None else _used(job, able, share, only=cheapest)
    return _by_deadline(found, _with(job, alone, now_ns), _with(job, every, now_ns), now_ns, due_ns)


def _by_deadline(
    found: Estimate, alone: Estimate, soonest: Estimate, now_ns: int, due_ns: int
) -> Estimate:
    """The cheapest site does it alone if it is in time; others are used as far as it is not."""
    early_ns = due_ns - max(0, due_ns - now_ns) // _EARLY
    return msgspec.structs.replace(
        found,
        end_ns=max(min(alone.end_ns, due_ns), soonest.end_ns),
        low_ns=max(min(alone.low_ns, early_ns), soonest.low_ns),
        high_ns=max(min(alone.high_ns, due_ns), soonest.high_ns),
    )


def _with(job: Job, sites: Sites, now_ns: int) -> Estimate:
    slots, power = sites
    variance, timed, freedom = _spread(job)
    ages = _ages(job, now_ns)
    mean = _with_running(slots / power, timed, ages, variance)
    items = _items(job)
    rests = [whole_of(age, mean, variance) - age for age in ages]
    slots = max(min(slots, float(items)), 1e-3)
    rest = (variance + 1) / 2 * mean  # of an item at any moment of its run
    first, second = _harmonics(slots)
    heavy = max(1.0, min(variance, 3.0))
    alone = max(0, items - len(rests))
    middle = (alone * mean + sum(rests)) / slots + rest * (first - 1)
    each = mean / slots
    square = (
        variance * each * each * alone
        + variance / timed * (items * each) * (items * each)
        + rest * rest * second * heavy * heavy
    )
    late = max(rests, default=0.0)
    if late > middle:  # one item holds up all
        middle, square = late, square + late * late
    reach = _MARGIN * _quantile(freedom) * isqrt(int(square)) / max(middle, 1.0)
    # Factors, for times err by more upwards than downwards, the more so the heavier their tail, and
    # the less of it has been seen: while many run for each that ended, the long ones are to come.
    below, above = _grown(reach), _grown(reach * heavy + _UNSEEN * len(ages) / timed)
    return Estimate(
        end_ns=now_ns + int(middle),
        low_ns=now_ns + int(middle / below),
        high_ns=now_ns + int(middle * above),
        items=items,
        slots=slots,
        mean_ns=int(mean),
        deviation_ns=isqrt(int(variance * mean * mean)),
    )


class Sites(NamedTuple):
    slots: float
    power: float  # items per nanosecond


class _Able(NamedTuple):
    """A site that the job may use: slots for it there, and how long one of its items takes."""

    site: SiteId
    slots: int
    mean_ns: float


def _able(job: Job, home: Granting) -> list[_Able]:
    pooled = next((rate.long for rate in job.rates.values() if rate.known), None)
    found = []
    for site in home.sites.values():
        count = site.capacity.times(job.spec.needs)
        rate = job.rates.get(site.id)
        spread = rate.long if rate is not None and rate.known else pooled
        if count and spread is not None and may_use(job, site):
            found.append(_Able(site.id, count, spread.mean_ns))
    return found


def _shared(able: Sequence[_Able], share: float) -> Sites:
    """The job's share of them."""
    slots = power = 0.0
    for each in able:
        slots += each.slots * share
        power += each.slots * (share / each.mean_ns)
    return Sites(slots, power)


def _used(job: Job, able: Sequence[_Able], share: float, only: SiteId | None = None) -> Sites:
    """The same of those that its plan uses now, or of one of these; of all if there are none."""
    used = able
    if job.place is not None:
        quota = job.place.quota
        used = [one._replace(slots=min(one.slots, quota.get(one.site, 0))) for one in able]
    if only is not None:
        used = [one for one in used if one.site == only]
    found = _shared(used, share)
    return found if found.slots else _shared(able, share)


def may_use(job: Job, site: Site) -> bool:
    """Whether its aims, its code and the site's owner let it run there, some time."""
    barred = job.place is not None and site.id in job.place.barred
    return not barred and site.may_run(job.spec)


def _share(job: Job, home: Granting) -> float:
    """The job's share of all that is done until it ends. Another job gets its part by weight, but
    no more than it has to do: whoever ends earlier leaves its slots. One that can run nowhere that
    this job may takes nothing from it."""
    work = work_left(job)
    sites = [site for site in home.sites.values() if may_use(job, site)]
    taken = 0.0
    for other in home.jobs.values():
        if other is not job and not other.state.ended and (other.ready or other.leases):
            if not any(may_use(other, site) for site in sites):
                continue
            part = work * other.spec.weight / job.spec.weight
            taken += min(part, work_left(other))
    return work / (work + taken)


def _items(job: Job) -> int:
    return max(1, job.remaining() + len(job.waiting))


def work_left(job: Job) -> float:
    """What is left of a job, in time of one slot; infinite if nothing of it was timed."""
    means = [rate.long.mean_ns for rate in job.rates.values() if rate.known]
    return _items(job) * sum(means) / len(means) if means else inf


def _spread(job: Job) -> tuple[float, float, float]:
    """Relative variance of one item, items that it and the mean rest on, degrees of freedom."""
    variance = items = freedom = 0.0
    for rate in job.rates.values():
        if rate.known:
            spread = rate.long
            variance += spread.relative_variance * spread.items
            items += spread.items
            freedom += max(0.0, spread.batches - 1)
    variance = (variance / items * freedom + _PRIOR) / (freedom + _PRIOR)
    return variance, items, freedom


def _ages(job: Job, now_ns: int) -> list[int]:
    """For how long the items that run have run, as far as that is known."""
    return [
        now_ns - lease.begun_ns
        for lease in job.leases.values()
        if not lease.cancelled and lease.backup_of is None and lease.begun < lease.stop
    ]


def _with_running(mean_ns: float, timed: float, ages: list[int], variance: float) -> float:
    """The mean with the items that run counted in: the short ones ended first, so that those which
    were timed are too short on the whole, the more so the fewer they are."""
    told = [age for age in ages if age > _SILENT_NS]
    mean = mean_ns
    for _ in range(_ROUNDS if told else 0):
        wholes = sum(whole_of(age, mean, variance) for age in told)
        mean = (timed * mean_ns + wholes) / (timed + len(told))
    return mean


def _harmonics(slots: float) -> tuple[float, float]:
    """Sums of 1/k and 1/k^2 over the slots: mean and variance of the longest of so many rests."""
    first = second = 0.0
    for k in range(1, min(max(1, int(slots)), _SLOTS_SUMMED) + 1):
        first += 1 / k
        second += 1 / (k * k)
    return first, second


def _grown(share: float) -> float:
    """As the exponential function, near enough and by multiplication alone."""
    return 1 + share + share * share / 2


def _quantile(freedom: float) -> float:
    if freedom > len(_QUANTILES):
        return _MANY
    return _QUANTILES[max(0, int(freedom) - 1)]
