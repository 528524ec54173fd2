"""What is learnt about one job on one site: time per item, and cost per lease."""

from __future__ import annotations

from hanse import limits

HALF_LIFE_NS = 2 * limits.SECOND
"""Old measurements lose half their weight in this much busy time, so a slowdown is seen soon."""


class Rate:
    """Decayed means. Times are for one slot."""

    __slots__ = ("_busy_ns", "_items", "cost_ns")

    def __init__(self) -> None:
        self._items = 0.0
        self._busy_ns = 0.0
        self.cost_ns = float(limits.MS)  # of a lease, beyond its items; a guess until measured

    @property
    def known(self) -> bool:
        return self._items > 0

    @property
    def mean_ns(self) -> float:
        """Time per item; of an unknown rate, nothing to rely on."""
        return self._busy_ns / self._items if self._items else float(limits.MS)

    def observe(self, items: int, busy_ns: int) -> None:
        """`items` more were finished, in `busy_ns` of their slot's time."""
        busy_ns = max(busy_ns, items)  # a nanosecond each at least: rates stay finite
        # Half at a half-life, by division alone: a power would differ between C libraries.
        keep = HALF_LIFE_NS / (HALF_LIFE_NS + busy_ns)
        self._items = self._items * keep + items
        self._busy_ns = self._busy_ns * keep + busy_ns

    def observe_cost(self, cost_ns: int) -> None:
        """A lease took this much longer than its items."""
        self.cost_ns += (max(0, cost_ns) - self.cost_ns) / 4
