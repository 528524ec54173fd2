"""Several homes on one engine: each has its own numbers for leases, and hears of its own only.

The runtime's own home comes first, at no cost: its leases keep their numbers, which are above 0.
Those of other homes get numbers below 0 here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakSet

from msgspec.structs import replace

from hanse import limits
from hanse.engines import port
from hanse.ids import JobId, LeaseId

Says = Callable[[port.Event], None]
Prints = Callable[[port.Printed], None]


class Tenants:
    """
    Args:
        says, printed: take what the runtime's own leases bring.
    """

    engine: port.Engine

    def __init__(self, says: Says, printed: Prints) -> None:
        self._says = says
        self._printed = printed
        self._tenants: WeakSet[Tenant] = WeakSet()
        self._others: dict[LeaseId, Tenant] = {}
        self._jobs: OrderedDict[JobId, Tenant] = OrderedDict()  # whose lines come after an end too
        self._last = 0

    def join(self, says: Says, printed: Prints) -> Tenant:
        """An engine for the leases of another home."""
        tenant = Tenant(self, says, printed)
        self._tenants.add(tenant)
        return tenant

    def says(self, event: port.Event) -> None:
        """What the engine emits."""
        if isinstance(event, port.Building):
            self._says(event)
            for each in list(self._tenants):
                each.builds(event)
        elif isinstance(event, port.Waiting):
            self._says(port.Waiting({n: why for n, why in event.works.items() if n > 0}))
            for each in list(self._tenants):
                each.waits(event)
        elif event.lease > 0:
            self._says(event)
        elif (tenant := self._others.get(event.lease)) is not None:
            tenant.told(event)

    def printed(self, piece: port.Printed) -> None:
        """In a thread of the engine's."""
        if piece.lease > 0:
            self._printed(piece)
        elif (tenant := self._jobs.get(piece.job)) is not None:
            tenant.printed(piece)

    def begin(self, tenant: Tenant, job: JobId) -> LeaseId:
        self._last -= 1
        lease = LeaseId(self._last)
        self._others[lease] = tenant
        self._jobs[job] = tenant
        self._jobs.move_to_end(job)
        if len(self._jobs) > limits.TENANT_JOBS:
            self._jobs.popitem(last=False)
        return lease

    def end(self, lease: LeaseId) -> None:
        del self._others[lease]


class Tenant:
    """See `port.Engine`: the part of it that runs one other home's leases."""

    def __init__(self, all: Tenants, says: Says, printed: Prints) -> None:
        self._all = all
        self._says = says
        self._printed = printed
        self._here: dict[LeaseId, LeaseId] = {}  # their number at this engine
        self._there: dict[LeaseId, LeaseId] = {}  # the other way round

    def start(self, work: port.Work) -> None:
        here = self._all.begin(self, work.program.job)
        self._here[work.lease], self._there[here] = here, work.lease
        self._all.engine.start(replace(work, lease=here))

    def cut(self, lease: LeaseId, stop: int) -> None:
        if lease in self._here:
            self._all.engine.cut(self._here[lease], stop)

    def cancel(self, lease: LeaseId) -> None:
        if lease in self._here:
            self._all.engine.cancel(self._here[lease])

    def begun(self, lease: LeaseId) -> int:
        return self._all.engine.begun(self._here[lease])

    def close(self) -> None:
        """Cancel all that runs here. The engine stays."""
        for lease in list(self._there):
            self._all.engine.cancel(lease)

    def builds(self, event: port.Building) -> None:
        self._says(event)

    def waits(self, event: port.Waiting) -> None:
        works = event.works.items()
        self._says(port.Waiting({self._there[n]: why for n, why in works if n in self._there}))

    def told(
        self, event: port.Segment | port.ItemFailed | port.Saved | port.Cut | port.Ended
    ) -> None:
        there = self._there[event.lease]
        if isinstance(event, port.Ended):
            self._all.end(event.lease)
            del self._there[event.lease], self._here[there]
        self._says(replace(event, lease=there))

    def printed(self, piece: port.Printed) -> None:
        self._printed(piece)
