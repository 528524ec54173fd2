"""Makes the faults of a plan happen, and heals all of them when calm is to come."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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


class Faults:
    """Everything that goes wrong in a run."""

    def __init__(self, federation: Federation) -> None:
        self._all = federation
        self._world = federation.world
        self._draws = Draws(federation.plan.seed, "faults")
        self.calm = False
        for fault in federation.plan.faults:
            self._world.at(fault.at_ns, self._strike, fault)
        self._world.at(federation.plan.calm_ns, self._heal_all)

    def _strike(self, fault: Fault) -> None:
        if self.calm:
            return
        self._world.trace("fault", fault)
        direction = self._all.network.directions.get(fault.who)
        node = self._all.node(fault.who)
        if direction is not None:
            self._on_line(fault, direction)
        elif isinstance(node, ClientNode):
            node.leave()
            self._later(fault, node.come_back)
        elif fault.what in (What.FREEZE, What.JUMP, What.DRIFT):
            if node is not None:
                self._on_node(fault, node)
        elif isinstance(node, HomeNode):
            self._on_home(fault, node)
        elif isinstance(node, SiteNode):
            self._on_site(fault, node)

    def _later(self, fault: Fault, heal: Callable[[], None]) -> None:
        """Heal it when its time is over, unless all is healed by then."""
        self._world.after(fault.for_ns, lambda: None if self.calm else heal())

    def _on_line(self, fault: Fault, line: Direction) -> None:
        line.cut |= fault.what is What.CUT
        line.clogged |= fault.what is What.CLOG
        if fault.what is What.STORM:
            line.storm = fault.amount
        self._later(fault, line.heal)

    def _on_node(self, fault: Fault, node: Node) -> None:
        if fault.what is What.JUMP:
            node.change_clock(jump_ns=fault.amount)
        elif fault.what is What.DRIFT:
            node.change_clock(drift_ppm=fault.amount)
            self._later(fault, lambda: node.change_clock(drift_ppm=node.drift_ppm))
        else:
            node.freeze()
            self._later(fault, node.thaw)

    def _on_home(self, fault: Fault, home: HomeNode) -> None:
        match fault.what:
            case What.CRASH | What.OLD_DISK | What.NO_DISK:
                home.crash(fault.what is What.CRASH, fault.what is not What.NO_DISK)
                self._later(fault, home.restart)
            case What.AT_COMMIT:
                home.doomed = partial(self._crash_at_commit, fault, home)
            case What.FULL_DISK:
                home.disk.full = True
                self._later(fault, lambda: setattr(home.disk, "full", False))
            case What.SLOW_DISK:
                home.disk.slowness = fault.amount
                self._later(fault, lambda: setattr(home.disk, "slowness", 1))

    def _crash_at_commit(self, fault: Fault, home: HomeNode) -> None:
        home.crash()
        self._later(fault, home.restart)

    def _on_site(self, fault: Fault, site: SiteNode) -> None:
        match fault.what:
            case What.CRASH:
                site.crash()
                self._later(fault, site.restart)
            case What.NOTICE:
                site.drain()
                self._world.after(fault.amount, lambda: None if self.calm else site.crash())
                self._later(fault, site.restart)
            case What.SLOW:
                site.slowness = fault.amount
                self._later(fault, lambda: setattr(site, "slowness", 1))
            case What.DEATH | What.LOSE:
                self._hurt(fault, site)

    def _hurt(self, fault: Fault, site: SiteNode) -> None:
        for link in site.links.values() if site.up and not site.frozen else ():
            runs = list(link.engine.runs.values())
            if runs:
                run = self._draws.pick(runs)
                if fault.what is What.DEATH:
                    link.engine.kill_worker(run)
                else:
                    link.engine.lose(run, "the simulator took it away")

    # --- calm -----------------------------------------------------------------------------------
    def _heal_all(self) -> None:
        """Nothing goes wrong from here on. Nodes come back; lines are healed in any order."""
        self.calm = self._all.network.calm = True
        self._world.trace("fault", "all is healed from here on")
        for home in self._all.homes.values():
            home.disk.full, home.disk.slowness = False, 1
            home.doomed = None
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
