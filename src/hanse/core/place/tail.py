"""When slots are idle and nothing is ready: cut the tail, or back up a late item.

Cutting moves items that nobody has begun, so no work is done twice. Only when a single long item is
left is it worth starting it once more elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hanse import limits
from hanse.core.job import Job, Lease
from hanse.core.place.rate import Rate
from hanse.ids import SiteId


def current_left_ns(lease: Lease, mean_ns: float, now_ns: int) -> float:
    """How long the item that runs now will still take: to its mean, then as long again as it has
    taken, which is right for heavy tails and harmless for others."""
    age = now_ns - lease.begun_ns
    return max(mean_ns - age, 0) if age < mean_ns else float(age)


def best_cut(
    leases: Iterable[Lease], rates: Mapping[SiteId, Rate], idle: int, helper: Rate, now_ns: int
) -> tuple[Lease, int] | None:
    """The lease to cut, and where, so that its site and `idle` helpers end together.

    The one that is expected to end last is looked at. With `u` items not begun, `k` of them stay,
    such that  left + k * mean  =  cost + (u - k) * helper's mean / idle.
    """
    late: Lease | None = None
    late_ns = 0.0
    for lease in leases:
        if lease.unbegun and lease.cut_to is None and not lease.cancelled:
            mean = rates[lease.site].mean_ns
            left = current_left_ns(lease, mean, now_ns) + lease.unbegun * mean
            if late is None or left > late_ns:
                late, late_ns = lease, left
    if late is None:
        return None
    mean, unbegun = rates[late.site].mean_ns, late.unbegun
    share = (helper.mean_ns if helper.known else mean) / idle
    now_left = current_left_ns(late, mean, now_ns)
    keep = (unbegun * share + helper.cost_ns - now_left) / (mean + share)
    keep = min(max(0, int(keep)), unbegun)
    gain = late_ns - max(now_left + keep * mean, helper.cost_ns + (unbegun - keep) * share)
    if keep == unbegun or gain < limits.TAIL_MIN_GAIN_NS:
        return None
    return late, late.begun + 1 + keep


def best_backup(job: Job, site: SiteId, helper: Rate, mean_ns: float, now_ns: int) -> Lease | None:
    """The lease whose last item is late enough that `site`, another one, would likely win."""
    if job.backups >= max(1, job.size // limits.BACKUP_SHARE):
        return None
    backed = {lease.backup_of for lease in job.leases.values()}
    late: Lease | None = None
    for lease in job.leases.values():
        if (
            lease.site == site
            or lease.unbegun
            or lease.cancelled
            or lease.backup_of is not None
            or lease.id in backed
            or not lease.holds(lease.begun)
            or lease.begun in job.settled
        ):
            continue
        if late is None or lease.begun_ns < late.begun_ns:
            late = lease
    if late is None:
        return None
    age = now_ns - late.begun_ns
    expected = (helper.mean_ns if helper.known else mean_ns) + helper.cost_ns
    return late if age > limits.BACKUP_FACTOR * mean_ns and age > expected else None
