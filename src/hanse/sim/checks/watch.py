"""What one home hears, holds and says: looked at before and after every event.

The watch outlives the home's crashes. It keeps its own account of who was granted what, of what was
heard last from whom, and of every fact, and so knows when a lease may be closed, taken or granted
again without asking the home.
"""

from __future__ import annotations

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
    SegmentCommitted,
    Tick,
)
from hanse.core.invariants import check
from hanse.core.lease import Lease
from hanse.core.messages import EndNote, Grant, Orders, Report, Running
from hanse.ids import JobId, LeaseId
from hanse.sim.checks.ledger import Account, Ledger
from hanse.sim.checks.truth import Truth
from hanse.sim.disk import BACKLOG
from hanse.sim.plan import RUN_BITS, JobPlan
from hanse.sim.world import require

if TYPE_CHECKING:
    from hanse.sim.client import Answer, Ask, ClientNode
    from hanse.sim.home import HomeNode

_BACKLOG_SLACK = 1000  # facts that come of what is not a report, beyond the backlog
_OPEN_LEASES = 1000


class Watch:
    """For one home."""

    def __init__(self, plans: dict[JobId, JobPlan]) -> None:
        self._plans = plans
        self.truth = Truth(self)
        self.known = Ledger()  # all that the home decided
        self.durable = Ledger()  # and of that, what its disk has
        self.clients: list[ClientNode] = []
        self._told = 0  # facts of durable jobs that clients may have been told
        self._granted: dict[LeaseId, tuple[str, int]] = {}
        self._births: dict[tuple[JobId, int], int] = {}  # a job's growth to a size: in which run
        self._given_up: set[JobId] = set()  # by their programs: nobody resumed them
        self._begin_run()

    def _begin_run(self) -> None:
        self._heard: dict[str, tuple[int, int]] = {}  # site: incarnation, and number of the report
        self._heard_ns: dict[str, int] = {}  # and when that was, on the home's clock
        self._held: dict[LeaseId, Lease] = {}
        self._vtimes: dict[JobId, int] = {}
        self._adoptable: list[Running] = []
        self._overdue: set[str] = set()  # before the event: its orders may ask for less
        self._fresh = True

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
        return self._plans[job].durable and job not in self._given_up

    def unwanted(self, job: JobId) -> bool:
        """No client wants the job to go on."""
        memories = [client.jobs[job] for client in self.clients if job in client.jobs]
        return any(m.cancelling or m.forgotten or m.lost for m in memories)

    def gave_up(self, node: HomeNode) -> None:
        """The programs of an embedded home have begun again: with these jobs, and no others."""
        for client in self.clients:
            for job, memory in client.jobs.items():
                if job in node.home.jobs:
                    memory.ended = False
                elif job in node.told:
                    self._given_up.add(job)
                    memory.lost |= memory.submitted and not memory.ended

    # --- events ---------------------------------------------------------------------------------
    def before(self, node: HomeNode, event: Event, now_ns: int) -> None:
        self._held = dict(node.home.leases)
        self._overdue = {id for id, site in node.home.sites.items() if site.overdue(now_ns)}
        self._adoptable = []
        self._fresh = True
        if type(event) is Hear:
            report = event.report
            last = self._heard.get(report.site, (0, 0))
            self._fresh = (report.incarnation, report.seq) > last
            if self._fresh:
                self._heard[report.site] = (report.incarnation, report.seq)
                self._heard_ns[report.site] = now_ns
                self._adoptable = [r for r in report.running if self._may_adopt(node, report, r)]

    def after(self, node: HomeNode, event: Event, decision: Decision, now_ns: int) -> None:
        home = node.home
        check(home)
        require(self._fresh or not decision.facts, "facts from an old report:", decision.facts)
        for fact in decision.facts:
            self._take(node, fact)
        self._check_settled(node, decision)
        self._check_closed(node, event, now_ns)
        self._check_heard(node, event)
        for running in self._adoptable:
            there = running.lease in home.leases or running.job in self._ended(decision)
            require(there, "a running lease was not taken back:", running)
        if type(event) is Tick:
            for id, lease in home.leases.items():
                late = self._silent(lease, now_ns)
                require(not late, "a lease outlives its site's silence:", id)
        for orders in decision.sends:
            self._check_orders(node, orders, now_ns)
        self._check_bounds(node)

    def _ended(self, decision: Decision) -> set[JobId]:
        return {fact.job for fact in decision.facts if self.known.jobs[fact.job].ended}

    # --- facts ----------------------------------------------------------------------------------
    def _take(self, node: HomeNode, fact: Fact) -> None:
        self.known.take(fact)
        plan = self._plans[fact.job]
        if type(fact) is JobGrown:
            self._births[fact.job, fact.size] = node.runs
        elif type(fact) is SegmentCommitted:
            self.truth.committed(fact, plan.folded)
            born = self.born(fact.job, fact.stop - 1)
            same = fact.lease >> RUN_BITS >= born
            require(same, "the result of another item that had this number:", fact)
        elif type(fact) is AttemptFailed:
            self.truth.attempted(fact)
        elif type(fact) is ItemsFailed:
            self.truth.gave_up(fact, plan.retries, limits.MAX_CRASHES)

    def _check_settled(self, node: HomeNode, decision: Decision) -> None:
        for id in {fact.job: None for fact in decision.facts}:
            job = node.home.jobs.get(id)
            same = job is None or job.settled == self.known.jobs[id].settled
            require(same, "settled otherwise than the facts say:", id)

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
        check(node.home)
        for id, job in node.home.jobs.items():
            account = self.known.jobs[id]
            require(job.settled == account.settled, "recovered otherwise than recorded:", id)
            require(job.size == account.size, "recovered with another size:", id)

    # --- leases ---------------------------------------------------------------------------------
    def _may_adopt(self, node: HomeNode, report: Report, running: Running) -> bool:
        """Whether nothing speaks against taking the lease back, before the report is heard."""
        job = node.home.jobs.get(running.job)
        if job is None or job.state.ended or running.lease in node.home.leases:
            return False
        if any(getattr(note, "job", running.job) == running.job for note in report.notes):
            return False  # its notes may change what is open
        if (
            running.stop > job.size
            or self.born(job.id, running.stop - 1) > running.lease >> RUN_BITS
        ):
            return False  # other items have these numbers now
        if not running.start <= running.begun <= running.stop <= job.size:
            return False
        gaps = job.settled.gaps(running.start, running.stop)
        mine = [other for other in report.running if other.job == running.job]
        alone = all(
            other is running or other.stop <= running.start or running.stop <= other.start
            for other in mine
        )
        return alone and bool(gaps) and all(job.ready.covers(a, b) for a, b in gaps)

    def _check_closed(self, node: HomeNode, event: Event, now_ns: int) -> None:
        """A lease that the home does not know any more is one that it may close."""
        leases = node.home.leases
        for id, lease in self._held.items():
            if id not in leases:
                closed = self._may_close(node, event, lease, now_ns)
                require(closed, f"lease {id} of {lease.site} was closed for no reason by", event)

    def _may_close(self, node: HomeNode, event: Event, lease: Lease, now_ns: int) -> bool:
        if lease.granted_seq > node.home.sites[lease.site].orders_seen:
            return True  # its site may not have seen it, and it is taken back
        quiet_ns = now_ns - self._heard_ns[lease.site]
        if quiet_ns > limits.OVERDUE_NS and lease.site in self._overdue:
            return True  # its site should have spoken, and others idle
        if type(event) is Tick:
            return self._silent(lease, now_ns)
        if type(event) is not Hear or not self._fresh or event.report.site != lease.site:
            return False
        report = event.report
        granted = self._granted.get(lease.id)
        if granted is not None and granted[1] < report.incarnation:
            return True  # it died with its process
        if any(type(note) is EndNote and note.lease == lease.id for note in report.notes):
            return True
        shown = any(running.lease == lease.id for running in report.running)
        return not shown and lease.granted_seq <= report.orders_seen

    def _silent(self, lease: Lease, now_ns: int) -> bool:
        return now_ns - self._heard_ns[lease.site] >= limits.LEASE_TTL_NS

    def _check_heard(self, node: HomeNode, event: Event) -> None:
        """What a site says it will not begin is not counted as held by it."""
        if type(event) is Hear and self._fresh:
            for running in event.report.running:
                lease = node.home.leases.get(running.lease)
                held = lease is not None and lease.stop > running.stop
                require(not held, "a lease goes on behind the end that its site told:", running)

    # --- orders ---------------------------------------------------------------------------------
    def _check_orders(self, node: HomeNode, orders: Orders, now_ns: int) -> None:
        self._check_repeats(node, orders)
        for grant in orders.grants:
            self._check_grant(grant)
            if grant.lease not in self._granted:
                self._granted[grant.lease] = (orders.site, orders.incarnation)
                self._check_first(node, orders, grant)

    def _check_repeats(self, node: HomeNode, orders: Orders) -> None:
        """Orders say again whatever the site has not shown to have followed."""
        site = node.home.sites[orders.site]
        runs = [lease for lease in site.leases if not lease.cancelled]
        grants = [lease.id for lease in runs if lease.granted_seq > site.orders_seen]
        cuts = [(lease.id, lease.cut_to) for lease in runs if lease.cut_to is not None]
        cancels = {lease.id for lease in site.leases if lease.cancelled}
        require([g.lease for g in orders.grants] == grants, "grants are not repeated:", orders)
        require([(c.lease, c.stop) for c in orders.cuts] == cuts, "cuts are not repeated:", orders)
        require(cancels <= set(orders.cancels), "cancels are not repeated:", orders)

    def _check_grant(self, grant: Grant) -> None:
        account = self.known.jobs.get(grant.job)
        require(account is not None, "granted, and unknown:", grant)
        assert isinstance(account, Account)
        require(not account.ended, "granted after the end:", grant)
        require(0 <= grant.start < grant.stop <= account.size, "granted out of bounds:", grant)
        settled = account.settled.within(grant.start, grant.stop)
        require(not settled, "granted, and settled:", grant)

    def _check_first(self, node: HomeNode, orders: Orders, grant: Grant) -> None:
        """Nobody whom the home knows to run these items runs them, but for a declared backup."""
        for item, attempt in grant.attempts.items():
            most = 1 + self.truth.attempts(grant.job, item)
            require(attempt <= most, "counts attempts that never were:", grant)
        for item, needs in self.known.jobs[grant.job].waits.items():
            for job, need in needs if grant.start <= item < grant.stop else ():
                before = job == grant.job and grant.start <= need < item
                settled = job not in self.known.jobs or need in self.known.jobs[job].settled
                require(before or settled, f"granted, and {item} waits for {need} of {job}:", grant)
        mine = node.home.leases.get(grant.lease)
        for _link, run in self.truth.running(grant.job, grant.start, grant.stop):
            other = node.home.leases.get(run.lease)
            if other is None or other is mine:
                continue
            if (mine is not None and mine.backup_of == other.id) or other.backup_of == grant.lease:
                require(grant.stop - grant.start == 1, "a backup of many:", grant)
                continue
            for item in range(max(run.at, grant.start, other.start), min(run.stop, grant.stop)):
                if item not in run.omit and not (other.given_back and item in other.given_back):
                    text = f"item {item} is granted while {run.lease} at {other.site} runs it:"
                    require(False, text, grant)

    def _check_bounds(self, node: HomeNode) -> None:
        home = node.home
        require(node.disk.backlog <= BACKLOG + _BACKLOG_SLACK, "too much waits for the disk")
        require(len(home.leases) <= _OPEN_LEASES, "too many leases are open")
        for id, job in home.jobs.items():
            require(job.vtime >= self._vtimes.get(id, 0), "a job's time ran backwards:", id)
            self._vtimes[id] = job.vtime

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
