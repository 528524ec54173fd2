"""The machines that a node's jobs may run on, and what one needs to be another of them."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from hanse import limits
from hanse.errors import UsageError
from hanse.ids import SiteId
from hanse.model.resources import Amount
from hanse.node.linked import Linked
from hanse.node.renting import Renting
from hanse.runtime.runtime import Runtime
from hanse.wire import api, link

if TYPE_CHECKING:
    from hanse.engines.ray.site import Site
    from hanse.node.site_tls import SiteAuthority

_NOTHING: tuple[dict[str, int], Amount] = {}, Amount()


class Machines:
    """
    Args:
        site: the Ray cluster that the node works with; None: its own machine alone.
        renting: the machines that it rents; None: it can rent none.
        authority: signs for the machines of a cluster that this node heads.
    """

    def __init__(
        self, runtime: Runtime, linked: Linked, site: Site | None, renting: Renting | None = None,
        authority: SiteAuthority | None = None,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._linked = linked
        self._site = site
        self._renting = renting
        self._authority = authority
        self._host = socket.gethostname()

    def all(self) -> list[api.MachineInfo]:
        """Those of this node's own site, the head first, then those of each linked site, and those
        that are on their way."""
        coming = [] if self._renting is None else self._renting.coming()
        return [*self._runtime.ask(lambda: [*self._own(), *self._others()]), *coming]

    def parts(self) -> list[link.Machine]:
        """Which machines this site consists of, for the homes that it works for; empty if it is
        this machine alone."""
        if self._site is None:
            return []
        own = self._runtime.ask(self._own)[: limits.LINK_MACHINES]
        return [
            link.Machine(host=each.host[:80], offers=each.offers, uses=each.uses, state=each.state)
            for each in own
        ]

    def providers(self) -> list[api.ProviderInfo]:
        """Who could bring more, and what they have brought."""
        return [] if self._renting is None else self._renting.providers()

    def _own(self) -> list[api.MachineInfo]:
        if self._site is None:
            return [
                api.MachineInfo(
                    site=self._host, host=self._host, engine="local",
                    offers=self._runtime.capacity, state=_taken(self._runtime.own.agent.leaving),
                    **self._held(self._runtime.own.agent.site),
                )
            ]  # fmt: skip
        at_work = self._site.at_work()
        return [
            api.MachineInfo(
                site=self._host, host=f"{machine.host} ({machine.address})", engine="ray",
                offers=machine.offers, state=_state(machine.head, machine.draining),
                runs=runs, uses=uses,
            )
            for machine in sorted(self._site.machines, key=lambda each: not each.head)
            for runs, uses in [at_work.get(machine.id, _NOTHING)]
        ]  # fmt: skip

    def _others(self) -> list[api.MachineInfo]:
        sites = self._runtime.home.sites
        return [
            api.MachineInfo(
                site=each.id, host=each.id, engine="link",
                offers=sites[each.id].capacity if each.id in sites else Amount(),
                state=self._taken(each.id),
                **self._held(each.id),
            )
            for each in self._linked.sites
            if not each.machines
        ] + [
            api.MachineInfo(
                site=each.id, host=machine.host, engine="ray", offers=machine.offers,
                uses=machine.uses, state=machine.state or self._taken(each.id),
            )
            for each in self._linked.sites
            for machine in each.machines
        ]  # fmt: skip

    def _taken(self, id: SiteId) -> str:
        site = self._runtime.home.sites.get(id)
        return "" if site is None else _taken(site.leaving)

    def _held(self, id: SiteId) -> dict[str, Any]:
        """What runs at a site, and what that takes of it."""
        site = self._runtime.home.sites.get(id)
        if site is None:
            return {}
        runs = Counter[str](lease.job for lease in site.leases)
        return {"runs": runs, "uses": site.capacity.minus(site.free)}

    def to_join(self) -> api.SiteInfo:
        """Raises UsageError if no machine can join this site."""
        if self._site is None:
            raise UsageError(
                "this node works on its own machine: `hanse up --engine ray` heads a site that "
                "machines can join, and `hanse link` has another node take work from this one"
            )
        return self._site.to_join()

    def certify(self, request: bytes) -> bytes:
        """Sign for a machine that joins. Raises UsageError."""
        if self._authority is None:
            self.to_join()
            raise UsageError("the machines of this site speak without certificates")
        return self._authority.certify(request)


def _taken(why: str) -> str:
    return f"being taken away: {why}" if why else ""


def _state(head: bool, draining: bool) -> str:
    return "head" if head else "leaving" if draining else ""
