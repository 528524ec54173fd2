"""Facts in their order, and what may follow what: each item is settled once, and nothing after a
job's end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hanse.core.events import (
    AttemptFailed,
    Fact,
    ItemsFailed,
    JobEnded,
    JobForgotten,
    JobGrown,
    JobResumed,
    JobSealed,
    JobSpent,
    JobSubmitted,
    SegmentCommitted,
)
from hanse.ids import JobId, SiteId
from hanse.model.failure import Cause
from hanse.model.job import JobState
from hanse.sim.checks import items
from hanse.sim.world import require


class Account:
    """One job."""

    __slots__ = (
        "accounts",
        "attempted",
        "begun_ns",
        "counted",
        "deaths",
        "facts",
        "failed",
        "forgotten",
        "lives",
        "over",
        "reopened",
        "retries",
        "sealed",
        "settled",
        "since_ns",
        "size",
        "sizes",
        "spent",
        "state",
        "whole",
    )

    def __init__(self, now_ns: int) -> None:
        self.begun_ns = self.since_ns = now_ns  # its deadline counts from the second
        self.accounts = 0  # how often it was said what it has cost
        self.spent: Mapping[SiteId, int] = {}  # what it had cost, when that was said last
        self.settled, self.failed = items.NONE, items.NONE
        self.reopened = items.NONE  # they had failed for good, and another life tries them again
        self.size = 0
        self.sizes: list[int] = []  # after each growth
        self.sealed, self.whole = False, True
        self.state = JobState.RUNNING
        self.over = False  # it ended once, even if it was resumed since
        self.forgotten = False
        self.lives = 1
        self.facts = 1
        self.attempted: set[tuple[int, int]] = set()  # (item, lease) of all failed attempts
        # The rest is since the job was resumed.
        self.counted: set[tuple[int, int]] = set()
        self.retries: Counter[int] = Counter()  # of each item: failed attempts ...
        self.deaths: Counter[int] = Counter()  # ... and those that killed a worker

    @property
    def ended(self) -> bool:
        return self.state.ended

    @property
    def complete(self) -> bool:
        return self.sealed and self.settled == items.span(0, self.size)

    def has(self, item: int) -> bool:
        """The item has a result."""
        return bool(self.settled & ~self.failed & items.one(item))

    def lost(self, item: int) -> bool:
        """The item has no result, and never will have one."""
        gone = bool(self.failed & items.one(item))
        return self.forgotten or gone or (self.ended and not self.has(item))


class Ledger:
    """What some facts come to. Each one is checked against those before it."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self.jobs: dict[JobId, Account] = {}
        for fact in facts:
            self.take(fact)

    def take(self, fact: Fact) -> None:
        if type(fact) is JobSubmitted:
            require(fact.job not in self.jobs, "submitted twice:", fact)
            self.jobs[fact.job] = Account(fact.now_ns)
            return
        require(fact.job in self.jobs, "of an unknown job:", fact)
        account = self.jobs[fact.job]
        require(not account.forgotten, "of a forgotten job:", fact)
        if type(fact) is not JobResumed and type(fact) is not JobForgotten:
            require(not account.ended, "after the end:", fact)
        account.facts += type(fact) is not JobSpent
        _TAKE[type(fact)](account, fact)

    def has(self, ref: tuple[JobId, int]) -> bool:
        """That item of that job has a result."""
        account = self.jobs.get(ref[0])
        return account is not None and not account.forgotten and account.has(ref[1])

    def lost(self, ref: tuple[JobId, int]) -> bool:
        """It has none, and never will have."""
        account = self.jobs.get(ref[0])
        return account is None or account.lost(ref[1])


def _settle(account: Account, fact: SegmentCommitted | ItemsFailed) -> None:
    require(0 <= fact.start < fact.stop <= account.size, "items that are not there:", fact)
    these = items.span(fact.start, fact.stop)
    require(not account.settled & these, "settled twice:", fact)
    account.settled |= these
    if type(fact) is ItemsFailed:
        account.failed |= these


def _attempt(account: Account, fact: AttemptFailed) -> None:
    require(0 <= fact.item < account.size, "an item that is not there:", fact)
    require(not account.settled & items.one(fact.item), "an attempt of a settled item:", fact)
    require((fact.item, fact.lease) not in account.counted, "counted twice:", fact)
    account.counted.add((fact.item, fact.lease))
    account.attempted.add((fact.item, fact.lease))
    count = account.deaths if fact.cause is Cause.DIED else account.retries
    count[fact.item] += 1


def _grown(account: Account, fact: JobGrown) -> None:
    require(not account.sealed and fact.size >= account.size, "grown though sealed:", fact)
    account.size = fact.size
    account.sizes.append(fact.size)


def _sealed(account: Account, fact: JobSealed) -> None:
    require(not account.sealed, "sealed twice:", fact)
    account.sealed, account.whole = True, fact.whole


def _resumed(account: Account, fact: JobResumed) -> None:
    if account.ended:
        account.since_ns = fact.now_ns
    account.state = JobState.RUNNING
    account.lives += 1
    account.sealed, account.whole = account.sealed and account.whole, True
    account.counted.clear()
    account.retries.clear()
    account.deaths.clear()
    if fact.again:
        account.reopened |= account.failed
        account.settled &= ~account.failed
        account.failed = items.NONE


def _spent(account: Account, fact: JobSpent) -> None:
    """Money that is gone does not come back, and least of all by a crash."""
    less = [site for site, nano in account.spent.items() if fact.sites.get(site, 0) < nano]
    require(not less, "has cost less than before at", less, fact)
    account.spent = fact.sites
    account.accounts += 1


def _ended(account: Account, fact: JobEnded) -> None:
    account.state, account.over = JobState(fact.state), True


def _forgotten(account: Account, fact: JobForgotten) -> None:
    require(account.ended, "forgotten before its end:", fact)
    account.forgotten = True


_TAKE: Mapping[type, Callable[[Account, Any], None]] = {
    SegmentCommitted: _settle,
    ItemsFailed: _settle,
    AttemptFailed: _attempt,
    JobGrown: _grown,
    JobSealed: _sealed,
    JobResumed: _resumed,
    JobSpent: _spent,
    JobEnded: _ended,
    JobForgotten: _forgotten,
}
