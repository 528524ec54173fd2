"""Why a fact may be decided: what was asked of the home, what the plan allows, and what the ledger
holds already. No fact is right only because it fits those before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hanse import limits
from hanse.core.events import (
    AttemptFailed,
    CancelItems,
    CancelJob,
    Event,
    Fact,
    Forget,
    Grow,
    ItemsFailed,
    JobEnded,
    JobForgotten,
    JobGrown,
    JobResumed,
    JobSealed,
    JobSubmitted,
    Resume,
    Seal,
    SegmentCommitted,
    Submit,
)
from hanse.ids import JobId
from hanse.model.failure import Cause
from hanse.model.job import JobState
from hanse.sim.checks import items
from hanse.sim.checks.items import Items
from hanse.sim.checks.ledger import Account, Ledger
from hanse.sim.plan import JobPlan
from hanse.sim.world import require

_RETRIED = (Cause.RAISED, Cause.TIMEOUT, Cause.MEMORY)


class Verdicts:
    """Of one run of a home."""

    def __init__(self, ledger: Ledger, plans: Mapping[JobId, JobPlan]) -> None:
        self._ledger, self._plans = ledger, plans
        self._needs: dict[JobId, dict[int, list[tuple[JobId, int]]]] = {}
        self._dropped: dict[JobId, Items] = {}  # their clients asked to have these cancelled
        self._forgets: set[JobId] = set()  # nobody will ask about these again
        self._losses: Counter[JobId] = Counter()  # leases given up in a row, or a few more
        # Of one event:
        self._event: Event | None = None
        self._was_running = False  # the job that the event is about
        self._lost: Counter[JobId] = Counter()  # leases of these were given up
        self._broke: set[JobId] = set()  # an item failed for good, and was not just cancelled

    def needs(self, job: JobId, item: int) -> Sequence[tuple[JobId, int]]:
        """The inputs of an item, as the plan has them."""
        if job not in self._needs:
            self._needs[job] = {
                item: [(JobId(other), needed) for other, needed in refs]
                for item, refs in self._plans[job].waits
            }
        return self._needs[job].get(item, ())

    def may_run(self, job: JobId, start: int, stop: int) -> bool:
        """The inputs of all these items are there, or come of items before them among these."""
        if not self._plans[job].waits:
            return True
        return all(
            self._ledger.has(ref) or (ref[0] == job and start <= ref[1] < item)
            for item in range(start, stop)
            for ref in self.needs(job, item)
        )

    # --- around an event ------------------------------------------------------------------------
    def begin(self, event: Event, lost: Iterable[JobId]) -> None:
        """This is to happen; `lost` are the jobs of leases that it says were given up."""
        self._event = event
        self._lost = Counter(lost)
        self._losses += self._lost
        self._broke.clear()
        account = self._ledger.jobs.get(getattr(event, "job", JobId("")))
        self._was_running = account is not None and not account.ended
        if type(event) is Forget:
            self._forgets.add(event.job)
        elif type(event) is CancelItems and self._was_running:
            dropped = self._dropped.get(event.job, items.NONE)
            self._dropped[event.job] = dropped | items.span(event.start, event.stop)

    def end(self, facts: Sequence[Fact], granted: Mapping[JobId, Items]) -> None:
        """All its facts were judged and taken: was anything left undecided?"""
        for fact in facts:
            account = self._ledger.jobs[fact.job]
            require(account.ended or not account.complete, "complete, and not ended:", fact.job)
            if isinstance(fact, SegmentCommitted | AttemptFailed) or (
                type(fact) is ItemsFailed and fact.lease is not None
            ):
                self._losses[fact.job] = self._lost[fact.job]
        for job in self._broke:
            failed = self._ledger.jobs[job].state is JobState.FAILED
            require(failed, "an item failed, and its job goes on:", job)
        event = self._event
        if type(event) is CancelJob and self._was_running:
            state = self._ledger.jobs[event.job].state
            require(state is JobState.CANCELLED, "cancelled, and yet", state, event)
        elif type(event) is CancelItems and self._was_running:
            account = self._ledger.jobs[event.job]
            never = items.span(event.start, min(event.stop, account.size))
            never &= ~account.settled & ~granted.get(event.job, items.NONE)
            require(account.ended or not never, "cancelled, and yet open:", event)

    # --- facts ----------------------------------------------------------------------------------
    def judge(self, fact: Fact) -> None:
        """Whether this may follow what the ledger has. A result is right whenever an engine made
        it, which `truth` knows: its inputs were there when its item was granted, even if a crash
        has taken back the commit of one of them since."""
        if type(fact) in _ASKED:
            asked = isinstance(self._event, _ASKED[type(fact)])
            asked = asked and getattr(self._event, "job", None) == fact.job
            require(asked, "nobody asked for it:", fact)
        if type(fact) in _JUDGE:
            _JUDGE[type(fact)](self, self._ledger.jobs[fact.job], fact)

    def _forgotten(self, account: Account, fact: JobForgotten) -> None:
        require(fact.job in self._forgets, "forgotten, and nobody asked for it:", fact)

    def _grown(self, account: Account, fact: JobGrown) -> None:
        """It waits for what is neither there nor lost, and for nothing else."""
        event = self._event
        assert isinstance(event, Submit | Grow)
        require(fact.size == event.size, "grown to another size:", fact)
        waits: dict[int, list[tuple[JobId, int]]] = {}
        for item, refs in event.waits.items() if isinstance(event, Grow) else ():
            missing = [r for r in set(refs) if not self._ledger.has(r) and not self._ledger.lost(r)]
            if missing:
                waits[item] = sorted(missing)
        found = {item: sorted(refs) for item, refs in fact.waits.items()}
        require(found == waits, "waits for something else:", fact)

    def _attempted(self, account: Account, fact: AttemptFailed) -> None:
        if fact.cause is Cause.DIED:
            tried = account.deaths[fact.item] + 1 < limits.MAX_CRASHES
        else:
            tried = account.retries[fact.item] < self._plans[fact.job].retries
            tried = tried and fact.cause in _RETRIED
        require(tried, "tried once too often:", fact)

    def _failed(self, account: Account, fact: ItemsFailed) -> None:
        plan, item = self._plans[fact.job], fact.start
        if fact.cause is Cause.CANCELLED:
            extra = items.span(item, fact.stop) & ~self._dropped.get(fact.job, items.NONE)
            require(not extra, "dropped, and nobody asked for it:", fact)
            return
        require(fact.stop == item + 1, "several items failed at once:", fact)
        if fact.cause is Cause.DEPENDENCY:
            lost = [ref for ref in self.needs(fact.job, item) if self._ledger.lost(ref)]
            require(fact.needed in lost, "failed for an input that is not lost:", fact)
        elif fact.cause is Cause.DIED:
            tried = account.deaths[item] + 1 == limits.MAX_CRASHES
            require(tried, "given up too early, or too late:", fact)
        elif fact.cause in _RETRIED:
            require(account.retries[item] == plan.retries, "given up too early:", fact)
        elif fact.cause is Cause.ARGUMENT:
            broken = isinstance(self._event, Grow) and item in self._event.broken
            require(broken, "its arguments were well:", fact)
        else:
            require(fact.cause is Cause.RESULT, "failed for no reason:", fact)
        if plan.fail_fast:
            self._broke.add(fact.job)

    def _ended(self, account: Account, fact: JobEnded) -> None:
        state, job = fact.state, fact.job
        if state == JobState.CANCELLED:
            asked = isinstance(self._event, CancelJob) and self._event.job == job
            require(asked, "cancelled, and nobody asked for it:", fact)
        elif state == JobState.DONE:
            whole = account.complete and account.whole and job not in self._broke
            require(whole, "done, and items are open or failed:", fact)
        elif fact.short is not None:
            aims = self._plans[job].aims
            budget = None if aims is None else aims.budget_nano
            require(fact.short.budget_nano == budget, "another budget than it was given:", fact)
        elif fact.because:
            require(self._losses[job] >= limits.MAX_LOSSES, "given up too early:", fact)
        else:
            broken = job in self._broke or (account.complete and not account.whole)
            require(broken, "failed for no reason:", fact)


_ASKED: Mapping[type, tuple[type, ...]] = {
    JobSubmitted: (Submit,),
    JobGrown: (Submit, Grow),
    JobSealed: (Submit, Seal),
    JobResumed: (Resume,),
}

_JUDGE: Mapping[type, Callable[[Verdicts, Account, Any], None]] = {
    JobGrown: Verdicts._grown,
    JobForgotten: Verdicts._forgotten,
    AttemptFailed: Verdicts._attempted,
    ItemsFailed: Verdicts._failed,
    JobEnded: Verdicts._ended,
}
