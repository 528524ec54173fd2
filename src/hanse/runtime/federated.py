"""The part of a runtime that speaks with other machines: sites that work for its home, and homes
that it works for. All of it is for the loop's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from hanse.core.agent import Agent
from hanse.core.events import Describe, Event, Hear, Withdraw
from hanse.core.home import Home
from hanse.core.messages import Orders, Report
from hanse.engines import port
from hanse.ids import JobId, SiteId
from hanse.model.fit import Offer
from hanse.runtime.checkpoints import Checkpoints
from hanse.runtime.loop import Loop
from hanse.runtime.reported import Reported, Told
from hanse.runtime.seat import Seat, Upstream, Values
from hanse.runtime.source import Source
from hanse.runtime.tenants import Tenants


class Federated:
    """A part of `runtime.Runtime`, which has what is named here."""

    home: Home
    checkpoints: Checkpoints
    loop: Loop
    _reported: Reported
    _sources: dict[JobId, Source]
    _tenants: Tenants
    _ways: dict[SiteId, Callable[[Orders], None]]

    def handle(self, event: Event) -> None:
        raise NotImplementedError

    def _watch_expiry(self) -> None:
        raise NotImplementedError

    def admit(self, site: SiteId, offer: Offer, orders: Callable[[Orders], None]) -> None:
        """A site at another node takes part: its orders go there."""
        self._ways[site] = orders
        self.describe(site, offer)

    def describe(self, site: SiteId, offer: Offer) -> None:
        """What a site can run, and on what terms, as it tells."""
        if offer.tariff.schedule:
            tariff = offer.tariff.on_clock(self.loop.now_ns() - time.time_ns())
            offer = replace(offer, tariff=tariff)
        self.handle(Describe(site, offer))

    def dismiss(self, site: SiteId, orders: Callable[[Orders], None]) -> None:
        """It takes part no more, unless it has come back, with another way, meanwhile."""
        if self._ways.get(site) == orders:
            del self._ways[site]
            self.handle(Withdraw(site))

    def hear(self, report: Report, values: Mapping[int, Told]) -> bool:
        """A report of such a site, with the values of its notes by their numbers. False: one that
        is needed is missing, and nothing was done."""
        if report.site not in self._ways:
            return False  # it has left
        site = self.home.sites.get(report.site)
        known = site is not None and site.incarnation == report.incarnation
        seen = site.notes_seen if site is not None and known else 0
        brought = self._reported.take(report, seen, values, self._is_each)
        if brought is None:
            return False
        self.handle(Hear(report))
        self._reported.decided_of(brought, self._is_open)
        self._watch_expiry()
        return True

    def save(self, job: JobId, event: port.Saved) -> None:
        """An item keeps this for a later attempt, unless it has ended meanwhile."""
        if self._is_open(job, event.item):
            self.checkpoints.put(job, event.item, event.payload)

    def save_of(self, site: SiteId, job: JobId, event: port.Saved) -> None:
        """The same, from a site at another node: of items that it runs, and no others."""
        lease = self.home.leases.get(event.lease)
        if lease is not None and (lease.site, lease.job) == (site, job) and lease.holds(event.item):
            self.save(job, event)

    def wanted(self, job: JobId) -> int:
        """How many of a job's items the home would like to have."""
        return self.home.wanted(job)

    def _is_each(self, job: JobId) -> bool:
        source = self._sources.get(job)
        return source is not None and source.program.each

    def _is_open(self, job: JobId, item: int) -> bool:
        known = self.home.jobs.get(job)
        return known is not None and not known.state.ended and item not in known.settled

    def seat(
        self, agent: Agent, upstream: Upstream, values: Values,
        printed: Callable[[port.Printed], None],
    ) -> Seat:  # fmt: skip
        """This machine works for another home too."""
        seat = Seat(self.loop, agent, upstream, values)
        seat.engine = self._tenants.join(seat.engine_says, printed)
        return seat
