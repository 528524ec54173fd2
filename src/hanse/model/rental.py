"""Machines that can be rented: what a provider offers, and one that was brought."""

from __future__ import annotations

import re

import msgspec

from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.aims import Tariff
from hanse.model.resources import Amount

MACHINE_ID = re.compile(r"[a-z][a-z0-9-]{0,30}-\d{1,19}-\d{1,19}")
"""Machines that are rented are called so: by their offer, the run of their home, and a number."""


class Rental(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of machine that a provider brings.

    Attributes:
        name: of this offer, among all of the node's.
        amount: what one machine has.
        tariff: where it is, at what price, whether it can be taken away, how long it takes to
            come up (`start_ns`) and how fast it is.
        most: so many of them at a time.
        billed_ns: it is paid for in steps of so long; 1: by the moment.
        least_ns: it is paid for so long at least.
        idle_ns: it is sent away once it has had nothing to do for so long.
        life_ns: it is sent away after this time in any case, and gets nothing more a while before.
        patience_ns: if it is not there by then, it is given up.
    """

    name: str
    amount: Amount
    tariff: Tariff
    most: int = 1
    billed_ns: int = 1
    least_ns: int = 0
    idle_ns: int = 60 * SECOND
    life_ns: int = 86_400 * SECOND
    patience_ns: int = 600 * SECOND

    def paid_ns(self, life_ns: float) -> float:
        """What is paid for, of a life of so long."""
        steps = -(-max(life_ns, self.least_ns) // self.billed_ns)
        return max(1.0, steps) * self.billed_ns

    def cost_nano(self, life_ns: float) -> float:
        return self.paid_ns(life_ns) * self.tariff.price_nano / (3600 * SECOND)


class Rented(msgspec.Struct, kw_only=True):
    """A machine that was brought, or is on its way.

    Attributes:
        id: ours; providers carry it as a name or a tag.
        kind: the name of its `Rental`.
        job: which it was brought for.
        because: why it is brought, in words.
        since_ns: when that was decided, on the home's clock.
        asked: a provider was asked for it, or is being asked.
        site: what it is called as a site; empty before it was there.
        up: it was there and has said what it has: it is a site as any other.
        idle_ns: since when it has had nothing to do; -1: it has something.
        used: it was ever granted a lease.
        why: it is being sent away, for this reason; empty: it stays.
        seen_ns: up to when what it has cost beside leases is counted.
        instead: the machine that it was brought in place of, which goes once this one is up.
        leaving: it gets nothing more, for this reason, and goes once it has nothing to do.
        lost: it was taken away, and that was learnt.
    """

    id: str
    kind: str
    job: JobId
    since_ns: int
    because: str = ""
    asked: bool = False
    site: SiteId = SiteId("")
    up: bool = False
    idle_ns: int = -1
    used: bool = False
    why: str = ""
    seen_ns: int = 0
    instead: str = ""
    leaving: str = ""
    lost: bool = False
