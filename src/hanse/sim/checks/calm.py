"""Liveness: once nothing goes wrong any more, every job ends within a bound, and nothing is left.

Calm means that messages arrive, nodes are up and at their own speed, and no attempt is a straggler.
The bound, in virtual time from the moment at which all of that begins, is the sum of

- one life of a lease: by then lines are healed, every home has heard from every site, and what it
  believes to run where it does not is given up;
- what runs at that moment, begun on a slowed site and as a straggler: all of it at the same time,
  so it takes as long as the longest of it;
- all the work there is, one item after the other on the slowest site: each item as often as its own
  failures want it, what dies with a worker as often as workers die, all of that twice for what is
  started a second time elsewhere, and for every attempt the way of a lease there and back;
- the time until the last job is submitted, and for each step by which jobs grow, its pause and two
  questions of a client: one job may wait for another to grow.

Work is bounded as if a single cpu did it, which is far from what happens; but one always does.
"""

from __future__ import annotations

from hanse import limits
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.sim import work
from hanse.sim.federation import Federation
from hanse.sim.plan import JobPlan, Plan, What
from hanse.sim.world import Violation, require

ENDLESS = "it does not end"
"""So begins what is told of a run that goes on for ever."""

_ASK_NS = limits.SECOND  # a client asks at least so often
_TURN_NS = 10 * limits.MS  # what a site and a home take to answer
_QUIET_NS = 2 * limits.LEASE_TTL_NS + 2 * limits.REPORT_EVERY_NS


def bound_ns(plan: Plan) -> int:
    """How long after `calm_ns` all jobs have ended."""
    slowest = min(site.speed for site in plan.sites)
    late_ns = max((job.at_ns - plan.calm_ns for job in plan.jobs), default=0)
    begun_ns = max((_begun_ns(plan, job) for job in plan.jobs), default=0)
    work_ns = sum(_work_ns(plan.seed, job) for job in plan.jobs)
    around_ns = sum(_around_ns(plan, job) for job in plan.jobs)
    items_ns = (begun_ns + 2 * work_ns) * 100 // slowest
    return limits.LEASE_TTL_NS + max(0, late_ns) + items_ns + around_ns


def _each_ns(seed: int, job: JobPlan) -> list[int]:
    return [work.item_ns(seed, job, item, LeaseId(0), late=False) for item in range(job.size)]


def _unsaid_ns(seed: int, job: JobPlan) -> int:
    """What a worker may have done that it has not streamed, and the item that it is at."""
    each = _each_ns(seed, job)
    return sum(each) if job.folded else limits.FLUSH_NS + max(each, default=0)


def _begun_ns(plan: Plan, job: JobPlan) -> int:
    """What was begun before it was calm, at speed 100."""
    slow = [fault.amount for fault in plan.faults if fault.what is What.SLOW]
    return _unsaid_ns(plan.seed, job) * max(slow, default=1) * work.LATE


def _work_ns(seed: int, job: JobPlan) -> int:
    """Of all items as often as each of them runs, and what dies with workers."""
    each = _each_ns(seed, job)
    deaths = sum(_tries(seed, job, item) for item in range(job.size) if _deadly(seed, job, item))
    tried = sum(ns * _tries(seed, job, item) for item, ns in enumerate(each))
    return tried + deaths * _unsaid_ns(seed, job)


def _deadly(seed: int, job: JobPlan, item: int) -> bool:
    return work.fate(seed, job, item, 1) is Cause.DIED


def _tries(seed: int, job: JobPlan, item: int) -> int:
    """How often an item runs that is never taken away from its site."""
    most = limits.MAX_CRASHES if _deadly(seed, job, item) else job.retries + 1
    tries = 1
    while tries < most and work.fate(seed, job, item, tries) not in (None, Cause.RESULT):
        tries += 1
    return tries


def _around_ns(plan: Plan, job: JobPlan) -> int:
    """For words about a job: the way there and back of a lease for each attempt, and of questions
    for each step of its growth."""
    (line,) = (home.line for home in plan.homes if home.name == job.home)
    trip_ns = 2 * (line.delay_ns + line.jitter_ns) + _TURN_NS
    tries = sum(_tries(plan.seed, job, item) for item in range(job.size))
    steps = len(job.sizes) + 2
    return trip_ns * tries + steps * (job.pause_ns + 2 * (_ASK_NS + trip_ns))


def settle(federation: Federation, most_events: int) -> None:
    """Run until all is done and quiet. Raises Violation if that takes too long, or more events."""
    world, plan = federation.world, federation.plan
    late_ns = plan.calm_ns + bound_ns(plan)
    while world.now_ns < plan.calm_ns or not _done(federation):
        require(world.step(), "nothing will happen any more, and jobs have not ended")
        require(world.events < most_events, f"{ENDLESS}: so many events by", world.now_ns, "ns")
        if world.now_ns > late_ns:
            raise Violation(f"jobs do not end: {_open(federation)}")
    _quieten(federation, max(world.now_ns, plan.calm_ns) + _QUIET_NS, most_events)


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


def _quieten(federation: Federation, late_ns: int, most_events: int) -> None:
    """Leases are closed and notes acknowledged, soon after the last job has ended."""
    world = federation.world
    while (left := _left(federation)) and world.step():
        require(world.events < most_events, f"{ENDLESS}: so many events by", world.now_ns, "ns")
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
