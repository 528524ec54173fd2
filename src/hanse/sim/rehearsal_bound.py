"""The fluid bound: no schedule whatever ends earlier than max(total work / total speed, longest
item). Sites count from their start to their stop; faults and evictions only make it later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hanse import limits
from hanse.ids import JobId
from hanse.sim.rehearsal_scenario import Scenario, SiteKind


@dataclass(frozen=True)
class Bound:
    """Seconds from the start of the rehearsal; infinite if the sites stop before."""

    seconds: float
    work_s: float  # cpu seconds at speed 1
    longest_s: float  # of one item, on the fastest site


def bounds(
    scenario: Scenario, times: Mapping[JobId, list[int]]
) -> tuple[Bound, dict[JobId, Bound]]:
    """Of all jobs together, and of each as if it were alone."""
    each = {}
    for job in scenario.jobs:
        table = times[JobId(job.name)]
        work_s = sum(table) * job.cpus / limits.SECOND
        fastest = max(site.speed for site in scenario.sites if site.cpus >= job.cpus)
        longest_s = max(table) / limits.SECOND / fastest
        fluid_s = _fluid(scenario.sites, work_s, job.submitted_s)
        end_s = max(fluid_s, job.submitted_s + longest_s)
        each[JobId(job.name)] = Bound(end_s, work_s, longest_s)
    work_s = sum(bound.work_s for bound in each.values())
    begin_s = min(job.submitted_s for job in scenario.jobs)
    end_s = max(
        _fluid(scenario.sites, work_s, begin_s), *(bound.seconds for bound in each.values()), 0.0
    )
    return Bound(end_s, work_s, max(bound.longest_s for bound in each.values())), each


def _fluid(sites: tuple[SiteKind, ...], work_s: float, begin_s: float) -> float:
    """When all cpus together have done so much, if none of them ever waits."""
    changes = [(max(site.start_s, begin_s), site.count * site.cpus * site.speed) for site in sites]
    changes += [(max(site.stop_s, begin_s), -site.count * site.cpus * site.speed) for site in sites]
    now_s, power = begin_s, 0.0
    for at_s, change in sorted(changes):
        if power > 1e-9:
            if now_s + work_s / power <= at_s:
                return now_s + work_s / power
            work_s -= (at_s - now_s) * power
        now_s, power = at_s, power + change
    return math.inf
