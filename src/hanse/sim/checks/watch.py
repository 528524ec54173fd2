"""What one home hears, holds and says: looked at before and after every event.

The watch outlives the home's crashes. It keeps its own account of who was granted what, of what was
heard last from whom, and of every fact, and so knows when a lease may be closed, taken or granted
again without asking the home. What it takes from the home is which leases it holds and which of
them it calls backups; everything else that is read there is held against the watch's own account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hanse import limits
from hanse.core.events import (
    AttemptFailed,
    Decision,
    Event,
    Fact,
    Hear,
    ItemsFailed,
    JobGrown,
    JobSpent,
    SegmentCommitted,
    Tick,
)
from hanse.core.invariants import check
from hanse.core.messages import EndNote, FailureNote, Grant, Orders, Report, Running, SegmentNote
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.sim.checks import bounds, items, placed
from hanse.sim.checks.book import Book, Entry
from hanse.sim.checks.ledger import Ledger
from hanse.sim.checks.truth import Truth
from hanse.sim.checks.verdicts import Verdicts
from hanse.sim.plan import RUN_BITS, JobPlan
from hanse.sim.world import require

if TYPE_CHECKING:
    from hanse.sim.client import Answer, Ask, ClientNode
    from hanse.sim.home import HomeNode


class Watch:
    """For one home."""

    def __init__(self, plans: dict[JobId, JobPlan]) -> None:
        self.plans = plans
        self.truth = Truth(self)
        self.known = Ledger()  # all that the home decided
        self.durable = Ledger()  # and of that, what its disk has
        self.clients: list[ClientNode] = []
        self._granted: dict[LeaseId, tuple[str, int]] = {}
        self._births: dict[tuple[JobId, int], int] = {}  # a job's growth to a size: in which run
        self._given_up: set[JobId] = set()  # by their programs: nobody resumed them
        self._begin_run()

    def _begin_run(self) -> None:
        self.book = Book(
            {id for id, plan in self.plans.items() if plan.aims is not None and plan.aims.follows}
        )
        self.verdicts = Verdicts(self.known, self.plans)
        self.timed: Counter[JobId] = Counter()  # items whose times were told
        self._vtimes: dict[JobId, int] = {}
        self._adoptable: list[Running] = []
        self._report: Report | None = None  # of this event, if it is news
        self._stale = False
        self._leases_before = 0
        self._old: set[JobId] = set()  # recovered: sites may still run what is open of them
        self._unheard: set[str] = set()
        self._first_ns: int | None = None  # of the run's first event

    def granted_to(self, lease: LeaseId) -> tuple[str, int] | None:
        """Site and incarnation."""
        return self._granted.get(lease)

    def born(self, job: JobId, item: int) -> int:
        """In which run of the home the item was added. A growth that a crash took back may bring
        other items at the next try, so no result of before is a result of these."""
        sizes = self.known.jobs[job].sizes
        return self._births[job, next(size for size in sizes if item < size)]

    def keeps(self, job: JobId) -> bool:
        """Whether facts of the job are to survive."""
        return self.plans[job].durable and job not in self._given_up

    def unwanted(self, job: JobId) -> bool:
        """No client wants the job to go on."""
        memories = [client.jobs[job] for client in self.clients if job in client.jobs]
        return any(m.cancelling or m.forgotten or m.lost for m in memories)

    def gave_up(self, node: HomeNode) -> None:
        """The programs of an embedded home have begun again: with these jobs, and no others."""
        self._old.clear()
        for client in self.clients:
            for job, memory in client.jobs.items():
                if job in node.home.jobs:
                    memory.ended = False
                elif job in node.told:
                    self._given_up.add(job)
                    memory.lost |= memory.submitted and not memory.ended

    # --- events ---------------------------------------------------------------------------------
    def before(self, node: HomeNode, event: Event, now_ns: int) -> None:
        self.book.begin()
        if self._first_ns is None:
            self._first_ns = now_ns
        self._report, self._stale, self._adoptable = None, False, []
        self._leases_before = 0  # of the site, if it says that one of them has ended
        lost: list[JobId] = []
        if type(event) is Hear:
            report = event.report
            self._unheard.discard(report.site)
            self._stale = not self.book.site(report.site).is_news(report)
            if not self._stale:
                self._report = report
                self._adoptable = [r for r in report.running if self._may_adopt(report, r)]
                lost = self._read(report)
                self.book.site(report.site).hear(report, now_ns)
        self.verdicts.begin(event, lost)

    def _read(self, report: Report) -> list[JobId]:
        """What its new notes say; the jobs whose leases were given up."""
        lost = []
        for note in self.book.site(report.site).fresh(report):
            if isinstance(note, EndNote):
                entry = self.book.open.get(note.lease)
                if entry is not None:
                    self._leases_before = len(self.book.of_site(report.site))
                    lost += [entry.job] if note.lost else []
            elif isinstance(note, FailureNote) and note.cause is Cause.DEPENDENCY:
                entry = self.book.open.get(note.lease)
                if entry is not None and entry.job == note.job:  # it was not begun there
                    entry.given |= items.one(note.item)
            else:
                self.timed[note.job] += _count(note)
        return lost

    def after(self, node: HomeNode, event: Event, decision: Decision, now_ns: int) -> None:
        home = node.home
        check(home)
        news = [fact for fact in decision.facts if type(fact) is not JobSpent]  # comes with time
        require(not self._stale or not news, "facts from an old report:", news)
        for fact in decision.facts:
            self._take(node, fact)
        self.verdicts.end(decision.facts, self.book.granted)
        self._check_settled(node, decision)
        self._check_closed(node, event, now_ns)
        if self._report is not None:
            self.book.show(self._report)
            self._check_adopted(node, decision, self._report)
        for orders in decision.sends:
            self._check_orders(node, orders, now_ns)
        strangers = home.leases.keys() - self.book.open.keys()
        require(not strangers, "leases of which nobody was told:", strangers)
        self._check_stops(node)
        bounds.check(self, node)
        if self._leases_before:
            assert self._report is not None
            bounds.check_rates(node, self._report.site, self._leases_before)
        for id, job in home.jobs.items():
            require(job.vtime >= self._vtimes.get(id, 0), "a job's time ran backwards:", id)
            self._vtimes[id] = job.vtime

    # --- facts ----------------------------------------------------------------------------------
    def _take(self, node: HomeNode, fact: Fact) -> None:
        self.verdicts.judge(fact)
        self.known.take(fact)
        plan = self.plans[fact.job]
        if type(fact) is JobGrown:
            self._births[fact.job, fact.size] = node.runs
        elif type(fact) is SegmentCommitted:
            self.truth.committed(fact, plan.folded)
            born = self.born(fact.job, fact.stop - 1)
            same = fact.lease >> RUN_BITS >= born
            require(same, "the result of another item that had this number:", fact)
        elif type(fact) is AttemptFailed:
            self.truth.failed_there(fact, fact.item)
            entry = self.book.open.get(fact.lease)
            if entry is not None and entry.job == fact.job:
                entry.given |= items.one(fact.item)
        elif type(fact) is ItemsFailed:
            self.truth.failed_there(fact, fact.start)

    def _check_settled(self, node: HomeNode, decision: Decision) -> None:
        for id in {fact.job: None for fact in decision.facts}:
            job = node.home.jobs.get(id)
            same = job is None or items.of(job.settled) == self.known.jobs[id].settled
            require(same, "settled otherwise than the facts say:", id)
            if job is not None:
                placed.check_job(job, self.known.jobs[id])

    def synced(self, node: HomeNode, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.durable.take(fact)

    def told(self, node: HomeNode, ask: Ask, answer: Answer) -> None:
        """What a client is told of a durable job is on the disk."""
        if answer.facts and self.keeps(ask.job):
            count = ask.seen + len(answer.facts)
            disk = [f for f in node.disk.facts[: node.disk.synced] if f.job == ask.job]
            same = disk[ask.seen : count] == answer.facts
            require(same, "told, and not durable:", ask.job)

    def crashed(self, node: HomeNode, disk: bool) -> None:
        """Whatever clients were told is still there, unless the disk is gone."""
        if not disk:
            for client in self.clients:
                client.bereave(node.runs + 1, durable_too=True)
        else:
            self._check_remembered(node)
            for client in self.clients:
                client.bereave(node.runs + 1, durable_too=False)

    def _check_remembered(self, node: HomeNode) -> None:
        by_job: dict[JobId, list[Fact]] = {}
        for fact in node.disk.facts:
            by_job.setdefault(fact.job, []).append(fact)
        for client in self.clients:
            for job, memory in client.jobs.items():
                if memory.plan.durable and not memory.lost:
                    there = by_job.get(job, [])[: len(memory.facts)] == memory.facts
                    require(there, "a crash lost what a client was told of", job)

    def restarted(self, node: HomeNode) -> None:
        """Another run begins, with what the disk has."""
        self.known, self.durable = Ledger(node.disk.facts), Ledger(node.disk.facts)
        self._begin_run()
        self._old = {job for job, account in self.known.jobs.items() if not account.ended}
        self._unheard = set(node.deliveries)
        check(node.home)
        for id, job in node.home.jobs.items():
            account = self.known.jobs[id]
            same = items.of(job.settled) == account.settled
            require(same, "recovered otherwise than recorded:", id)
            require(job.size == account.size, "recovered with another size:", id)
            placed.check_job(job, account)

    # --- leases ---------------------------------------------------------------------------------
    def _may_adopt(self, report: Report, running: Running) -> bool:
        """Whether nothing speaks against taking the lease back, before the report is heard."""
        job, start, stop = running.job, running.start, running.stop
        account = self.known.jobs.get(job)
        if account is None or account.ended or job in self._given_up:
            return False
        if running.lease in self.book.open or not start <= running.begun <= stop <= account.size:
            return False
        if any(getattr(note, "job", job) == job for note in report.notes):
            return False  # its notes may change what is open
        if stop and self.born(job, stop - 1) > running.lease >> RUN_BITS:
            return False  # other items have these numbers now
        others = [other for other in report.running if other.job == job and other is not running]
        if any(start < other.stop and other.start < stop for other in others):
            return False  # they might both be taken back
        missing = items.span(start, stop) & ~account.settled
        held = items.NONE
        for entry in self.book.of_job(job):
            if entry.site != report.site or entry.incarnation == report.incarnation:
                held |= entry.items
        return bool(missing) and not missing & held and self.verdicts.may_run(job, start, stop)

    def _check_adopted(self, node: HomeNode, decision: Decision, report: Report) -> None:
        """Running leases are taken back, where nothing speaks against it."""
        ended = {fact.job for fact in decision.facts if self.known.jobs[fact.job].ended}
        for running in self._adoptable:
            there = running.lease in node.home.leases or running.job in ended
            require(there, "a running lease was not taken back:", running)
        for running in report.running:
            lease = node.home.leases.get(running.lease)
            if lease is None or running.lease in self.book.open:
                continue
            within = running.start <= lease.start <= lease.stop == running.stop
            require(within, "another lease than runs was taken back:", running)
            require(lease.queued is running.queued, "it waits in line there:", running)
            there = self.granted_to(running.lease) == (report.site, report.incarnation)
            require(there, "taken back, and never granted:", running)
            cpus = self.plans[running.job].cpus
            entry = Entry(running, report.site, report.incarnation, 0, cpus)
            entry.start = lease.start
            self.book.add(entry)
            self._check_alone(node, entry)

    def _check_closed(self, node: HomeNode, event: Event, now_ns: int) -> None:
        """A lease that the home does not hold any more is one that it may let go of, and one that
        it still holds at a tick is of a site that spoke not long ago."""
        tick = type(event) is Tick
        for id in self.book.open.keys() - node.home.leases.keys():
            entry = self.book.open[id]
            may = self.book.may_close(entry, self._report, now_ns, tick)
            require(may, f"lease {id} of {entry.site} was closed for no reason by", event)
            self.book.close(entry)
        for id, entry in self.book.open.items() if tick else ():
            late = self.book.site(entry.site).silent(now_ns)
            require(not late, "a lease outlives its site's silence:", id)

    def _check_stops(self, node: HomeNode) -> None:
        """What a site says it will not begin is not counted as held by it, and all else is."""
        for id, entry in self.book.open.items():
            lease = node.home.leases[id]
            require(lease.stop <= entry.stop, "a lease goes on behind its end:", id, entry.stop)
            require(lease.stop >= entry.stop, "a lease ends before its end:", id, entry.stop)

    # --- orders ---------------------------------------------------------------------------------
    def _check_orders(self, node: HomeNode, orders: Orders, now_ns: int) -> None:
        page = self.book.site(orders.site)
        fresh = []
        for grant in orders.grants:
            self._check_grant(grant)
            if grant.lease not in self._granted:
                self._granted[grant.lease] = (orders.site, orders.incarnation)
                self.truth.granted(orders.site, orders.incarnation, grant.stop - grant.start)
                cpus = self.plans[grant.job].cpus
                entry = Entry(grant, orders.site, orders.incarnation, orders.seq, cpus)
                self.book.add(entry)
                fresh.append(entry)
        for entry in fresh:
            self._check_first(node, entry, now_ns)
        if fresh:
            excess = self.book.overfull(orders.site)
            require(not excess, f"{orders.site} was granted too much:", excess, orders)
        self._check_cancels(orders)
        missing = self.book.missing(orders)
        require(not missing, "orders do not repeat", missing, orders)
        for cut in orders.cuts:
            cut_entry = self.book.open.get(cut.lease)
            there = cut_entry is not None and cut_entry.start <= cut.stop < cut_entry.stop
            require(there, "a cut of nothing:", cut)
            assert cut_entry is not None
            cut_entry.cut = cut.stop
        page.told[orders.seq] = (now_ns, orders.report_after_ns)
        self.truth.ordered(orders.site, orders.incarnation, orders.seq, orders.notes_seen)

    def _check_cancels(self, orders: Orders) -> None:
        """A lease is cancelled once nothing is left of it to do, and then in all orders."""
        cancels = set(orders.cancels)
        for entry in self.book.of_site(orders.site):
            account = self.known.jobs[entry.job]
            if entry.lease in cancels:
                left = items.NONE if account.ended else entry.items & ~account.settled
                require(entry.cancelled or not left, "cancelled for no reason:", entry.lease)
                entry.cancelled = True
            else:
                over = entry.cancelled or account.ended
                require(not over, "cancels are not repeated:", entry.lease, orders)

    def _check_grant(self, grant: Grant) -> None:
        account = self.known.jobs.get(grant.job)
        require(account is not None, "granted, and unknown:", grant)
        assert account is not None
        require(not account.ended, "granted after the end:", grant)
        require(0 <= grant.start < grant.stop <= account.size, "granted out of bounds:", grant)
        these = items.span(grant.start, grant.stop)
        require(not account.settled & these, "granted, and settled:", grant)
        able = self.verdicts.may_run(grant.job, grant.start, grant.stop)
        require(able, "granted, and its inputs are not there:", grant)
        tried = account.retries + account.deaths
        attempts = {item: 1 + n for item, n in tried.items() if grant.start <= item < grant.stop}
        require(grant.attempts == attempts, "counts attempts otherwise:", grant, attempts)
        needs = 1000 * self.plans[grant.job].cpus
        require(grant.needs.cpus_milli == needs, "granted with other needs:", grant)

    def _check_first(self, node: HomeNode, entry: Entry, now_ns: int) -> None:
        """Nobody whom the home may still believe to run these items runs them, but for a declared
        backup; and of what an earlier run had open, nothing but backups of leases that were taken
        back is granted before all have spoken."""
        self._check_alone(node, entry)
        account = self.known.jobs[entry.job]
        placed.check_grant(self.plans[entry.job].aims, account, node, entry)
        silent = self.book.site(entry.site).silent(now_ns)
        require(not silent, f"granted to {entry.site}, which is silent:", entry.lease)
        others = [other for other in self.book.of_job(entry.job) if other is not entry]
        backup = any(self._is_backup(node, entry, other) for other in others)
        if entry.job in self._old and self._unheard and not backup:
            waited = now_ns - (self._first_ns or 0) >= limits.REPORT_EVERY_NS
            require(waited, f"lease {entry.lease} was granted before", sorted(self._unheard))
        for _link, run in self.truth.running(entry.job, entry.start, entry.stop):
            other = self.book.open.get(run.lease)
            if other is None or other is entry or self._is_backup(node, entry, other):
                continue  # whatever the home let go of, it had a reason to
            runs = items.span(run.at, run.stop) & other.items & entry.items
            both = [item for item in items.listed(runs) if item not in run.omit]
            text = f"items {both} are granted while {run.lease} at {other.site} runs them:"
            require(not both, text, entry.lease)

    def _check_alone(self, node: HomeNode, entry: Entry) -> None:
        """No other lease that the home holds is of these items, but for a declared backup."""
        open_items = ~self.known.jobs[entry.job].settled
        for other, both in self.book.rivals(entry, open_items):
            if not self._is_backup(node, entry, other):
                text = f"items {items.listed(both)} are granted under {other.lease} too:"
                require(False, text, entry.lease)

    def _is_backup(self, node: HomeNode, one: Entry, other: Entry) -> bool:
        for backup, original in ((one, other), (other, one)):
            lease = node.home.leases.get(backup.lease)
            if lease is not None and lease.backup_of == original.lease:
                require(backup.stop - backup.start == 1, "a backup of many:", backup.lease)
                require(backup.site != original.site, "a backup at the same site:", backup.lease)
                return True
        return False

    # --- the end --------------------------------------------------------------------------------
    def done(self) -> bool:
        """Every job has ended, and its client knows."""
        return all(
            memory.lost or memory.forgotten or (memory.ended and self.known.jobs[job].ended)
            for client in self.clients
            for job, memory in client.jobs.items()
        )

    def check_ends(self, node: HomeNode) -> None:
        """All is done: what clients remember is what the disk has, to the last fact."""
        for client in self.clients:
            for job, memory in client.jobs.items():
                if memory.lost or memory.forgotten:
                    continue
                account = self.known.jobs[job]
                require(account.ended, "a client believes that it ended:", job)
                told = Ledger(memory.facts).jobs[job]
                require(told.settled == account.settled, "a client knows otherwise:", job)


def _count(note: SegmentNote | FailureNote) -> int:
    return note.stop - note.start if isinstance(note, SegmentNote) else 1
