"""What is to be done and by whom, and how long Hanse takes for it in its simulator.

Every worker is a machine of one slot in a rehearsal (`hanse.sim.rehearsal`): the real home, agents
and wire in virtual time. Ours is only what a scenario file cannot say: each item's own time,
attempts that are slow, and a home that starts nothing twice. Nothing depends on the clock of the
machine that runs this.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hanse import limits
from hanse.core.home import Home
from hanse.ids import JobId
from hanse.sim.rehearsal import Stage
from hanse.sim.rehearsal_scenario import FaultKind, JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_site import Work
from hanse.sim.rehearsal_times import Times

JOB = "job"
_BEGIN_S = 1.0  # the sites were there before the job


@dataclass(frozen=True)
class Worker:
    """One slot somewhere."""

    speed: float = 1.0
    cost_ns: int = 2 * limits.MS  # of its time, before the first item of each lease
    delay_ns: int = 0  # of a message, one way
    slow_from_ns: int | None = None  # items that begin from then on take `slow_by` times as long
    slow_by: float = 10.0
    dies_ns: int | None = None  # with all that it has not reported
    back_ns: int | None = None  # it is started anew then; None: never

    def takes(self, work_ns: int, now_ns: int) -> int:
        """How long it works on this, if it begins now."""
        slow = self.slow_from_ns is not None and now_ns >= self.slow_from_ns
        return max(1, int(work_ns / self.speed * (self.slow_by if slow else 1)))


@dataclass(frozen=True)
class Case:
    """What is to be done, and by whom."""

    items: Sequence[int]  # ns of work each, at speed 1
    workers: Sequence[Worker]
    attempt: Callable[[int, int], float] = field(default=lambda item, n: 1.0)
    """How many times as long the n-th execution of an item takes, from 0."""


@dataclass(frozen=True)
class Outcome:
    """How it went."""

    end_ns: int
    busy_ns: int  # time that workers spent on items, wasted or not
    leases: int


class CaseWork(Work):
    """Items take what the case says."""

    def __init__(self, case: Case, *known: Any) -> None:
        super().__init__(*known)
        self._case = case
        self._begun: Counter[int] = Counter()

    def takes_ns(self, job: JobId, item: int) -> int:
        n = self._begun[item]
        self._begun[item] += 1
        return int(self._case.items[item] * self._case.attempt(item, n))


class NoBackups(Home):
    """A home that starts nothing twice, to see what backups are worth."""

    def _back_up(self, job: object, site: object) -> None:
        pass


def hanse(case: Case, *, backups: bool = True) -> Outcome:
    """Run the case under Hanse's own home and agents."""
    stage = Stage(scenario(case), 0, lambda *known: CaseWork(case, *known))
    if not backups:
        stage.home.home = NoBackups()
    stage.run()
    books = stage.books
    assert books.all_ended, "nothing happens any more, and the job has not ended"
    return Outcome(
        books.jobs[JobId(JOB)].ended_ns - _ns(_BEGIN_S),
        sum(site.busy_ns for site in books.sites.values()),
        sum(site.leases for site in books.sites.values()),
    )


def scenario(case: Case) -> Scenario:
    """As much of a case as a scenario file could say."""
    job = JobKind(JOB, len(case.items), Times(), 0.0, 3, 1, 1, _BEGIN_S)
    sites = tuple(_site(f"w{n:03}", worker) for n, worker in enumerate(case.workers))
    faults = [
        fault
        for site, worker in zip(sites, case.workers, strict=True)
        for fault in _faults(site.name, worker)
    ]
    return Scenario(sites, (job,), tuple(faults))


def _site(name: str, worker: Worker) -> SiteKind:
    return SiteKind(
        name, count=1, cpus=1, speed=worker.speed, price_per_hour=0.0, region="",
        round_trip_ms=2 * worker.delay_ns / limits.MS, lease_cost_ms=worker.cost_ns / limits.MS,
        evictions_per_hour=0.0, notice_s=0.0, back_after_s=60.0, start_s=0.0, stop_s=math.inf,
    )  # fmt: skip


def _faults(name: str, worker: Worker) -> list[FaultKind]:
    faults = []
    if worker.slow_from_ns is not None:
        faults.append(_fault("slow", name, worker.slow_from_ns, math.inf, worker.slow_by))
    if worker.dies_ns is not None:
        for_s = math.inf if worker.back_ns is None else (worker.back_ns - worker.dies_ns) / 1e9
        faults.append(_fault("kill", name, worker.dies_ns, for_s, 1.0))
    return faults


def _fault(what: str, name: str, at_ns: int, for_s: float, factor: float) -> FaultKind:
    at_s = _BEGIN_S + at_ns / limits.SECOND
    return FaultKind(what, name, "", at_s, math.nan, for_s, factor)


def _ns(seconds: float) -> int:
    return round(seconds * limits.SECOND)
