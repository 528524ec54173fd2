"""A rehearsal: a scenario run by the real home and agents, in virtual time, and what it came to.

The sites, lines and engines are the simulator's. What is ours: items take what the scenario says,
things break when it says so, and books are kept. The home itself never fails here, and jobs are
not recorded, so no disk is in the way. The same scenario and seed give the same rehearsal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from hanse import limits
from hanse.core.events import Describe, Submit
from hanse.ids import JobId, SiteId
from hanse.model.aims import NANO, Aims, Objective, Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobSpec
from hanse.sim.client import spec_of
from hanse.sim.home import HomeNode
from hanse.sim.network import Network
from hanse.sim.plan import HomePlan, JobPlan, Line
from hanse.sim.rehearsal_books import Books
from hanse.sim.rehearsal_bound import Bound, bounds
from hanse.sim.rehearsal_faults import Troubles
from hanse.sim.rehearsal_scenario import FaultKind, JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_site import HOME, Machine, Work
from hanse.sim.world import World

_NO_DELAY = Line(0, 0)


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal came to. `ended_ns` is when it was over: at the end of the last job, if
    all did end."""

    scenario: Scenario
    seed: int
    books: Books
    bounds: dict[JobId, Bound]
    bound: Bound  # of all jobs together
    ended_ns: int
    steps: int
    whole: bool  # every job ended

    @property
    def cost(self) -> float:
        """Of machines, and of bytes that went to other regions."""
        machines = sum(site.cost for site in self.books.sites.values())
        return machines + sum(job.moved_cost for job in self.books.jobs.values())

    @property
    def share_twice(self) -> float:
        """Of all the time that items took."""
        sites = self.books.sites.values()
        return sum(site.twice_ns for site in sites) / max(1, sum(site.busy_ns for site in sites))


class Stage:
    """Everything that takes part. Whoever knows better what items take brings the `work`."""

    def __init__(self, scenario: Scenario, seed: int, work: Callable[..., Work] = Work) -> None:
        self.scenario, self.seed = scenario, seed
        self.world = World()
        self.plans = {
            JobId(job.name): JobPlan(
                job.name, number, HOME, round(job.submitted_s * limits.SECOND), [job.items],
                cpus=job.cpus, retries=job.retries, weight=job.weight, durable=False,
            )
            for number, job in enumerate(scenario.jobs)
        }  # fmt: skip
        names = [(name, kind) for kind in scenario.sites for name in kind.names()]
        self.books = Books(names, list(self.plans))
        self.times = {
            JobId(job.name): job.times.table(seed, number, job.items)
            for number, job in enumerate(scenario.jobs)
        }
        failures = {JobId(job.name): job.failures for job in scenario.jobs}
        self._work = work(seed, self.plans, self.times, failures)
        self.network = Network(self.world, seed)
        self.network.calm = True  # nothing is lost but by the scenario's faults
        self.network.most = limits.REHEARSED_STEPS  # a long line holds many
        self.home = HomeNode(self.world, HomePlan(HOME, _NO_DELAY), seed, self.books)
        self.machines = [Machine(self.world, *each, seed, self.books) for each in names]
        for machine in self.machines:
            tariff = tariff_of(machine.kind)
            self.world.at(0, self.home.handle, Describe(SiteId(machine.name), Offer(tariff=tariff)))
            self._connect(machine)
        for plan in self.plans.values():
            spec = self.spec(plan)
            data = scenario.jobs[plan.number].data
            submit = Submit(JobId(plan.name), spec, plan.size, True, data)
            self.world.at(plan.at_ns, self.home.handle, submit)

    def spec(self, plan: JobPlan) -> JobSpec:
        """What is submitted."""
        return structs.replace(spec_of(plan), aims=aims_of(self.scenario.jobs[plan.number]))

    def _connect(self, machine: Machine) -> None:
        line = Line(round(machine.kind.round_trip_ms * limits.MS / 2), 0)
        up = self.network.open(machine.name, HOME, line)
        down = self.home.lines[machine.name] = self.network.open(HOME, machine.name, line)
        link = machine.connect(up, self._work)
        link.deliver = self.home.heard
        self.home.deliveries[machine.name] = link.ordered
        faults = [fault for fault in self.scenario.faults if _meant(fault, machine)]
        Troubles(machine, (up, down), self.seed).begin(faults)

    def run(self) -> None:
        """Until all jobs have ended, or nothing goes on, or it has gone on for too long."""
        world, books = self.world, self.books
        while not books.all_ended and world.events < limits.REHEARSED_STEPS and world.step():
            pass
        for machine in self.machines:
            machine.crash()  # the curtain: what runs now will not count


def tariff_of(kind: SiteKind) -> Tariff:
    """What machines of the kind say of themselves."""
    return Tariff(
        region=kind.region, price_nano=round(kind.price_per_hour * NANO), spot=bool(kind.spot),
        speed_milli=round(kind.told_speed * 1000),
    )  # fmt: skip


def aims_of(job: JobKind) -> Aims | None:
    """What a job asks of its placement; None: nothing."""
    deadline = None if math.isinf(job.deadline_s) else round(job.deadline_s * limits.SECOND)
    budget = None if math.isinf(job.budget) else round(job.budget * NANO)
    objective: Objective = "cheapest" if job.objective == "cheapest" else "fastest"
    aims = Aims(
        objective=objective, deadline_ns=deadline, budget_nano=budget, regions=job.places(),
        follows=bool(job.data),
    )  # fmt: skip
    return None if aims == Aims() else aims


def rehearse(scenario: Scenario, seed: int = 0) -> Rehearsal:
    """Run the scenario. Takes seconds to minutes of this machine's time, whatever it stands for."""
    stage = Stage(scenario, seed)
    stage.run()
    for id, job in stage.home.home.jobs.items():
        moved = [] if job.place is None else list(job.place.moved.values())
        book = stage.books.jobs[id]
        book.moved_bytes = sum(nbytes for nbytes, _ in moved)
        book.moved_cost = sum(nano for _, nano in moved) / NANO
    bound, each = bounds(scenario, stage.times)
    books, world = stage.books, stage.world
    whole = books.all_ended
    return Rehearsal(scenario, seed, books, each, bound, world.now_ns, world.events, whole)


def _meant(fault: FaultKind, machine: Machine) -> bool:
    site = not fault.site or fault.site in (machine.name, machine.kind.name)
    return site and (not fault.region or fault.region == machine.kind.region)
