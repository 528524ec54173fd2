"""A federation in virtual time: the real `Home` and `Agent`, and workers that are only numbers.

Every worker is a site of one slot: an agent, a link with a delay each way, and an engine that takes
a fixed time before the first item of a lease, then one item after another, and streams results as
the local engine does. Nothing depends on the clock of the machine that runs this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from hanse import limits
from hanse.core.agent import Agent, CancelLease, Command, CutLease, StartLease
from hanse.core.events import Event, Hear, JobEnded, Submit, Tick
from hanse.core.home import Home
from hanse.core.messages import Orders
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.job import JobSpec
from hanse.model.resources import ONE_CPU

JOB = JobId("job")


@dataclass(frozen=True)
class Worker:
    """One slot somewhere."""

    speed: float = 1.0
    cost_ns: int = 2 * limits.MS  # of its time, before the first item of each lease
    delay_ns: int = 0  # of a message, one way
    slow_from_ns: int | None = None  # from then on it takes `slow_by` times as long
    slow_by: float = 10.0
    dies_ns: int | None = None
    back_ns: int | None = None  # its process is started anew then; None: never

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


@dataclass
class Outcome:
    """How it went."""

    end_ns: int = 0
    busy_ns: int = 0  # time that workers spent on items, wasted or not
    leases: int = 0
    runs: int = 0  # executions of items that were begun


class Clock:
    """What comes next, and when."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = count()

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        heappush(self._heap, (max(when_ns, self.now_ns), next(self._count), action))

    def step(self) -> bool:
        if not self._heap:
            return False
        self.now_ns, _, action = heappop(self._heap)
        action()
        return True


class Run:
    """A lease in its worker."""

    def __init__(self, lease: LeaseId, start: int, stop: int) -> None:
        self.lease = lease
        self.at = start  # the item that runs
        self.stop = stop
        self.said = start  # reported up to here
        self.busy_ns = 0  # of what is not reported
        self.began_ns = -1  # when the item began; -1: none has
        self.flushed_ns = 0


class Site:
    """One worker with its agent."""

    def __init__(self, world: World, number: int, worker: Worker) -> None:
        self.world, self.worker = world, worker
        self.id = SiteId(f"w{number:04}")
        self.agent = Agent(self.id, 1, ONE_CPU)
        self.runs: dict[LeaseId, Run] = {}
        self.alive = 0  # counts lives; what an earlier life had planned is void
        self.due = 0  # timers older than this are void
        self.reporting = False
        self.gone = False  # and never comes back

    def later(self, delay_ns: int, action: Callable[[], None]) -> None:
        life = self.alive

        def act() -> None:
            if life == self.alive:
                action()

        self.world.clock.at(self.world.clock.now_ns + delay_ns, act)

    # --- messages -------------------------------------------------------------------------------
    def report_soon(self) -> None:
        if self.agent.has_news and not self.reporting:
            self.reporting = True
            self.later(0, self.report)

    def report(self) -> None:
        self.reporting = False
        report = self.agent.report(self.world.clock.now_ns, self.begun)
        self.world.send(self.worker.delay_ns, lambda: self.world.tell(Hear(report)))
        self.set_timer()

    def set_timer(self) -> None:
        self.due += 1
        due = self.due
        wait = self.agent.report_due_ns - self.world.clock.now_ns
        self.later(wait, lambda: self.report() if due == self.due else None)

    def begun(self, lease: LeaseId) -> int:
        return self.runs[lease].at if lease in self.runs else 0

    def ordered(self, orders: Orders) -> None:
        self.do(self.agent.follow(orders, self.world.clock.now_ns))
        self.set_timer()
        self.report_soon()

    def do(self, commands: Sequence[Command] | None) -> None:
        for command in commands or ():
            match command:
                case StartLease(grant):
                    self.world.outcome.leases += 1
                    run = self.runs[grant.lease] = Run(grant.lease, grant.start, grant.stop)
                    self.later(self.worker.cost_ns, lambda run=run: self.begin(run))
                case CutLease(lease, stop):
                    run = self.runs.get(lease)
                    if run is not None:
                        run.stop = min(run.stop, max(stop, run.at + 1))
                        self.agent.cut(lease, run.stop)
                case CancelLease(lease):
                    run = self.runs.get(lease)
                    if run is not None:
                        self.spend(run)
                        self.end(run)
        self.report_soon()

    # --- the engine -----------------------------------------------------------------------------
    def begin(self, run: Run) -> None:
        if run.lease not in self.runs:
            return
        run.flushed_ns = self.world.clock.now_ns
        self.next(run)

    def next(self, run: Run) -> None:
        if run.at >= run.stop:
            self.flush(run)
            self.end(run)
            return
        now_ns = run.began_ns = self.world.clock.now_ns
        self.later(
            self.worker.takes(self.world.work(run.at), now_ns),
            lambda: self.finish(run) if run.lease in self.runs else None,
        )

    def finish(self, run: Run) -> None:
        run.busy_ns += self.spend(run)
        run.at += 1
        if self.world.clock.now_ns - run.flushed_ns >= limits.FLUSH_NS:
            self.flush(run)
        self.next(run)

    def spend(self, run: Run) -> int:
        """The item that ran has ended, well or not."""
        took = self.world.clock.now_ns - run.began_ns if run.began_ns >= 0 else 0
        self.world.outcome.busy_ns += took
        run.began_ns = -1
        return took

    def flush(self, run: Run) -> None:
        if run.said < run.at:
            self.agent.segment(run.lease, run.said, run.at, run.busy_ns)
            run.said, run.busy_ns = run.at, 0
        run.flushed_ns = self.world.clock.now_ns
        self.report_soon()

    def end(self, run: Run) -> None:
        del self.runs[run.lease]
        self.do(self.agent.ended(run.lease, self.world.clock.now_ns))

    # --- deaths ---------------------------------------------------------------------------------
    def dies(self) -> None:
        """The worker's process is gone, with what it has not streamed."""
        self.alive += 1
        self.reporting = False
        for run in self.runs.values():
            self.spend(run)
        if self.worker.back_ns is None:
            self.gone = True
            return
        self.world.clock.at(self.worker.back_ns, self.comes_back)

    def comes_back(self) -> None:
        """The engine noticed, and runs the rest of the lease in a new process."""
        for run in self.runs.values():
            self.agent.item_failed(run.lease, run.at, Cause.DIED, 0)
            if run.said < run.at:  # not streamed: it runs again
                run.at, run.busy_ns = run.said, 0
            self.later(self.worker.cost_ns, lambda run=run: self.begin(run))
        self.report()


class World:
    """The home, the sites, and what is on its way."""

    def __init__(self, case: Case) -> None:
        self.case, self.clock, self.home = case, Clock(), Home()
        self.outcome = Outcome()
        self.executions: dict[int, int] = {}
        self.ended = False
        self.ticking_ns = -1
        self.sites = {}
        for n, worker in enumerate(case.workers):
            site = Site(self, n, worker)
            self.sites[site.id] = site

    def work(self, item: int) -> int:
        """The work of the next execution of an item."""
        n = self.executions.get(item, 0)
        self.executions[item] = n + 1
        self.outcome.runs += 1
        return int(self.case.items[item] * self.case.attempt(item, n))

    def send(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.clock.at(self.clock.now_ns + delay_ns, action)

    def tell(self, event: Event) -> None:
        decision = self.home.handle(event, self.clock.now_ns)
        for orders in decision.sends:
            site = self.sites[orders.site]
            life = site.alive
            self.send(
                site.worker.delay_ns,
                lambda site=site, orders=orders, life=life: (
                    site.ordered(orders) if site.alive == life and not site.gone else None
                ),
            )
        if any(type(fact) is JobEnded for fact in decision.facts):
            self.ended = True
        due = self.home.next_expiry_ns()
        if due is not None and due > self.ticking_ns:
            self.ticking_ns = due
            self.clock.at(due, lambda: self.tell(Tick()))

    def run(self) -> Outcome:
        for site in self.sites.values():
            site.report()
            if site.worker.dies_ns is not None:
                self.clock.at(site.worker.dies_ns, site.dies)
        while any(site.id not in self.home.sites for site in self.sites.values()):
            self.clock.step()  # the sites were there before the job
        begun_ns = self.clock.now_ns
        self.tell(Submit(JOB, JobSpec(name="job", retries=3), len(self.case.items), True))
        while not self.ended:
            assert self.clock.step(), "nothing happens any more, and the job has not ended"
        self.outcome.end_ns = self.clock.now_ns - begun_ns
        return self.outcome


def hanse(case: Case, *, backups: bool = True) -> Outcome:
    """Run the case under Hanse's own home and agents."""
    world = World(case)
    if not backups:
        world.home = NoBackups()
    return world.run()


class NoBackups(Home):
    """A home that starts nothing twice, to see what backups are worth."""

    def _back_up(self, job: object, site: object) -> None:
        pass
