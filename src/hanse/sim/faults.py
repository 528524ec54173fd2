"""Makes the faults of a plan happen, and heals all of them when calm is to come.

Faults of one kind may overlap at a node or a line: it is well again when the last of them has
passed. The strongest of those that last counts, of drifts the latest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from hanse import limits
from hanse.sim.client import ClientNode
from hanse.sim.draws import Draws
from hanse.sim.federation import Federation
from hanse.sim.home import HomeNode
from hanse.sim.network import Direction
from hanse.sim.node import Node
from hanse.sim.plan import Fault, What
from hanse.sim.site import SiteNode

_HEAL_NS = 2 * limits.SECOND  # between the first line that is healed and the last

_DOWN = (What.CRASH, What.OLD_DISK, What.AT_COMMIT, What.NO_DISK, What.NOTICE, What.AWAY)
"""They all come to the same while they last: the node is not there."""


class Strike(NamedTuple):
    """A fault that happened."""

    fault: Fault
    hit: bool  # something was under way that it could disturb


class Faults:
    """Everything that goes wrong in a run."""

    def __init__(self, federation: Federation) -> None:
        self._all = federation
        self._world = federation.world
        self._draws = Draws(federation.plan.seed, "faults")
        self._lasting: dict[tuple[str, What], list[Fault]] = {}
        self.calm = False
        self.strikes: list[Strike] = []  # in their order, for whoever asks what a plan is worth
        for fault in federation.plan.faults:
            self._world.at(fault.at_ns, self._come, fault)
        self._world.at(federation.plan.calm_ns, self._heal_all)

    def _come(self, fault: Fault) -> None:
        """Its time has come: strike, or wait for a moment that is worth it."""
        ambushes = self._ambushes(fault)
        if ambushes is None:
            self._strike(fault)
        elif not self.calm:
            ambushes.append(partial(self._strike, fault))

    def _ambushes(self, fault: Fault) -> list[Callable[[], None]] | None:
        """Where the fault lies in wait: for the end of a commit; or, if it is armed, for the middle
        of one, or of a lease of the site that it hurts or that is at an end of the line."""
        home = self._all.homes.get(fault.who)
        if home is not None and fault.what is What.AT_COMMIT:
            return home.dooms
        if home is not None and fault.armed:
            return home.disk.ambushes
        for end in fault.who.split(">") if fault.armed else ():
            if end in self._all.sites:
                return self._all.sites[end].ambushes
        return None

    def _strike(self, fault: Fault) -> None:
        hit = self._at_work(fault)
        if self.calm:
            return
        if not hit and self._ambushes(fault) is not None:
            self._come(fault)  # the moment has passed meanwhile: the next one, then
            return
        self.strikes.append(Strike(fault, hit))
        self._world.trace("fault", fault)
        node = self._all.node(fault.who)
        if fault.who in self._all.network.directions:
            self._last(fault)
        elif isinstance(node, ClientNode):
            node.leave()
            self._last(fault)
        elif isinstance(node, HomeNode):
            self._on_home(fault, node)
        elif isinstance(node, SiteNode):
            self._on_site(fault, node)

    def _on_home(self, fault: Fault, home: HomeNode) -> None:
        if fault.what is What.JUMP:
            home.change_clock(jump_ns=fault.amount)
            return
        if fault.what in _DOWN:
            keep_some = fault.what in (What.CRASH, What.AT_COMMIT)
            home.crash(keep_some, fault.what is not What.NO_DISK)
        self._last(fault)

    def _on_site(self, fault: Fault, site: SiteNode) -> None:
        match fault.what:
            case What.JUMP:
                site.change_clock(jump_ns=fault.amount)
            case What.DEATH | What.LOSE:
                self._hurt(fault, site)
            case What.NOTICE:
                site.drain(fault.amount)
                self._world.after(fault.amount, self._evict, fault, site)
            case What.CRASH:
                site.crash()
                self._last(fault)
            case _:
                self._last(fault)

    def _evict(self, fault: Fault, site: SiteNode) -> None:
        if not self.calm:
            site.crash()
            self._last(fault, fault.for_ns - fault.amount)

    def _hurt(self, fault: Fault, site: SiteNode) -> None:
        for link in site.links.values() if site.up and not site.frozen else ():
            runs = list(link.engine.runs.values())
            if runs:
                run = self._draws.pick(runs)
                if fault.what is What.DEATH:
                    link.engine.kill_worker(run)
                else:
                    link.engine.lose(run, "the simulator took it away")

    # --- what lasts -----------------------------------------------------------------------------
    def _last(self, fault: Fault, for_ns: int | None = None) -> None:
        """It goes on from here for so long, or until all is healed."""
        if fault.what in _DOWN:
            self._lasting.pop((fault.who, What.FREEZE), None)  # what stood still is gone
        self._lasting.setdefault(_effect(fault), []).append(fault)
        self._show(fault)
        self._world.after(fault.for_ns if for_ns is None else for_ns, self._pass, fault)

    def _pass(self, fault: Fault) -> None:
        lasting = self._lasting.get(_effect(fault), [])
        if not self.calm and fault in lasting:
            lasting.remove(fault)
            self._show(fault)

    def _show(self, fault: Fault) -> None:
        """Make it so that all faults of this kind which still last there are felt."""
        line = self._all.network.directions.get(fault.who)
        if line is not None:
            self._show_line(fault.who, line)
            return
        node = self._all.node(fault.who)
        assert node is not None
        amounts = [other.amount for other in self._lasting[_effect(fault)]]
        match fault.what:
            case What.FREEZE if amounts:
                node.freeze()
            case What.FREEZE:
                node.thaw()
            case What.DRIFT:
                node.change_clock(drift_ppm=amounts[-1] if amounts else node.drift_ppm)
            case What.SLOW if isinstance(node, SiteNode):
                node.slowness = max(amounts, default=1)
            case What.FULL_DISK if isinstance(node, HomeNode):
                node.disk.full = bool(amounts)
            case What.SLOW_DISK if isinstance(node, HomeNode):
                node.disk.slowness = max(amounts, default=1)
            case _ if not amounts:
                self._back(node)

    def _show_line(self, name: str, line: Direction) -> None:
        cuts, clogs, storms = (
            self._lasting.get((name, what), ()) for what in (What.CUT, What.CLOG, What.STORM)
        )
        line.become(bool(cuts), bool(clogs), max((storm.amount for storm in storms), default=0))

    def _back(self, node: Node) -> None:
        if isinstance(node, ClientNode):
            node.come_back()
        elif isinstance(node, HomeNode):
            node.restart()
        elif isinstance(node, SiteNode):
            node.restart()
            slow = self._lasting.get((node.name, What.SLOW), ())
            node.slowness = max((fault.amount for fault in slow), default=1)

    # --- calm -----------------------------------------------------------------------------------
    def _heal_all(self) -> None:
        """Nothing goes wrong from here on. Nodes come back; lines are healed in any order."""
        self.calm = self._all.network.calm = True
        self._world.trace("fault", "all is healed from here on")
        for home in self._all.homes.values():
            home.disk.full, home.disk.slowness = False, 1
            home.thaw()
            home.change_clock(drift_ppm=home.drift_ppm)
            home.restart()
        for site in self._all.sites.values():
            site.slowness = 1
            site.thaw()
            site.change_clock(drift_ppm=site.drift_ppm)
            if not site.up or site.draining:
                site.crash()
                site.restart()
        for client in self._all.clients.values():
            client.come_back()
        lines = self._draws.shuffled(list(self._all.network.directions.values()))
        for place, line in enumerate(lines):
            self._world.after(place * _HEAL_NS // max(1, len(lines) - 1), line.heal)

    # --- what a fault is worth ------------------------------------------------------------------
    def _at_work(self, fault: Fault) -> bool:
        """Whether there is something that the fault can disturb: a lease on its site or its line, a
        fact on its way to the disk that it hurts, a job of its client's that has not ended."""
        if fault.who in self._all.network.directions:
            ends = fault.who.split(">")
            (home,) = (end for end in ends if end in self._all.homes)
            (other,) = (end for end in ends if end != home)
            return self._busy(other, home)
        node = self._all.node(fault.who)
        if isinstance(node, HomeNode):
            if fault.what is What.AT_COMMIT:
                return True  # or it would not have come
            if fault.what in (What.CRASH, What.OLD_DISK):
                return node.up and node.disk.backlog > 0
            return node.up and (bool(node.home.leases) or node.disk.backlog > 0)
        return self._busy(fault.who)

    def _busy(self, name: str, home: str = "") -> bool:
        """Whether a client has jobs under way, a site leases of this home or of any."""
        if name in self._all.clients:
            client = self._all.clients[name]
            jobs = client.jobs.values()
            return client.up and any(job.submitted and not job.ended for job in jobs)
        site = self._all.sites[name]
        return site.up and any(
            link.engine.runs for at, link in site.links.items() if home in ("", at)
        )


def _effect(fault: Fault) -> tuple[str, What]:
    """Faults of the same effect overlap."""
    return fault.who, What.CRASH if fault.what in _DOWN else fault.what
