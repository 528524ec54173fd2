"""What a job has spent, by site, and what is out: the money side of its leases.

A slot costs from the moment at which its lease is granted until the lease is over, by the price of
its site; where the site says how long it held the lease, that counts. All in whole nano.

What was spent is recorded now and then (`JobSpent`), leases are not. So all that are out are paid
up to the moment of a record, and one that a home takes back from an earlier run of itself from the
last record on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hanse.core.lease import Lease
from hanse.ids import LeaseId, SiteId
from hanse.limits import REPORT_EVERY_NS
from hanse.model.aims import HOUR_NS

_NEVER = 1 << 62


class Open(NamedTuple):
    """A lease that is out."""

    site: SiteId
    since_ns: int
    price_nano: int  # of the slot, for an hour
    fixed_nano: int  # for bytes that it has moved
    bound_ns: int  # it is reckoned not to last longer than that
    paid_ns: int = 0  # for so long before `since_ns` it is paid already

    def due(self, now_ns: int) -> int:
        return cost_of(max(0, now_ns - self.since_ns), self.price_nano) + self.fixed_nano


class Purse:
    """Of one job. `spent` only grows."""

    def __init__(self) -> None:
        self.spent: dict[SiteId, int] = {}
        self.open: dict[LeaseId, Open] = {}
        self.reserved = 0  # what machines that were rented for it may cost yet beside leases
        self._recalled_ns = 0  # up to when an earlier run has recorded what it spent

    def recall(self, spent: Mapping[SiteId, int], until_ns: int) -> None:
        """An earlier run of the home had spent this by then."""
        self.spent, self._recalled_ns = dict(spent), until_ns

    def granted(self, lease: Lease, price_nano: int, fixed_nano: int, bound_ns: int, now_ns: int,
                ) -> None:  # fmt: skip
        self.open[lease.id] = Open(lease.site, now_ns, price_nano, fixed_nano, bound_ns)

    def taken_back(self, lease: Lease, price_nano: int, bound_ns: int) -> None:
        """An earlier run of the home has granted it, and its site runs it still."""
        since_ns = self._recalled_ns
        self.open[lease.id] = Open(lease.site, since_ns, price_nano, 0, bound_ns)
        if lease.queued:
            self.waits(lease.id)

    def late(self, site: SiteId, price_nano: int, busy_ns: int) -> None:
        """Something comes of a lease that ended while no home was there."""
        self.spent[site] = self.spent.get(site, 0) + cost_of(busy_ns, price_nano)

    def waits(self, lease: LeaseId) -> None:
        """It stands in line, at no cost."""
        self.open[lease] = self.open[lease]._replace(since_ns=_NEVER)

    def began(self, lease: LeaseId, now_ns: int) -> None:
        """It stands in line no more."""
        if (one := self.open.get(lease)) is not None:
            self.open[lease] = one._replace(since_ns=now_ns)

    def closed(self, lease: LeaseId, held_ns: int | None, now_ns: int) -> None:
        """It is over, after `held_ns` as its site says; None: nobody knows."""
        one = self.open.pop(lease, None)
        if one is not None:
            held = max(0, now_ns - one.since_ns)
            if held_ns is not None:
                rest = max(0, held_ns - one.paid_ns)
                held = rest if one.since_ns == _NEVER else min(held, rest)
            cost = cost_of(held, one.price_nano) + one.fixed_nano
            self.spent[one.site] = self.spent.get(one.site, 0) + cost

    def idled(self, where: SiteId, nano: int) -> None:
        """What a rented machine has cost beside its leases: while it came up, and had nothing to
        do."""
        self.spent[where] = self.spent.get(where, 0) + nano

    def pay(self, now_ns: int) -> None:
        """What is out is paid up to now: that is to be recorded, and does not become less."""
        for id, one in self.open.items():
            held = max(0, now_ns - one.since_ns)
            if held or one.fixed_nano:
                self.spent[one.site] = self.spent.get(one.site, 0) + one.due(now_ns)
                since_ns = now_ns if held else one.since_ns  # one that stands in line goes on so
                paid_ns = one.paid_ns + held
                self.open[id] = one._replace(fixed_nano=0, paid_ns=paid_ns, since_ns=since_ns)

    def total(self) -> int:
        return sum(self.spent.values())

    def due(self, now_ns: int) -> int:
        """What the leases that are out have cost so far."""
        return sum(one.due(now_ns) for one in self.open.values())

    def bound(self, now_ns: int) -> int:
        """What the leases that are out may come to, at least until the next look."""
        ahead_ns = now_ns + REPORT_EVERY_NS
        return sum(
            cost_of(max(one.bound_ns - one.paid_ns, ahead_ns - one.since_ns), one.price_nano)
            + one.fixed_nano
            for one in self.open.values()
        )

    def burns(self) -> int:
        """What the leases that are out cost in an hour, together."""
        return sum(one.price_nano for one in self.open.values())

    def by_site(self, now_ns: int) -> dict[SiteId, int]:
        """Spent, and due by now."""
        found = dict(self.spent)
        for one in self.open.values():
            found[one.site] = found.get(one.site, 0) + one.due(now_ns)
        return found


def cost_of(held_ns: int, price_nano: int) -> int:
    return held_ns * price_nano // HOUR_NS
