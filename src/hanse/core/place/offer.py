"""A site that a job may use, as far as a plan is concerned."""

from __future__ import annotations

from typing import NamedTuple

from hanse.ids import SiteId


class Offer(NamedTuple):
    """A site that the job may use. Cost and speed are of one slot."""

    site: SiteId
    slots: int
    speed: float  # work per nanosecond
    cost: float  # nano per nanosecond
    start_ns: float  # before its first item
    lasts_ns: float  # how long it is expected to stay; inf: it is sure
    carry: float = 0.0  # nano per unit of work, for bytes that it has to fetch
    open: bool = False  # the job uses it now
    busy: float = 0.0  # work of the items that it runs now, until they end
    sunk: bool = False  # it is paid for whether it is used or not

    @property
    def unit(self) -> float:
        """Nano per unit of work."""
        return self.alone + self.carry

    @property
    def alone(self) -> float:
        """The same, for its time without bytes."""
        return self.cost / self.speed

    @property
    def power(self) -> float:
        """Work per nanosecond; that of one slot, if it has none now."""
        return self.speed * max(1, self.slots)

    def does(self, time_ns: float) -> float:
        """Work that it is expected to do within so long, beside the items that it runs."""
        usable_ns = min(time_ns - (0.0 if self.open else self.start_ns), self.lasts_ns)
        return max(0.0, max(0.0, usable_ns) * self.slots * self.speed - self.busy)

    def of(self, slots: int) -> Offer:
        """So many of its slots, which run nothing."""
        return self._replace(slots=slots, busy=0.0)
