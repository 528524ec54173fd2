"""What a job has spent, by site, and what is out: the money side of its leases.

A slot costs from the moment at which its lease is granted until the lease is over, by the price of
its site; where the site says how long it held the lease, that counts. All in whole nano.
"""

from __future__ import annotations

from typing import NamedTuple

from hanse.core.lease import Lease
from hanse.ids import LeaseId, SiteId
from hanse.model.aims import HOUR_NS


class Open(NamedTuple):
    """A lease that is out."""

    site: SiteId
    since_ns: int
    price_nano: int  # of the slot, for an hour
    fixed_nano: int  # for bytes that it has moved
    bound_ns: int  # it is reckoned not to last longer than that


class Purse:
    """Of one job. `spent` only grows."""

    def __init__(self) -> None:
        self.spent: dict[SiteId, int] = {}
        self.open: dict[LeaseId, Open] = {}

    def granted(self, lease: Lease, price_nano: int, fixed_nano: int, bound_ns: int, now_ns: int,
                ) -> None:  # fmt: skip
        self.open[lease.id] = Open(lease.site, now_ns, price_nano, fixed_nano, bound_ns)

    def began(self, lease: LeaseId, now_ns: int) -> None:
        """It has waited in line so far, at no cost."""
        if (one := self.open.get(lease)) is not None:
            self.open[lease] = one._replace(since_ns=now_ns)

    def closed(self, lease: LeaseId, held_ns: int | None, now_ns: int) -> None:
        """It is over, after `held_ns` as its site says; None: nobody knows."""
        one = self.open.pop(lease, None)
        if one is not None:
            held = max(0, now_ns - one.since_ns if held_ns is None else held_ns)
            cost = cost_of(held, one.price_nano) + one.fixed_nano
            self.spent[one.site] = self.spent.get(one.site, 0) + cost

    def idled(self, where: SiteId, nano: int) -> None:
        """What a rented machine has cost beside its leases: while it came up, and had nothing to
        do."""
        self.spent[where] = self.spent.get(where, 0) + nano

    def total(self) -> int:
        return sum(self.spent.values())

    def due(self, now_ns: int) -> int:
        """What the leases that are out have cost so far."""
        return sum(
            cost_of(max(0, now_ns - one.since_ns), one.price_nano) + one.fixed_nano
            for one in self.open.values()
        )

    def bound(self, now_ns: int) -> int:
        """What the leases that are out may come to."""
        return sum(
            cost_of(max(one.bound_ns, now_ns - one.since_ns), one.price_nano) + one.fixed_nano
            for one in self.open.values()
        )

    def burns(self) -> int:
        """What the leases that are out cost in an hour, together."""
        return sum(one.price_nano for one in self.open.values())

    def by_site(self, now_ns: int) -> dict[SiteId, int]:
        """Spent, and due by now."""
        found = dict(self.spent)
        for one in self.open.values():
            due = cost_of(max(0, now_ns - one.since_ns), one.price_nano) + one.fixed_nano
            found[one.site] = found.get(one.site, 0) + due
        return found


def cost_of(held_ns: int, price_nano: int) -> int:
    return held_ns * price_nano // HOUR_NS
