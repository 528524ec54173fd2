"""Jobs of heavy-tailed items on four sites, beside the clairvoyant linear program.

Every run is a rehearsal: the real home, agents and wire in virtual time. The program knows all work
and all speeds beforehand, cuts work like water and pays nothing for leases: no schedule is cheaper.

Every deadline here is feasible with far more than 5% of slack, for whole items too: it is at least
1.2 times what the real home took with all sites at once, which is a schedule of them. So every
deadline that is missed counts as one that need not have been. Who does not know the items
beforehand cannot be sure of any: the one that begins last may be the longest.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from scipy.optimize import linprog

from hanse.ids import JobId
from hanse.sim.rehearsal import Stage
from hanse.sim.rehearsal_scenario import JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_times import Times

JOB = "job"
ITEMS = 6000
MEAN_S = 30.0
BEGIN_S = 1.0
RATIOS = (1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True)
class Case:
    """Four sites and a job, whose deadline is `ratio` times what all sites together took."""

    seed: int
    sites: tuple[SiteKind, ...]
    job: JobKind
    ratio: float


@dataclass(frozen=True)
class Outcome:
    end_s: float  # after the job was submitted
    cost: float
    spent: dict[str, float]
    done: bool


def draw(seed: int) -> Case:
    """Prices and speeds are drawn apart, so that the dearest site need not be the fastest. A site
    tells of its speed with an error of a twentieth."""
    luck = random.Random(seed)
    sites = []
    for n in range(4):
        slots = luck.randint(4, 12)
        speed = math.exp(luck.uniform(-0.7, 0.9))
        price = speed * math.exp(luck.uniform(0, 1.6))
        told = speed * math.exp(luck.gauss(0, 0.05))
        sites.append(site(f"site-{n}", slots, speed, slots * price, told))
    times = (
        Times("lognormal", MEAN_S, luck.uniform(1.0, 1.5))
        if luck.random() < 0.5
        else Times("pareto", MEAN_S, alpha=luck.uniform(2.0, 2.6))
    )
    job = JobKind(JOB, ITEMS, times, 0.0, 3, 1, 1, BEGIN_S)
    return Case(seed, tuple(sites), job, luck.choice(RATIOS))


def site(name: str, slots: int, speed: float, price: float, told: float) -> SiteKind:
    return SiteKind(
        name, count=1, cpus=slots, speed=speed, price_per_hour=price, region=name,
        round_trip_ms=20.0, lease_cost_ms=50.0, evictions_per_hour=0.0, notice_s=0.0,
        back_after_s=60.0, start_s=0.0, stop_s=math.inf, told_speed=told,
    )  # fmt: skip


def run(sites: tuple[SiteKind, ...], job: JobKind, seed: int) -> Outcome:
    """Under the real home. The cost is what the home itself has counted."""
    if job.deadline_s == math.inf:  # so that costs are counted: a budget that nobody reaches
        job = replace(job, budget=min(job.budget, 1e8))
    stage = Stage(Scenario(sites, (job,)), seed)
    stage.run()
    book = stage.books.jobs[JobId(JOB)]
    place = stage.home.home.jobs[JobId(JOB)].place
    assert place is not None
    spent = {name: nano / 1e9 for name, nano in place.purse.spent.items()}
    return Outcome(
        book.ended_ns / 1e9 - job.submitted_s, sum(spent.values()), spent, book.state == "done"
    )


def work_s(case: Case) -> float:
    """Of all items, at speed 1."""
    return sum(case.job.times.table(case.seed, 0, case.job.items)) / 1e9


def optimum(case: Case, deadline_s: float) -> float:
    """What a clairvoyant pays who may cut items to pieces: HiGHS. Slot seconds of each site are
    what is chosen."""
    prices = [kind.price_per_hour / kind.cpus / 3600 for kind in case.sites]
    found = linprog(
        prices,
        A_eq=[[kind.speed for kind in case.sites]],
        b_eq=[work_s(case)],
        bounds=[(0, kind.cpus * deadline_s) for kind in case.sites],
        method="highs",
    )
    assert found.success, found.message
    return float(found.fun)


# --- simpler ways -------------------------------------------------------------------------------
def cheapest_site(case: Case) -> tuple[SiteKind, ...]:
    return (min(case.sites, key=lambda kind: kind.price_per_hour / kind.cpus / kind.speed),)


def fastest_site(case: Case) -> tuple[SiteKind, ...]:
    return (max(case.sites, key=lambda kind: kind.cpus * kind.speed),)


def simple_ways(case: Case, deadline_s: float) -> dict[str, tuple[float, float]]:
    """Cost and end of what one would do by hand, were work a fluid and leases free: so these come
    out better than they would run."""
    work = work_s(case)
    power = {kind.name: kind.cpus * kind.speed for kind in case.sites}
    unit = {kind.name: kind.price_per_hour / kind.cpus / kind.speed / 3600 for kind in case.sites}
    cheap = min(unit, key=unit.__getitem__)
    fast = max(power, key=power.__getitem__)
    whole = sum(power.values())
    at_once = sum(unit[name] * power[name] for name in power) / whole  # of a unit of work
    even = work / len(power)
    found = {
        "all on the cheapest site": (work * unit[cheap], work / power[cheap]),
        "all on the fastest site": (work * unit[fast], work / power[fast]),
        "even split": (
            sum(even * unit[name] for name in unit), max(even / power[name] for name in power),
        ),
    }  # fmt: skip
    # The cheapest site alone while it is on time, all of them while it is not: `late` of the work
    # is done by all. Which comes first decides nothing where work is a fluid.
    spare = deadline_s - work / whole
    slow = (
        max(0.0, min(work, spare / (1 / power[cheap] - 1 / whole))) if power[cheap] < whole else 0
    )
    cost = slow * unit[cheap] + (work - slow) * at_once
    end = slow / power[cheap] + (work - slow) / whole
    found["uniform progress or greedy: the cheapest, or all"] = cost, min(end, deadline_s)
    return found
