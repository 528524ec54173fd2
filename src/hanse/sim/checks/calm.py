"""Liveness: once nothing goes wrong any more, every job ends within a bound, and nothing is left.

The bound, in virtual time from the moment at which the last line is healed:

- two lives of a lease, for homes to give up what they believe to run elsewhere and to hear from
  every site again, and again for what depends on that;
- all the work there is, one item after the other on the slowest site, with every attempt it may
  take and every straggler; far more than it takes on all sites, and still a bound;
- for each step by which a job grows, its pause and some questions of its client.
"""

from __future__ import annotations

from hanse import limits
from hanse.ids import JobId, LeaseId
from hanse.sim import work
from hanse.sim.federation import Federation
from hanse.sim.plan import JobPlan, Plan
from hanse.sim.world import Violation, require

_STEP_NS = 10 * limits.SECOND
_QUIET_NS = 2 * limits.LEASE_TTL_NS + 2 * limits.REPORT_EVERY_NS
_ATTEMPTS = limits.MAX_CRASHES + 3


def bound_ns(plan: Plan) -> int:
    """How long after `calm_ns` all jobs have ended."""
    slowest = min(site.speed for site in plan.sites)
    items_ns = sum(_work_ns(plan.seed, job) for job in plan.jobs)
    steps = max((_steps_ns(job) for job in plan.jobs), default=0)
    return 4 * limits.LEASE_TTL_NS + items_ns * 100 // slowest + steps


def _work_ns(seed: int, job: JobPlan) -> int:
    each = sum(work.item_ns(seed, job, item, LeaseId(0)) for item in range(job.size))
    return each * _ATTEMPTS if job.failing or job.deadly else each * 2


def _steps_ns(job: JobPlan) -> int:
    return len(job.sizes) * (job.pause_ns + _STEP_NS) + _STEP_NS


def settle(federation: Federation) -> None:
    """Run until all is done and quiet. Raises Violation if that takes too long."""
    world, plan = federation.world, federation.plan
    late_ns = plan.calm_ns + bound_ns(plan)
    while world.now_ns < plan.calm_ns or not _done(federation):
        require(world.step(), "nothing will happen any more, and jobs have not ended")
        if world.now_ns > late_ns:
            raise Violation(f"jobs do not end: {_open(federation)}")
    _quieten(federation, max(world.now_ns, plan.calm_ns) + _QUIET_NS)


def _done(federation: Federation) -> bool:
    return all(watch.done() for watch in federation.watches.values())


def _open(federation: Federation) -> list[str]:
    return [
        f"{job} ({home.home.jobs[job].state if job in home.home.jobs else 'unknown'} at {name})"
        for name, home in federation.homes.items()
        for client in federation.watches[name].clients
        for job, memory in client.jobs.items()
        if not memory.ended and not memory.lost
    ]


def _quieten(federation: Federation, late_ns: int) -> None:
    """Leases are closed and notes acknowledged, soon after the last job has ended."""
    world = federation.world
    while (left := _left(federation)) and world.step():
        require(world.now_ns <= late_ns, "left though all jobs have ended:", left)


def _left(federation: Federation) -> str:
    lost = _lost(federation)
    for name, home in federation.homes.items():
        leases = [lease for lease in home.home.leases.values() if lease.job not in lost]
        if leases:
            return f"{len(leases)} leases at {name}"
        if home.disk.backlog:
            return f"unsynced facts at {name}"
    for name, site in federation.sites.items():
        for home_name, link in site.links.items():
            runs = [run for run in link.engine.runs.values() if run.job not in lost]
            if runs or link.agent._notes:
                return f"{len(link.agent._notes)} notes at {name} for {home_name}"
    return ""


def _lost(federation: Federation) -> set[JobId]:
    """Jobs that their clients believe lost. A late message may begin one anew, and nobody waits for
    its end."""
    return {
        job
        for watch in federation.watches.values()
        for client in watch.clients
        for job, memory in client.jobs.items()
        if memory.lost
    }
