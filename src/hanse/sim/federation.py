"""A plan made real: nodes, lines between them, work at its time, and the checkers beside it."""

from __future__ import annotations

from collections.abc import Callable

from hanse.core.invariants import check
from hanse.ids import JobId, SiteId
from hanse.sim.checks.watch import Watch
from hanse.sim.client import ClientNode
from hanse.sim.home import HomeNode
from hanse.sim.network import Network
from hanse.sim.node import Node
from hanse.sim.plan import HomePlan, JobPlan, Plan
from hanse.sim.site import SiteNode
from hanse.sim.world import World


class Federation:
    """Every node, by name."""

    def __init__(self, plan: Plan, trace: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.world = World(trace)
        self.world.calm_ns = plan.calm_ns
        self.network = Network(self.world, plan.seed)
        self.jobs = {JobId(job.name): job for job in plan.jobs}
        self.homes: dict[str, HomeNode] = {}
        self.watches: dict[str, Watch] = {}  # of the homes
        self.sites = {s.name: SiteNode(self.world, s, plan.seed) for s in plan.sites}
        self.clients: dict[str, ClientNode] = {}
        for home in plan.homes:
            self._add_home(home)
        for job in plan.jobs:
            self.clients[client_of(job.home)].add(job)
        for site in self.sites.values():
            for link in site.links.values():
                link.news()

    def node(self, name: str) -> Node | None:
        return self.homes.get(name) or self.sites.get(name) or self.clients.get(name)

    def plan_of(self, job: JobId) -> JobPlan:
        return self.jobs[job]

    def _add_home(self, plan: HomePlan) -> None:
        watch = self.watches[plan.name] = Watch(self.jobs)
        node = self.homes[plan.name] = HomeNode(self.world, plan, self.plan.seed, watch)
        client = ClientNode(self.world, client_of(plan.name), node.asked)
        self.clients[client.name] = client
        watch.clients.append(client)
        client.line = self.network.open(client.name, plan.name, plan.line)
        node.lines[client.name] = self.network.open(plan.name, client.name, plan.line)
        for site in self.sites.values():
            up = self.network.open(site.name, plan.name, plan.line)
            node.lines[site.name] = self.network.open(plan.name, site.name, plan.line)
            link = site.join(plan.name, up, self.plan.seed, self.plan_of, watch.truth)
            link.deliver = node.heard
            node.deliveries[site.name] = link.ordered
            watch.truth.links.append(link)
            if site.plan.tariff is not None:
                node.tariff[SiteId(site.name)] = site.plan.tariff
        self.world.at(0, node.introduce)

    def check(self) -> None:
        for home in self.homes.values():
            check(home.home)


def client_of(home: str) -> str:
    return f"client-{home}"
