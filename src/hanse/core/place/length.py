"""How many items a lease holds: adaptive weighted factoring.

Long enough that its cost is noise, short enough that all sites end together. Half of a fair share
is kept back, so that what was misjudged is evened out by later, smaller leases (factoring: Hummel,
Schonberg, Flynn, CACM 1992; weighted by measured rates: Banicescu, Hariri 1996).
"""

from __future__ import annotations

from hanse import limits
from hanse.core.place.rate import Rate

FIRST_PROBE = 16
GROWTH = 16
"""A lease has at most 16 times the items that were ever timed: one quick item proves little."""


def longest_ns(rate: Rate) -> float:
    """How long a lease lasts at most: longer where each costs much. What a lost site costs does not
    grow with it, as results stream, and a rate that is stale is made good by cutting the tail."""
    return max(limits.LEASE_MAX_NS, 4 * limits.LEASE_COSTS * rate.cost_ns)


def worthwhile(rate: Rate) -> float:
    """Items of a lease that is long enough for what it costs to be noise."""
    return limits.LEASE_COSTS * rate.cost_ns / rate.mean_ns


def lease_length(remaining: int, slots: int, power: float, rate: Rate, seen: int) -> int:
    """Items for the next lease.

    Args:
        remaining: items that are ready, under way, or known to come.
        slots: how many leases of the job the sites that take part can run at once.
        power: items per nanosecond of all those slots together.
        rate: what is known of the asking site.
        seen: items of the job whose time is known.
    """
    if not seen:
        return max(1, min(FIRST_PROBE, remaining // (limits.PROBE_SHARE * max(1, slots))))
    speed = 1 / rate.mean_ns
    fair = remaining * speed / max(power, speed)
    most = min(longest_ns(rate) * speed, GROWTH * seen)
    return max(1, int(min(fair, max(fair / 2, worthwhile(rate)), most)))
