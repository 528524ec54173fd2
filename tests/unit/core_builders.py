"""Builders that keep a scheduling test near ten lines.

A `Town` is a home with its clock; `town.place()` adds a site: a real agent before an engine that
the test moves by hand. Every message passes through the real encoder, every event is followed by
the invariants, and every fact is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hanse import limits
from hanse.core.agent import Agent, CancelLease, Command, CutLease, StartLease
from hanse.core.events import (
    Decision,
    Event,
    Fact,
    Grow,
    Hear,
    ItemsFailed,
    JobEnded,
    SegmentCommitted,
    Submit,
    Tick,
)
from hanse.core.home import Home
from hanse.core.invariants import check
from hanse.core.job import Job
from hanse.core.messages import Grant, Orders, Report
from hanse.core.place.rate import Rate
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import Amount
from hanse.wire import codec


def cpus(count: float, **custom: int) -> Amount:
    return Amount(cpus_milli=int(count * 1000), custom_milli=custom)


def rate(mean_ns: int, items: int = 100) -> Rate:
    """A rate that was measured."""
    known = Rate()
    known.observe(items, items * mean_ns)
    return known


class Town:
    """A home, its clock, and everything that it ever decided."""

    def __init__(self) -> None:
        self.home = Home()
        self.now_ns = 0
        self.checked = True  # False where a test has thousands of leases
        self.item_ns = 1000  # what an item takes on every engine
        self.facts: list[Fact] = []
        self.orders: dict[SiteId, list[Orders]] = {}

    def tell(self, event: Event) -> Decision:
        """One event, checked: the invariants hold, and no item is granted that is committed."""
        decision = self.home.handle(event, self.now_ns)
        if self.checked:
            check(self.home)
        self.facts += decision.facts
        for orders in decision.sends:
            for grant in orders.grants:
                settled = self.home.jobs[grant.job].settled
                assert not settled.within(grant.start, grant.stop), f"granted again: {grant}"
            self.orders.setdefault(orders.site, []).append(
                codec.decode_orders(codec.encode(orders))
            )
        return decision

    def submit(self, name: str, size: int = 0, *, sealed: bool = True, **spec: object) -> JobId:
        """A job named by one letter; a sealed one unless it says otherwise."""
        self.tell(Submit(JobId(name), JobSpec(name=name, **spec), size, sealed))  # type: ignore[arg-type]
        return JobId(name)

    def grow(
        self,
        job: JobId,
        size: int,
        waits: dict[int, list[tuple[JobId, int]]] | None = None,
        broken: Iterable[int] = (),
    ) -> None:
        self.tell(Grow(job, size, waits or {}, list(broken)))

    def teach(self, job: JobId, mean_ns: int = 1000) -> None:
        """The job's time per item is known well: a lease may now hold all of a small job."""
        self.home.jobs[job].rates[SiteId("taught")] = rate(mean_ns)
        self.home.jobs[job].seen = 10**9
        self.item_ns = mean_ns

    def forget_rates(self, job: JobId) -> None:
        """As if nothing of the job had ever been timed."""
        of = self.home.jobs[job]
        of.rates, of.slots, of.power, of.pooled = {}, 0, 0, Rate()

    def known(self, name: str, size: int, mean_ns: int = 1000, **spec: object) -> JobId:
        """A sealed job whose time per item is known before anyone asks for work."""
        job = self.submit(name, size, **spec)  # type: ignore[arg-type]
        self.teach(job, mean_ns)
        return job

    def place(self, name: str, count: float = 1, *, hello: bool = True, **custom: int) -> Place:
        """A site; it says hello and gets its first orders unless told otherwise."""
        place = Place(self, SiteId(name), cpus(count, **custom))
        if hello:
            place.talk()
        return place

    def wait(self, seconds: float) -> Decision:
        self.now_ns += int(seconds * limits.SECOND)
        return self.tell(Tick())

    def recover(self, facts: Iterable[Fact] | None = None) -> None:
        """The home dies, and another starts from the facts."""
        facts = self.facts if facts is None else facts
        home = self.home
        self.home = Home.recover(facts, home._next_lease + 1000, home.sites)
        check(self.home)

    def job(self, job: JobId) -> Job:
        return self.home.jobs[job]

    def state(self, job: JobId) -> JobState:
        return self.home.jobs[job].state

    def committed(self, job: JobId) -> list[int]:
        """Every item that a fact says is committed, in the order of the facts."""
        return [
            item
            for fact in self.facts
            if isinstance(fact, SegmentCommitted) and fact.job == job
            for item in range(fact.start, fact.stop)
        ]

    def failed(self, job: JobId) -> list[tuple[int, Cause]]:
        return [
            (item, fact.cause)
            for fact in self.facts
            if isinstance(fact, ItemsFailed) and fact.job == job
            for item in range(fact.start, fact.stop)
        ]

    def ends(self, job: JobId) -> list[JobState]:
        return [f.state for f in self.facts if isinstance(f, JobEnded) and f.job == job]


class Place:
    """A site: an agent, and an engine that does what the test says."""

    def __init__(self, town: Town, site: SiteId, capacity: Amount, incarnation: int = 1) -> None:
        self.town = town
        self.agent = Agent(site, incarnation, capacity)
        self.grants: dict[LeaseId, Grant] = {}
        self.begun: dict[LeaseId, int] = {}
        self.asked: list[Command] = []  # cuts and cancels, for the test to answer

    # --- messages -------------------------------------------------------------------------------
    def report(self) -> Report:
        """The next report, not sent yet."""
        report = self.agent.report(self.town.now_ns, lambda lease: self.begun[lease])
        return codec.decode_report(codec.encode(report))

    def send(self, report: Report) -> list[Orders]:
        """The home hears it; its orders to this site, not followed yet."""
        before = len(self.town.orders.get(self.agent.site, []))
        self.town.tell(Hear(report))
        return self.town.orders.get(self.agent.site, [])[before:]

    def follow(self, orders: Orders) -> None:
        self.do(self.agent.follow(orders, self.town.now_ns))

    def do(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, StartLease):
                self.grants[command.grant.lease] = command.grant
                self.begun[command.grant.lease] = command.grant.start
            else:
                self.asked.append(command)

    def talk(self) -> None:
        """Report, and follow what came back, and what was on its way."""
        self.send(self.report())
        for orders in self.town.orders.get(self.agent.site, []):
            self.follow(orders)

    # --- the engine -----------------------------------------------------------------------------
    @property
    def lease(self) -> LeaseId:
        """The only lease that runs here."""
        (lease,) = self.grants
        return lease

    def done(
        self, start: int, stop: int, *, lease: LeaseId | None = None, folded: bool = False
    ) -> None:
        """A segment; the lease has begun what follows it."""
        lease = self.lease if lease is None else lease
        self.agent.segment(lease, start, stop, (stop - start) * self.town.item_ns, folded)
        self.begun[lease] = max(self.begun[lease], stop)

    def fails(self, item: int, cause: Cause = Cause.RAISED, lease: LeaseId | None = None) -> None:
        lease = self.lease if lease is None else lease
        self.agent.item_failed(lease, item, cause, self.town.item_ns)
        self.begun[lease] = max(self.begun[lease], item + 1)

    def cut(self, stop: int) -> None:
        """The engine answers a cut: the lease ends there."""
        self.agent.cut(self.lease, stop)
        self.grants[self.lease] = msgspec.structs.replace(self.grants[self.lease], stop=stop)

    def end(self, lease: LeaseId | None = None, lost: str = "") -> None:
        lease = self.lease if lease is None else lease
        del self.grants[lease], self.begun[lease]
        self.do(self.agent.ended(lease, self.town.now_ns, lost))

    def finish(self) -> None:
        """Everything that runs here ends well, and the home hears of it."""
        for lease, grant in list(self.grants.items()):
            if self.begun[lease] < grant.stop:
                self.done(self.begun[lease], grant.stop, lease=lease)
            self.end(lease)
        self.talk()

    def work(self, rounds: int = 50) -> None:
        """Finish until nothing is left to do."""
        for _ in range(rounds):
            if not self.grants:
                return
            self.finish()
        raise AssertionError(f"still running after {rounds} rounds: {self.grants}")

    def crash(self) -> None:
        """The agent dies with all it knew; another starts in its place."""
        agent = self.agent
        self.agent = Agent(agent.site, agent.incarnation + 1, agent.capacity)
        self.grants.clear()
        self.begun.clear()
        self.asked.clear()

    @property
    def cuts(self) -> list[CutLease]:
        return [c for c in self.asked if isinstance(c, CutLease)]

    @property
    def cancels(self) -> list[LeaseId]:
        return [c.lease for c in self.asked if isinstance(c, CancelLease)]
