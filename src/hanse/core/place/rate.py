"""What is learnt about one job on one site: time per item, its spread, and cost per lease.

Two memories. A short one follows a slowdown at once: leases are cut by it. A long one knows the
mean and the spread well enough to say when a job ends.
"""

from __future__ import annotations

from hanse import limits

HALF_LIFE_NS = 2 * limits.SECOND
"""Old measurements lose half their weight in this much busy time, so a slowdown is seen soon."""

LONG_ITEMS = 1000
LONG_NS = 60 * limits.SECOND
"""The long memory loses half in this many items and this much busy time, whichever is longer: a
thousand items tell the mean within some 3 % where they are as different as waiting times are."""


LONG_AGES = 10**18
"""Sums over many sites are kept as whole numbers, per this many ns: they are exact, so that what
was added can be taken out again."""


class Rate:
    """Decayed means. Times are for one slot."""

    __slots__ = ("_busy_ns", "_costs", "_items", "cost_ns", "long", "power", "slots")

    def __init__(self) -> None:
        self.slots = 0  # of its site, as counted into its job's
        self.power = 0  # of these slots, as counted into its job's
        self._items = 0.0
        self._busy_ns = 0.0
        self._costs = 0  # measured ones, up to four: the first count for more
        self.cost_ns = float(limits.MS)  # of a lease, beyond its items; a guess until measured
        self.long = Spread()

    @property
    def known(self) -> bool:
        return self._items > 0

    @property
    def mean_ns(self) -> float:
        """Time per item; of an unknown rate, nothing to rely on."""
        return self._busy_ns / self._items if self._items else float(limits.MS)

    def observe(self, items: int, busy_ns: int) -> None:
        """`items` more were finished, in `busy_ns` of their slot's time."""
        if busy_ns < items:
            busy_ns = items  # a nanosecond each at least: rates stay finite
        # Half at a half-life, by division alone: a power would differ between C libraries.
        keep = HALF_LIFE_NS / (HALF_LIFE_NS + busy_ns)
        self._items = self._items * keep + items
        self._busy_ns = self._busy_ns * keep + busy_ns
        self.long.observe(items, busy_ns)

    def observe_cost(self, cost_ns: int) -> None:
        """A lease took this much longer than its items."""
        self._costs = min(4, self._costs + 1)
        self.cost_ns += (max(0, cost_ns) - self.cost_ns) / max(2, self._costs)


class Spread:
    """Mean and variance of the time of one item, from what batches of items took together.

    A batch of n items takes n means, with n variances: so (b - n * mean)^2 / n is on average one
    variance, whatever n is, and the mean of that over all batches, less one for the mean that was
    fitted, estimates it without bias. Whatever slows whole batches counts too, as it should: it is
    as uncertain in what is left.
    """

    __slots__ = ("_busy_ns", "_squares", "batches", "items")

    def __init__(self) -> None:
        self.items = 0.0
        self.batches = 0.0
        self._busy_ns = 0.0
        self._squares = 0.0  # sum of b^2 / n

    def observe(self, items: int, busy_ns: int) -> None:
        keep = 1 / (1 + min(items / LONG_ITEMS, busy_ns / LONG_NS))
        self.items = self.items * keep + items
        self.batches = self.batches * keep + 1
        self._busy_ns = self._busy_ns * keep + busy_ns
        self._squares = self._squares * keep + float(busy_ns) * busy_ns / items

    @property
    def mean_ns(self) -> float:
        return self._busy_ns / self.items

    @property
    def relative_variance(self) -> float:
        """Variance of one item over its mean squared; 1, as of waiting times, until two batches
        tell."""
        if self.batches < 1.5:
            return 1.0
        rest = self._squares - self._busy_ns * self._busy_ns / self.items
        return max(0.0, rest) / (self.batches - 1) / (self.mean_ns * self.mean_ns)
