"""A whole federation under faults, moved step by step: a home, sites with toy engines, a bag of
messages that may be lost, repeated and reordered, and what is true of all of them at every step.
"""

from __future__ import annotations

import msgspec

from hanse import limits
from hanse.core.agent import Agent, CancelLease, Command, CutLease, StartLease
from hanse.core.events import (
    AttemptFailed,
    Describe,
    Event,
    Fact,
    Hear,
    ItemsFailed,
    JobEnded,
    JobForgotten,
    Recorded,
    SegmentCommitted,
    Tick,
)
from hanse.core.home import Home
from hanse.core.invariants import check
from hanse.core.messages import Grant, Note, Orders, SegmentNote
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.fit import Offer
from hanse.model.ranges import RangeSet
from hanse.model.resources import Amount
from hanse.wire import codec

_facts = msgspec.msgpack.Decoder(list[Fact])


class Running:
    """A lease in a toy engine: it works through its items, and streams results when told to."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.next = grant.start  # the item that runs now
        self.stop = grant.stop
        self.spans: list[list[int]] = []  # finished, not reported yet
        self.shown = grant.start  # `begun` as told; it may lag
        self.cut: int | None = None  # asked for, not answered yet
        self.cancelled = False


class Site:
    """A real agent before a toy engine."""

    def __init__(self, name: str, capacity: Amount, incarnation: int = 1) -> None:
        self.id = SiteId(name)
        self.capacity = capacity
        self.agent = Agent(self.id, incarnation, capacity)
        self.running: dict[LeaseId, Running] = {}
        self.folds: list[tuple[LeaseId, int, int]] = []  # folded segments that it has reported
        self.failures: list[tuple[JobId, int]] = []  # attempts that failed here

    def restarted(self) -> Site:
        site = Site(self.id, self.capacity, self.agent.incarnation + 1)
        site.folds, site.failures = self.folds, self.failures
        return site

    def follow(self, data: bytes, now_ns: int) -> None:
        self.do(self.agent.follow(codec.decode_orders(data), now_ns))

    def do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case StartLease(grant):
                    assert grant.lease not in self.running, "started twice"
                    self.running[grant.lease] = Running(grant)
                case CutLease(lease, stop):
                    self.running[lease].cut = stop
                case CancelLease(lease):
                    self.running[lease].cancelled = True

    def report(self, now_ns: int) -> bytes:
        return codec.encode(self.agent.report(now_ns, lambda lease: self.running[lease].shown))

    # --- what the engine may do with a lease ----------------------------------------------------
    def run_item(self, lease: LeaseId) -> None:
        run = self.running[lease]
        if run.next < run.stop:
            if run.spans and run.spans[-1][1] == run.next:
                run.spans[-1][1] += 1
            else:
                run.spans.append([run.next, run.next + 1])
            run.next += 1

    def fail_item(self, lease: LeaseId, cause: Cause) -> None:
        run = self.running[lease]
        if run.next < run.stop:
            self.agent.item_failed(lease, run.next, cause, 1000)
            self.failures.append((run.grant.job, run.next))
            run.next += 1

    def flush(self, lease: LeaseId, most: int, item_ns: int, folded: bool = False) -> None:
        """Report up to `most` finished items in a row; a folded value covers all of them."""
        run = self.running[lease]
        if run.spans:
            span = run.spans[0]
            start, stop = span[0], min(span[0] + most, span[1])
            self.agent.segment(lease, start, stop, (stop - start) * item_ns, folded)
            if folded:
                self.folds.append((lease, start, stop))
            span[0] = stop
            if stop == span[1]:
                run.spans.pop(0)

    def show_begun(self, lease: LeaseId) -> None:
        self.running[lease].shown = self.running[lease].next

    def answer(self, lease: LeaseId, now_ns: int) -> None:
        """Do what the orders asked for."""
        run = self.running[lease]
        if run.cancelled:
            self.end(lease, now_ns)
        elif run.cut is not None:
            run.stop = min(run.stop, max(run.cut, run.next + 1))
            run.cut = None
            self.agent.cut(lease, run.stop)

    def end(self, lease: LeaseId, now_ns: int, lost: str = "") -> None:
        """The lease is over; what was not reported counts as not run."""
        del self.running[lease]
        self.do(self.agent.ended(lease, now_ns, lost))

    def end_if_done(self, lease: LeaseId, now_ns: int) -> None:
        run = self.running[lease]
        if run.next == run.stop and not run.spans:
            self.end(lease, now_ns)


class Ledger:
    """Reads every fact and every grant, and knows by itself what must never happen.

    It is also the disk: `synced` facts of it survive the home's death. The facts of one decision
    are on it all or none, as one transaction is."""

    def __init__(self, facts: list[Fact] | None = None) -> None:
        self.facts: list[Fact] = []
        self.synced = 0
        self.decisions = [0]  # how many facts there were after each
        self.settled: dict[JobId, RangeSet] = {}
        self.ended: set[JobId] = set()
        if facts:
            self.record(facts)
            self.synced = len(facts)

    def record(self, facts: list[Fact]) -> None:
        facts = _facts.decode(msgspec.msgpack.encode(facts))
        for fact in facts:
            if isinstance(fact, SegmentCommitted | ItemsFailed):
                assert fact.job not in self.ended, f"after the end: {fact}"
                settled = self.settled.setdefault(fact.job, RangeSet())
                assert not settled.within(fact.start, fact.stop), f"settled twice: {fact}"
                settled.add(fact.start, fact.stop)
            elif isinstance(fact, AttemptFailed):
                assert fact.job not in self.ended, f"after the end: {fact}"
                settled = self.settled.get(fact.job, RangeSet())
                assert fact.item not in settled, f"retry of the settled: {fact}"
            elif isinstance(fact, JobEnded):
                assert fact.job not in self.ended, f"ended twice: {fact}"
                self.ended.add(fact.job)
        self.facts += facts
        self.decisions.append(len(self.facts))

    def sync(self, decisions: int | None) -> None:
        """So many more decisions are on the disk, or all."""
        left = [count for count in self.decisions if count > self.synced]
        if left[:decisions]:
            self.synced = left[:decisions][-1]

    def survives(self) -> Ledger:
        """What a crash leaves."""
        return Ledger(self.facts[: self.synced])

    def check_grant(self, grant: Grant) -> None:
        assert grant.start < grant.stop, grant
        assert grant.job not in self.ended, f"granted after the end: {grant}"
        settled = self.settled.get(grant.job, RangeSet())
        assert not settled.within(grant.start, grant.stop), f"granted, and settled: {grant}"


class Federation:
    """One home, its sites, and every message that is on its way."""

    def __init__(self) -> None:
        self.home = Home()
        self.now_ns = 0
        self.sites: dict[SiteId, Site] = {}
        self.bag: list[tuple[SiteId, str, bytes]] = []
        self.ledger = Ledger()
        self.vtimes: dict[JobId, int] = {}
        self.restarts = 0  # of the home
        self.started = 0  # facts that were there when this home began
        self.position = 0  # facts of durable jobs that it decided: all jobs are durable here
        self.said: list[str] = []  # every decision, as text

    def add_site(self, cpus: int) -> None:
        site = Site(f"s{len(self.sites)}", Amount(cpus_milli=1000 * cpus))
        self.sites[site.id] = site

    def tell(self, event: Event) -> None:
        """One event: facts are recorded, orders go into the bag, everything is checked."""
        decision = self.home.handle(event, self.now_ns)
        self.said.append(repr(decision))
        self.ledger.record(decision.facts)
        self.position += sum(type(fact) is not JobForgotten for fact in decision.facts)
        assert decision.position == self.position
        for fact in decision.facts:
            self.check_fact(fact)
        for orders in decision.sends:
            for grant in orders.grants:
                self.ledger.check_grant(grant)
                self.check_fit(orders, grant)
            self.bag.append((orders.site, "orders", codec.encode(orders)))
        self.check()

    def check_fit(self, orders: Orders, grant: Grant) -> None:
        """What is granted now goes where it can run."""
        site, spec = self.home.sites[orders.site], self.home.jobs[grant.job].spec
        if self.home.leases[grant.lease].granted_seq == orders.seq and site.offer is not None:
            assert site.offer.lacks(spec.requires) is None, f"{site.id} cannot run {spec.name}"
            assert site.offer.lets(spec.function), f"{site.id} does not let {spec.name} through"

    def check_fact(self, fact: Fact) -> None:
        """A folded value counts as it is; a failure counts once."""
        if isinstance(fact, SegmentCommitted):
            for site in self.sites.values():
                for lease, start, stop in site.folds:
                    if lease == fact.lease and start < fact.stop and fact.start < stop:
                        assert (fact.start, fact.stop) == (start, stop), f"a part: {fact}"
        elif isinstance(fact, AttemptFailed) and not self.restarts:
            item = (fact.job, fact.item)
            happened = sum(site.failures.count(item) for site in self.sites.values())
            counted = self.home.jobs[fact.job].attempt_of(fact.item) - 1
            assert counted <= happened, f"counted twice: {fact}"

    def check(self) -> None:
        check(self.home)
        for job in self.home.jobs.values():
            assert job.vtime >= self.vtimes.get(job.id, 0), f"{job.id}: time ran backwards"
            self.vtimes[job.id] = job.vtime
            assert job.settled == self.ledger.settled.get(job.id, RangeSet())

    def report(self, site: SiteId) -> None:
        self.bag.append((site, "report", self.sites[site].report(self.now_ns)))

    def deliver(self, message: tuple[SiteId, str, bytes]) -> None:
        site, kind, data = message
        if kind == "report":
            self.tell(Hear(codec.decode_report(data)))
        else:
            agent = self.sites[site].agent
            notes, first = list(agent._notes), agent._first_note
            self.sites[site].follow(data, self.now_ns)
            self.check_acknowledged(notes[: agent._first_note - first])

    def check_acknowledged(self, notes: list[Note]) -> None:
        """What an agent need not say again is on the disk, or the job is over."""
        segments = [n for n in notes if isinstance(n, SegmentNote) and not n.folded]
        disk = self.ledger.survives() if segments else Ledger()
        for note in segments:
            job = self.home.jobs.get(note.job)
            if job is not None and note.stop > job.known_to(note.lease):
                continue  # items that came with a growth that was lost
            if note.job in disk.settled:
                settled = disk.settled[note.job].covers(note.start, note.stop)
                assert settled or note.job in disk.ended, f"acknowledged, and not durable: {note}"

    def sync(self, decisions: int | None = None) -> None:
        """The disk has taken so many more decisions, or all; the home hears of it."""
        self.ledger.sync(decisions)
        mine = self.ledger.facts[self.started : self.ledger.synced]
        self.tell(Recorded(sum(type(fact) is not JobForgotten for fact in mine)))

    def talk(self, site: SiteId) -> None:
        """A report and what it brings about at this site, with nothing in between."""
        before = len(self.bag)
        self.report(site)
        self.deliver(self.bag.pop())
        for message in [m for m in self.bag[before:] if m[0] == site]:
            self.bag.remove(message)
            self.deliver(message)

    def restart_home(self) -> None:
        """The home dies with all it knew but the facts that are on its disk; its orders may still
        be on their way."""
        first = (self.home._next_lease // 10_000 + 1) * 10_000
        self.ledger = self.ledger.survives()
        self.home = Home.recover(self.ledger.facts, first, list(self.sites))
        self.started, self.position = len(self.ledger.facts), 0
        self.vtimes.clear()
        self.restarts += 1
        self.check()

    def settle_down(self, rounds: int) -> None:
        """No more faults: every message arrives, every engine works, every site can run all. Jobs
        end within the rounds."""
        for site in self.sites:
            self.tell(Describe(site, Offer()))
        for _ in range(rounds):
            while self.bag:
                self.deliver(self.bag.pop(0))
            self.sync()
            if all(job.state.ended or not job.sealed for job in self.home.jobs.values()):
                return
            self.now_ns += limits.SECOND
            self.tell(Tick())
            for site in self.sites.values():
                for lease in list(site.running):
                    self.work_off(site, lease)
                self.report(site.id)
        waiting = {j.id: (j.settled, j.ready, j.waiting) for j in self.home.jobs.values()}
        raise AssertionError(f"jobs do not end: {waiting}")

    def work_off(self, site: Site, lease: LeaseId) -> None:
        site.answer(lease, self.now_ns)
        if lease not in site.running:
            return
        run = site.running[lease]
        while run.next < run.stop:
            site.run_item(lease)
        while run.spans:
            site.flush(lease, 1 << 30, limits.MS)
        site.end_if_done(lease, self.now_ns)
