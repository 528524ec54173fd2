"""Makes a failing plan small: fewer faults, fewer jobs, fewer sites, smaller jobs.

Delta debugging (Zeller, Hildebrandt, TSE 2002) over each list in turn, for as long as something
goes and the tries last. A smaller plan counts if it fails in the same way, which is the first words
of what was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hanse.sim.plan import Fault, HomePlan, JobPlan, Plan, SitePlan
from hanse.sim.simulate import simulate

T = TypeVar("T")

TRIES = 400
"""Runs that a shrinking may take: some ten seconds."""


def shrink(plan: Plan, wrong: str, tries: int = TRIES) -> Plan:
    """The smallest plan found that goes wrong in the same way."""
    return _Shrinking(wrong, tries).shrink(plan)


def way(wrong: str) -> str:
    """The way in which a run failed: what was wrong, without the particulars."""
    return wrong.split(":")[0] + ":" + wrong.partition(": ")[2].split(":")[0].rstrip("0123456789 ")


class _Shrinking:
    def __init__(self, wrong: str, tries: int) -> None:
        self._way = way(wrong)
        self._left = tries

    def shrink(self, plan: Plan) -> Plan:
        while True:
            smaller = self._jobs(self._faults(plan))
            smaller = self._sizes(self._homes(self._sites(smaller)))
            if smaller == plan or not self._left:
                return smaller
            plan = smaller

    def _fails(self, plan: Plan) -> bool:
        if not self._left:
            return False
        self._left -= 1
        outcome = simulate(plan)
        return bool(outcome.wrong) and way(outcome.wrong) == self._way

    def _faults(self, plan: Plan) -> Plan:
        def smaller(faults: list[Fault]) -> Plan:
            return plan.replace(faults=faults)

        return self._fewer(plan, plan.faults, smaller)

    def _jobs(self, plan: Plan) -> Plan:
        def smaller(jobs: list[JobPlan]) -> Plan:
            names = {job.name for job in jobs}
            return plan.replace(jobs=[_without(job, names) for job in jobs])

        return self._fewer(plan, plan.jobs, smaller, least=1)

    def _sites(self, plan: Plan) -> Plan:
        def smaller(sites: list[SitePlan]) -> Plan:
            return plan.replace(sites=sites)

        return self._fewer(plan, plan.sites, smaller, least=1)

    def _homes(self, plan: Plan) -> Plan:
        def smaller(homes: list[HomePlan]) -> Plan:
            names = {home.name for home in homes}
            jobs = [job for job in plan.jobs if job.home in names]
            return plan.replace(homes=homes, jobs=jobs)

        return self._fewer(plan, plan.homes, smaller, least=1)

    def _sizes(self, plan: Plan) -> Plan:
        """Halve jobs that do not need their later items."""
        for place, job in enumerate(plan.jobs):
            while job.size > 1:
                job = _halved(job)
                jobs = [*plan.jobs[:place], job, *plan.jobs[place + 1 :]]
                smaller = plan.replace(jobs=[_inside(other, jobs) for other in jobs])
                if not self._fails(smaller):
                    break
                plan = smaller
        return plan

    def _fewer(
        self, plan: Plan, some: Sequence[T], smaller: Callable[[list[T]], Plan], least: int = 0
    ) -> Plan:
        """Leave out runs of elements, long ones first."""
        kept, length = list(some), max(1, len(some))
        while length:
            start = 0
            while start < len(kept):
                fewer = kept[:start] + kept[start + length :]
                if least <= len(fewer) < len(kept) and self._fails(smaller(fewer)):
                    kept = fewer
                else:
                    start += length
            length //= 2
        return smaller(kept) if len(kept) < len(some) else plan


def _without(job: JobPlan, names: set[str]) -> JobPlan:
    """The job, waiting for none but these."""
    waits = [(item, [ref for ref in refs if ref[0] in names]) for item, refs in job.waits]
    return job.replace(waits=[wait for wait in waits if wait[1]])


def _halved(job: JobPlan) -> JobPlan:
    size = job.size // 2
    sizes = sorted({min(step, size) for step in job.sizes})
    return job.replace(sizes=sizes, waits=[wait for wait in job.waits if wait[0] < size])


def _inside(job: JobPlan, jobs: list[JobPlan]) -> JobPlan:
    """The job, waiting for no item that is not there any more."""
    sizes = {other.name: other.size for other in jobs}
    waits = [(item, [r for r in refs if r[1] < sizes[r[0]]]) for item, refs in job.waits]
    return job.replace(waits=[wait for wait in waits if wait[1]])
