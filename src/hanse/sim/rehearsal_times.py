"""How long items take: a distribution, asked for the time at a share of the items.

Each item's share is made of the seed, the job and the item alone, so an item takes the same time
wherever and whenever it runs. Logarithms and powers come from the C library, which may differ in
the last bit from machine to machine: times are rounded to nine digits, which hides that.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from hanse import limits
from hanse.sim.draws import mix

_NORMAL = NormalDist()

LONGEST = 10_000
"""No item takes longer than so many means: heavy tails have no end, and a rehearsal has."""


@dataclass(frozen=True)
class Times:
    """One distribution. `mean_s` is its mean, but for a histogram, which has its own."""

    kind: str = "constant"
    mean_s: float = 1.0
    sigma: float = 1.0  # of a lognormal's logarithm
    alpha: float = 1.5  # of a Pareto's tail; above 1, or there would be no mean
    seconds: tuple[float, ...] = ()  # of a histogram: times, and how often each of them
    counts: tuple[int, ...] = ()

    def table(self, seed: int, job: int, items: int) -> list[int]:
        """Nanoseconds of every item at speed 1."""
        if self.kind == "histogram":
            sums = list(accumulate(self.counts))
            picks = (int(share_of(seed, job, item) * sums[-1]) for item in range(items))
            return [_ns(self.seconds[bisect_left(sums, pick + 1)]) for pick in picks]
        if self.kind == "constant":
            return [_ns(self.mean_s)] * items
        return [_ns(self.at(share_of(seed, job, item))) for item in range(items)]

    def at(self, share: float) -> float:
        """Seconds that this share of the items stays within."""
        if self.kind == "exponential":
            factor = -math.log1p(-share)
        elif self.kind == "pareto":
            factor = (1 - 1 / self.alpha) * (1 - share) ** (-1 / self.alpha)
        else:  # lognormal
            factor = math.exp(self.sigma * _NORMAL.inv_cdf(share) - self.sigma**2 / 2)
        return self.mean_s * min(factor, LONGEST)


def share_of(*numbers: int) -> float:
    """A number between 0 and 1, neither of them, that looks random."""
    return ((mix(*numbers) >> 12) + 0.5) / (1 << 52)


def _ns(seconds: float) -> int:
    return max(1, round(float(f"{seconds:.9g}") * limits.SECOND))
