"""A site: one real `Agent` for each home it works for, a model engine, and its share of the world.

It reports as the runtime does: once for all that a turn brings, and when the home asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from hanse import limits
from hanse.core.agent import Agent, CancelLease, Command, CutLease, StartLease
from hanse.core.messages import Note
from hanse.ids import JobId, SiteId
from hanse.model.failure import Cause
from hanse.model.resources import Amount
from hanse.sim.draws import Draws
from hanse.sim.engine import Engine, Run
from hanse.sim.network import Direction
from hanse.sim.node import Alarm, Node
from hanse.sim.plan import JobPlan, SitePlan
from hanse.sim.world import World, require
from hanse.wire import codec

_COALESCE_NS = limits.MS // 2
_ANSWER_NS = 3 * limits.MS  # an engine needs up to so much to do what it was told


class Witness(Protocol):
    """Whoever looks at what agents and engines do."""

    def started(self, link: HomeLink, incarnation: int, run: Run) -> None: ...
    def finished(self, run: Run, start: int, stop: int) -> None: ...
    def failed(self, run: Run, item: int, cause: Cause) -> None: ...
    def acknowledged(self, notes: Sequence[Note]) -> None: ...
    def look(self, link: HomeLink) -> None: ...


class SiteNode(Node):
    """Everything of one site."""

    def __init__(self, world: World, plan: SitePlan, seed: int) -> None:
        super().__init__(world, plan.name, plan.clock_ns, plan.drift_ppm)
        self.plan = plan
        self.draws = Draws(seed, plan.name)
        self.incarnation = 1
        self.slowness = 1
        self.draining = False
        self.ambushes: list[Callable[[], None]] = []  # one for each lease: it happens while it runs
        self.links: dict[str, HomeLink] = {}

    def percent(self) -> int:
        return 100 * self.slowness * 100 // self.plan.speed

    def join(
        self,
        home: str,
        line: Direction,
        seed: int,
        plans: Callable[[JobId], JobPlan],
        truth: Witness,
    ) -> HomeLink:
        link = self.links[home] = HomeLink(self, line, seed, plans, truth)
        return link

    def crash(self) -> None:
        if self.up:
            self.die()
            for link in self.links.values():
                link.engine.silence()

    def restart(self) -> None:
        if self.up:
            return
        self.up = True
        self.incarnation += 1
        self.slowness = 1
        self.draining = False
        for link in self.links.values():
            link.begin()

    def drain(self, left_ns: int) -> None:
        """It was told that it will be taken away in so long."""
        self.draining = self.up
        for link in self.links.values() if self.up else ():
            self.run(partial(link.drain, left_ns))

    def thawed(self, lost_ns: int) -> None:
        for link in self.links.values():
            link.engine.shift(lost_ns)


class HomeLink:
    """What a site is to one home."""

    def __init__(
        self,
        site: SiteNode,
        line: Direction,
        seed: int,
        plans: Callable[[JobId], JobPlan],
        truth: Witness,
    ) -> None:
        self.site, self.truth, self._line = site, truth, line
        self.capacity = Amount(cpus_milli=1000 * site.plan.cpus)
        self.engine = Engine(site.world, seed, plans, site.percent, lambda: site.frozen, self)
        self.agent = Agent(SiteId(site.name), site.incarnation, self.capacity)
        self.deliver: Callable[[bytes], None] = lambda data: None  # at the home
        self._alarm = Alarm(site, self._report)
        self._leaving = Alarm(site, self._hurry)
        self._reporting = 0  # the turn in which a report is under way
        self._turn = 1

    def begin(self) -> None:
        """A new process: it knows nothing."""
        self.agent = Agent(SiteId(self.site.name), self.site.incarnation, self.capacity)
        self._turn += 1
        self._leaving.set(None)
        self.news()

    def drain(self, left_ns: int) -> None:
        agent, now_ns = self.agent, self.site.clock.now_ns()
        self._do(agent.leave("the simulator takes it", now_ns, left_ns), agent.incarnation)
        self.news()
        self._leaving.set(agent.leaves_ns)
        turn, world = self._turn, self.site.world
        world.after(_ANSWER_NS, self.site.run, partial(self._look_leaving, turn))

    def _look_leaving(self, turn: int) -> None:
        """Nothing begins at a site that leaves, once its engine has been told."""
        if turn != self._turn:
            return
        for run in self.engine.runs.values():
            ends = run.cancelled or run.stop <= run.current(self.site.world.now_ns) + 1
            ends = ends or bool(run.omit)  # what a worker left behind when it died runs again
            require(ends, "it goes on, though it leaves:", run.lease)

    def _hurry(self) -> None:
        self._do(self.agent.hurry(), self.agent.incarnation)
        on = [run.lease for run in self.engine.runs.values() if not run.cancelled]
        require(not on, "these still run, and the machine is about to go:", on)
        self.news()

    # --- the home -------------------------------------------------------------------------------
    def ordered(self, data: bytes) -> None:
        """Orders have come over the line."""
        self.site.run(lambda: self._follow(data))

    def _follow(self, data: bytes) -> None:
        agent, now_ns = self.agent, self.site.clock.now_ns()
        orders = codec.decode_orders(data)
        notes, first = list(agent._notes), agent._first_note
        commands = agent.follow(orders, now_ns)
        self.truth.acknowledged(notes[: agent._first_note - first])
        self._do(commands, orders.incarnation)
        self.truth.look(self)
        self._alarm.set(agent.report_due_ns)
        self.news()

    def _do(self, commands: Sequence[Command], incarnation: int) -> None:
        for command in commands:
            match command:
                case StartLease(grant):
                    run = self.engine.start(grant)
                    self.truth.started(self, incarnation, run)
                    self._ambush(run)
                case CutLease(lease, stop):
                    self._soon(partial(self.engine.cut, lease, stop))
                case CancelLease(lease):
                    grace = self.site.draws.below(limits.CANCEL_GRACE_NS)
                    self.engine.cancel(lease, grace)

    def _ambush(self, run: Run) -> None:
        if self.site.ambushes and run.ends:
            world, ambush = self.site.world, self.site.ambushes.pop(0)
            world.after(self.site.draws.below(run.ends[-1] - world.now_ns), ambush)

    def _soon(self, action: Callable[[], None]) -> None:
        turn = self._turn

        def act() -> None:
            if turn == self._turn and self.site.up:
                action()

        delay = self.site.draws.below(_ANSWER_NS)
        self.site.world.after(delay, self.site.run, act)

    def news(self) -> None:
        if self.agent.has_news and self._reporting != self._turn:
            self._reporting = self._turn
            self.site.world.after(_COALESCE_NS, self.site.run, self._report_once)

    def _report_once(self) -> None:
        if self._reporting == self._turn:
            self._report()

    def _report(self) -> None:
        self._reporting = 0
        report = self.agent.report(self.site.clock.now_ns(), self.engine.begun)
        data = codec.encode(report)
        self.site.world.note(data)
        if self.site.world.tracing:
            self.site.world.trace(self.site.name, "says", report)
        self._line.send(lambda: self.deliver(data))
        self._alarm.set(self.agent.report_due_ns)

    # --- the engine -----------------------------------------------------------------------------
    def segment(self, run: Run, start: int, stop: int, busy_ns: int) -> None:
        self.truth.finished(run, start, stop)
        self.agent.segment(run.lease, start, stop, busy_ns, run.plan.folded)
        self.news()

    def failed(self, run: Run, item: int, cause: Cause, busy_ns: int) -> None:
        self.truth.failed(run, item, cause)
        self.agent.item_failed(run.lease, item, cause, busy_ns)
        self.news()

    def cut(self, run: Run) -> None:
        self.agent.cut(run.lease, run.stop)
        self.news()

    def ended(self, run: Run, lost: str) -> None:
        commands = self.agent.ended(run.lease, self.site.clock.now_ns(), lost)
        self._do(commands, self.agent.incarnation)
        self.news()
