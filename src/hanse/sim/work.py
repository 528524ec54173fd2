"""What an item does: how long it takes and how it ends, decided by seed, job, item and attempt.

Nothing else counts, but that there are no stragglers once it is calm. So an item does the same
wherever it runs, and a smaller schedule of faults leaves the work as it was.
"""

from __future__ import annotations

from math import sqrt

from hanse.ids import LeaseId
from hanse.model.failure import Cause
from hanse.sim.draws import mix
from hanse.sim.plan import JobPlan

_CAUSES = (Cause.RAISED, Cause.RAISED, Cause.RAISED, Cause.TIMEOUT, Cause.MEMORY, Cause.RESULT)
_HEAVY = 30  # the longest item, in means
LATE = 8  # a straggler, in times of the same item


def item_ns(seed: int, job: JobPlan, item: int, lease: LeaseId, late: bool = True) -> int:
    """On a site of speed 100. One attempt in a hundred is a straggler, where any may be `late`."""
    lot = mix(seed, job.number, item)
    mean = job.item_ns
    if job.spread == 1:
        mean = mean // 2 + lot % (mean + 1)
    elif job.spread == 2:
        share = 1 - (lot >> 11) / (1 << 53)  # in (0, 1]
        mean = min(int(mean / (2 * sqrt(share))), _HEAVY * mean)  # Pareto 2
    if late and mix(lot, lease) % 100 == 0:
        mean *= LATE
    return max(1, mean)


def fate(seed: int, job: JobPlan, item: int, attempt: int) -> Cause | None:
    """What ends this attempt, or None."""
    if not job.failing and not job.deadly:
        return None
    lot = mix(seed, job.number, item, 1)
    if lot % 1000 < job.deadly:
        return Cause.DIED if attempt <= 1 + (lot >> 20) % 4 else None
    if (lot >> 40) % 1000 < job.failing and attempt <= 1 + (lot >> 12) % 3:
        return _CAUSES[(lot >> 32) % len(_CAUSES)]
    return None
