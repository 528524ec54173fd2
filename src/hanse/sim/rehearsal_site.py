"""A machine of a rehearsal: the simulator's site, with the scenario's times and costs of a lease,
and with books kept of what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hanse import limits
from hanse.core.messages import Grant
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.sim.engine import Engine, Run
from hanse.sim.network import Direction
from hanse.sim.plan import JobPlan, SitePlan
from hanse.sim.rehearsal_books import Books
from hanse.sim.rehearsal_scenario import SiteKind
from hanse.sim.rehearsal_times import share_of
from hanse.sim.site import HomeLink, SiteNode
from hanse.sim.world import World

HOME = "home"


class Work:
    """What every item of every job takes at speed 1, and which attempts fail."""

    def __init__(
        self, seed: int, plans: Mapping[JobId, JobPlan], times: Mapping[JobId, list[int]],
        failures: Mapping[JobId, float],
    ) -> None:  # fmt: skip
        self.seed, self.plans, self.times, self.failures = seed, plans, times, failures

    def takes_ns(self, job: JobId, item: int) -> int:
        """At speed 1, if it begins now."""
        return self.times[job][item]

    def fails(self, job: JobId, item: int, attempt: int) -> bool:
        share = self.failures[job]
        if not share:
            return False
        return share_of(self.seed, self.plans[job].number, item, attempt) < share


class Machine(SiteNode):
    """One machine of a kind."""

    def __init__(self, world: World, name: str, kind: SiteKind, seed: int, books: Books) -> None:
        super().__init__(world, SitePlan(name, kind.cpus), seed)
        self.kind, self.books = kind, books
        self.factors: list[float] = []  # how many times slower it is now, and again

    def connect(self, line: Direction, work: Work) -> HomeLink:
        link = self.links[HOME] = Link(self, line, work)
        return link

    def item_ns(self, base_ns: int) -> int:
        taken = base_ns / self.kind.speed
        for factor in self.factors:
            taken *= factor
        return max(1, round(taken))

    def begin(self) -> None:
        self.books.up(self.name, self.world.now_ns)
        for link in self.links.values():
            link.news()

    def thawed(self, lost_ns: int) -> None:
        """As a laptop that was closed: neither work nor clock went on meanwhile."""
        super().thawed(lost_ns)
        self.change_clock(jump_ns=-lost_ns)

    def crash(self) -> None:
        self.thaw()  # what stood still has cost no work
        if self.up:
            self.books.down(self.name, self.world.now_ns)
        super().crash()

    def restart(self) -> None:
        if not self.up:
            self.books.up(self.name, self.world.now_ns)
        super().restart()


class Link(HomeLink):
    """The simulator's, with an engine of ours."""

    def __init__(self, machine: Machine, line: Direction, work: Work) -> None:
        plan_of = work.plans.__getitem__
        super().__init__(machine, line, work.seed, plan_of, machine.books)
        self._books = machine.books
        self.engine: Engine = RehearsalEngine(machine, plan_of, work, self)

    def segment(self, run: Run, start: int, stop: int, busy_ns: int) -> None:
        self._books.ran(run, start, stop, busy_ns, self.site.world.now_ns)
        super().segment(run, start, stop, busy_ns)

    def failed(self, run: Run, item: int, cause: Cause, busy_ns: int) -> None:
        self._books.attempt_failed(run, busy_ns, self.site.world.now_ns)
        super().failed(run, item, cause, busy_ns)


class RehearsalEngine(Engine):
    """The simulator's, where items take what the scenario says and a lease costs time at first."""

    def __init__(
        self, machine: Machine, plans: Callable[[JobId], JobPlan], work: Work, link: Link
    ) -> None:
        super().__init__(
            machine.world, work.seed, plans, machine.percent, lambda: machine.frozen, link
        )
        self._machine, self._work = machine, work
        self._cost_ns = round(machine.kind.lease_cost_ms * limits.MS)
        self._unreported: dict[LeaseId, int] = {}  # since when each lease has reported nothing

    def start(self, grant: Grant) -> Run:
        run = self.runs[grant.lease] = Run(grant, self._plans(grant.job), self._world.now_ns)
        self._world.after(self._cost_ns, self._begin, run, run.turn)
        return run

    def _begin(self, run: Run, turn: int) -> None:
        if turn == run.turn and not self._frozen():
            self._next_batch(run)

    def _next_batch(self, run: Run) -> None:
        now_ns = self._world.now_ns
        if run.lease not in self._unreported:
            self._machine.books.began(run.lease, now_ns)
        self._unreported[run.lease] = now_ns
        super()._next_batch(run)

    def _takes_ns(self, run: Run, item: int) -> int:
        return self._machine.item_ns(self._work.takes_ns(run.job, item))

    def _fate(self, run: Run, item: int, attempt: int) -> Cause | None:
        return Cause.RAISED if self._work.fails(run.job, item, attempt) else None

    def _end(self, run: Run, turn: int, lost: str) -> None:
        if turn == run.turn and not self._frozen():
            self._book_end(run, reported=run.at >= run.stop)
        super()._end(run, turn, lost)

    def shift(self, lost_ns: int) -> None:
        """The time in which nothing moved is no part of what items took."""
        super().shift(lost_ns)
        now_ns = self._world.now_ns
        for run in self.runs.values():
            run.since_ns += lost_ns
            run.ends = [end if end > now_ns else end + lost_ns for end in run.ends]
            if run.lease in self._unreported:
                self._unreported[run.lease] += lost_ns

    def silence(self) -> None:
        for run in self.runs.values():
            self._book_end(run, reported=False)
        super().silence()

    def _book_end(self, run: Run, reported: bool) -> None:
        now_ns = self._world.now_ns
        since_ns = self._unreported.pop(run.lease, now_ns)
        self._machine.books.ended(run.lease, 0 if reported else now_ns - since_ns, now_ns)
