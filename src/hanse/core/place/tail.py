"""When slots are idle and nothing is ready: cut the tail, or back up a late item.

Cutting moves items that nobody has begun, so no work is done twice. Only when a single long item is
left is it worth starting it once more elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isqrt
from typing import NamedTuple

from hanse import limits
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.place.rate import Rate
from hanse.ids import SiteId


class Helper(NamedTuple):
    """A site with idle slots. What it is granted is back after `away_ns` and the items' time."""

    site: SiteId
    slots: int
    rate: Rate
    away_ns: int = 0


class _Late(NamedTuple):
    """A lease that could be cut. Times are from now on."""

    end_ns: float
    lease: Lease
    left_ns: float  # of the item that runs
    mean_ns: float


def current_left_ns(lease: Lease, mean_ns: float, now_ns: int) -> float:
    """How long the item that runs now will still take: to its mean, then as long again as it has
    taken, which is right for heavy tails and harmless for others."""
    if lease.queued:
        return 0.0
    age = now_ns - lease.begun_ns
    return max(mean_ns - age, 0) if age < mean_ns else float(age)


def cuts(
    leases: Iterable[Lease], rates: Mapping[SiteId, Rate], helpers: Sequence[Helper], now_ns: int,
    trips: Mapping[SiteId, int] = {},
) -> list[tuple[Lease, int]]:  # fmt: skip
    """The leases to cut, and where, so that their sites and the helpers all end together.

    `trips`: how long it takes until what is cut off is back, by sites.

    As water fills a basin: what ends after the common end flows to the helpers, and the common end
    is where that which has flowed is done too.
    """
    late = _late(leases, rates, now_ns)
    if not late:
        return []
    end_ns, least_ns = _common_end(late, helpers)
    found = []
    for _, lease, left_ns, mean_ns in late:
        unbegun = lease.unbegun
        keep = min(max(0, int((end_ns - left_ns) / mean_ns)), unbegun)
        after = max(left_ns + keep * mean_ns, end_ns, least_ns + trips.get(lease.site, 0))
        if keep < unbegun and left_ns + unbegun * mean_ns - after >= limits.TAIL_MIN_GAIN_NS:
            found.append((lease, lease.after(keep)))
    return found


def _late(leases: Iterable[Lease], rates: Mapping[SiteId, Rate], now_ns: int) -> list[_Late]:
    """What has items that are not begun, the last to end first."""
    late = []
    for lease in leases:
        unbegun = lease.unbegun
        if unbegun and lease.cut_to is None and not lease.cancelled:
            mean = rates[lease.site].mean_ns
            left = current_left_ns(lease, mean, now_ns)
            late.append(_Late(left + unbegun * mean, lease, left, mean))
    late.sort(key=lambda one: (-one.end_ns, one.lease.id))
    return late


def _common_end(late: Sequence[_Late], helpers: Sequence[Helper]) -> tuple[float, float]:
    """When all end, and when a helper has ended one item; both from now on."""
    end_ns = least_ns = late[0].end_ns
    for _ in range(3):  # a helper that would only begin after that is none
        power = work = 0.0
        least_ns = late[0].end_ns
        for helper in helpers:
            mean = helper.rate.mean_ns if helper.rate.known else late[0].mean_ns
            begins_ns = helper.rate.cost_ns + helper.away_ns
            if begins_ns < end_ns:
                power += helper.slots / mean
                work += begins_ns * helper.slots / mean
                least_ns = min(least_ns, begins_ns + mean)
        before, end_ns = end_ns, late[0].end_ns
        for count, one in enumerate(late):
            if count and one.end_ns <= end_ns:
                break
            power += 1 / one.mean_ns
            work += one.end_ns / one.mean_ns
            end_ns = work / power
        if end_ns >= before:
            break
    return end_ns, least_ns


def best_backup(job: Job, site: SiteId, helper: Rate, mean_ns: float, now_ns: int) -> Lease | None:
    """The lease whose last item is late enough that `site`, another one, would likely win."""
    expected_ns = (helper.mean_ns if helper.known else mean_ns) + helper.cost_ns
    begun_ns = now_ns - max(_lateness(job) * mean_ns, expected_ns)
    late = [
        lease
        for lease in job.leases.values()
        if lease.begun_ns < begun_ns and _may_be_backed(job, site, lease)
    ]
    if not late:
        return None
    backed = {lease.backup_of for lease in job.leases.values()} - {None}
    lost = job.backups - job.won - len(backed)
    if lost + len(backed) // 2 >= max(1, job.size // limits.BACKUP_SHARE):
        return None
    others = (lease for lease in late if lease.id not in backed)
    return min(others, key=lambda lease: lease.begun_ns, default=None)


def _may_be_backed(job: Job, site: SiteId, lease: Lease) -> bool:
    return not (
        lease.site == site
        or lease.unbegun
        or lease.cancelled
        or lease.queued
        or lease.backup_of is not None
        or not lease.holds(lease.begun)
        or lease.begun in job.settled
        or lease.begun in job.linked  # what it waits for may be known to its own site alone
    )


def _lateness(job: Job) -> float:
    """After how many means an item is late: past three deviations, within reason; later, while few
    were timed."""
    spread = job.pooled.long
    if not job.pooled.known:
        return limits.BACKUP_FACTOR
    deviation_milli = isqrt(int(spread.relative_variance * 1_000_000))
    usual = 1 + 3 * deviation_milli / 1000
    least = limits.BACKUP_LEAST + 1 / spread.batches
    return min(limits.BACKUP_FACTOR, max(least, usual))
