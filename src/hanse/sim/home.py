"""A home: the real `Home`, a disk, and what a runtime does with decisions.

Facts of durable jobs are told to clients once they are on the disk, and then the home hears so; the
others are told at once. A crash leaves what the disk kept, and another run of the home begins with
that, with lease numbers that no earlier run has used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from hanse.core.events import (
    Decision,
    Describe,
    Event,
    Fact,
    Grow,
    Hear,
    JobForgotten,
    JobSubmitted,
    Recorded,
    Resume,
    Tick,
)
from hanse.core.home import Home
from hanse.core.spots import Told
from hanse.decoding import from_json
from hanse.ids import JobId, SiteId
from hanse.model.aims import Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobState
from hanse.sim.client import Answer, Ask
from hanse.sim.disk import BACKLOG, Disk, encode
from hanse.sim.draws import Draws
from hanse.sim.network import Direction
from hanse.sim.node import Alarm, Node
from hanse.sim.plan import RUN_BITS, HomePlan
from hanse.sim.world import World
from hanse.wire import codec


class Overseer(Protocol):
    """Whoever looks at what a home decides."""

    def before(self, node: HomeNode, event: Event, now_ns: int) -> None: ...
    def after(self, node: HomeNode, event: Event, decision: Decision, now_ns: int) -> None: ...
    def synced(self, node: HomeNode, facts: Sequence[Fact]) -> None: ...
    def told(self, node: HomeNode, ask: Ask, answer: Answer) -> None: ...
    def crashed(self, node: HomeNode, disk: bool) -> None: ...
    def restarted(self, node: HomeNode) -> None: ...
    def gave_up(self, node: HomeNode) -> None: ...
    def unwanted(self, job: JobId) -> bool: ...


class HomeNode(Node):
    """Everything of one home."""

    def __init__(self, world: World, plan: HomePlan, seed: int, watch: Overseer) -> None:
        super().__init__(world, plan.name, plan.clock_ns, plan.drift_ppm)
        self.plan = plan
        self.draws = Draws(seed, plan.name)
        self.disk = Disk(world, Draws(seed, plan.name, "disk"), plan.sync_ns)
        self.disk.on_synced = self._synced
        self.watch = watch
        self.runs = 1
        self.dooms: list[Callable[[], None]] = []  # what happens at the next commits, one at each
        self.home = Home(self._first_lease())
        self.keeps = True  # what it learnt outlives a crash
        self.told: dict[JobId, list[Fact]] = {}  # what clients may know, by job
        self.durable: dict[JobId, bool] = {}  # every job that was ever submitted here
        self.lines: dict[str, Direction] = {}  # to sites and clients
        self.tariff: dict[SiteId, Tariff] = {}  # of its sites, as those tell when they are linked
        self.deliveries: dict[str, Callable[[bytes], None]] = {}  # at the sites
        self._tick = Alarm(self, self._expire)

    def _first_lease(self) -> int:
        """The number of a run never comes back, not even with the disk: it is made of the time."""
        return (self.runs << RUN_BITS) + 1

    # --- events ---------------------------------------------------------------------------------
    def handle(self, event: Event) -> None:
        now_ns = self.clock.now_ns()
        self.watch.before(self, event, now_ns)
        decision = self.home.handle(event, now_ns)
        if self.world.tracing:
            self.world.trace(self.name, type(event).__name__, "->", *decision.facts)
        self.watch.after(self, event, decision, now_ns)
        if decision.facts:
            self._record(decision.facts, decision.position)
        for orders in decision.sends:
            data = codec.encode(orders)
            self.world.note(data)
            if self.world.tracing:
                self.world.trace(self.name, "orders", orders)
            self._send(orders.site, data)
        self._set_tick()

    def _send(self, site: SiteId, data: bytes) -> None:
        deliver = self.deliveries[site]
        self.lines[site].send(lambda: deliver(data))

    def _set_tick(self) -> None:
        due = self.home.next_expiry_ns() if self._tick.due_ns is None else None
        if due is not None:
            self._tick.set(due)

    def _expire(self) -> None:
        self.handle(Tick())
        self._set_tick()

    def _record(self, facts: Sequence[Fact], position: int) -> None:
        self.world.note(encode(facts))
        for fact in facts:
            if type(fact) is JobSubmitted:
                self.durable[fact.job] = fact.spec.durable
        durable = [f for f in facts if self.durable[f.job] and type(f) is not JobForgotten]
        for fact in facts:
            if type(fact) is JobForgotten:
                self.told.pop(fact.job, None)
            elif not self.durable[fact.job]:
                self.told.setdefault(fact.job, []).append(fact)
        if durable:
            self.disk.append(durable, position)

    def _synced(self, facts: Sequence[Fact], position: int) -> None:
        def tell() -> None:
            for fact in facts:
                if fact.job in self.home.jobs:
                    self.told.setdefault(fact.job, []).append(fact)
            self.handle(Recorded(position))

        self.watch.synced(self, facts)
        if self.dooms:
            self.dooms.pop(0)()
        runs = self.runs
        self.run(lambda: tell() if self.up and runs == self.runs else None)

    # --- sites and clients ----------------------------------------------------------------------
    def heard(self, data: bytes) -> None:
        """A report has come. With too much to be recorded it is dropped; it will be said again."""
        if self.disk.backlog < BACKLOG:
            self.run(lambda: self.handle(Hear(codec.decode_report(data))))

    def asked(self, ask: Ask) -> None:
        self.run(lambda: self._answer(ask))

    def _answer(self, ask: Ask) -> None:
        event = ask.wanted(self.home.jobs.get(ask.job), ask.job in self.durable)
        if event is not None and self._can(event):
            self.handle(event)
        told = self.told.get(ask.job, [])
        some = told[ask.seen :]
        known = ask.job in self.home.jobs or bool(told)
        answer = Answer(ask.job, ask.seen, some, known, self.runs)
        self.watch.told(self, ask, answer)
        self.lines[ask.client].send(lambda: ask.reply(answer))

    def _can(self, event: Event) -> bool:
        """Nobody can name a result before the call that brings it was made."""
        if type(event) is not Grow:
            return True
        for job, item in [ref for refs in event.waits.values() for ref in refs]:
            other = self.home.jobs.get(job)
            if job == event.job or other is None or other.state.ended:
                continue
            if item >= other.size:
                return False
        return True

    # --- lives ----------------------------------------------------------------------------------
    def crash(self, keep_some: bool = True, disk: bool = True) -> None:
        if not self.up:
            return
        self.die()
        if disk:
            self.disk.crash(keep_some)
        else:
            self.disk.lose()
            self.keeps = False
        self.watch.crashed(self, disk)

    def restart(self) -> None:
        if self.up:
            return
        self.up = True
        self.runs += 1
        learnt = self.home.spots_told(self.clock.now_ns())
        self.told.clear()
        self.durable.clear()
        for fact in self.disk.facts:
            self.durable[fact.job] = True
            self.told.setdefault(fact.job, []).append(fact)
        if self.plan.embedded:
            self.home = Home(self._first_lease())
            self.watch.restarted(self)
            self.introduce()
            self._resume()
            self.watch.gave_up(self)
        else:
            self.home = Home.recover(self.disk.facts, self._first_lease(), self._sites())
            self.recall(learnt)
            self.watch.restarted(self)
            self.introduce()

    def recall(self, learnt: Told) -> None:
        """What nodes keep in a file of their own; nothing, if their disk was lost."""
        if self.keeps:
            kept = from_json(msgspec.json.encode(learnt), Told)
            self.home.spots.recall(kept, 0, self.clock.now_ns())
        self.keeps = True

    def introduce(self) -> None:
        """Sites say on what terms they work, whenever a home is new to them."""
        for site, tariff in self.tariff.items():
            self.handle(Describe(site, Offer(tariff=tariff)))

    def _sites(self) -> list[SiteId] | None:
        """Who may still run something: known, or not, depending on what it keeps of that."""
        sites = [SiteId(name) for name in self.deliveries]
        return sites if self.draws.chance(500) else None

    def _resume(self) -> None:
        """Programs run again, and go on with their jobs."""
        for job, facts in list(self.told.items()):
            first = facts[0]
            assert isinstance(first, JobSubmitted)
            done = any(getattr(fact, "state", None) is JobState.DONE for fact in facts)
            if not done and not self.watch.unwanted(job):
                again = self.draws.chance(500)
                self.handle(Resume(job, first.spec, list(facts), again))
