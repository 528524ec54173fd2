"""Facts in their order, and what may follow what: each item is settled once, and nothing after a
job's end."""

from __future__ import annotations

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
    JobSubmitted,
    SegmentCommitted,
)
from hanse.ids import JobId
from hanse.model.ranges import RangeSet
from hanse.sim.world import require


class Account:
    """One job."""

    __slots__ = (
        "attempted",
        "counted",
        "ended",
        "failed",
        "over",
        "sealed",
        "settled",
        "size",
        "sizes",
        "waits",
    )

    def __init__(self) -> None:
        self.settled, self.failed = RangeSet(), RangeSet()
        self.size = 0
        self.sizes: list[int] = []  # after each growth
        self.waits: dict[int, list[tuple[JobId, int]]] = {}  # item: those whose results it needs
        self.sealed = self.ended = False
        self.over = False  # it ended once, even if it was resumed since
        self.attempted: set[tuple[int, int]] = set()  # (item, lease) of all failed attempts
        self.counted: set[tuple[int, int]] = set()  # and of those since the job was resumed


class Ledger:
    """What some facts come to. Each one is checked against those before it."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self.jobs: dict[JobId, Account] = {}
        for fact in facts:
            self.take(fact)

    def take(self, fact: Fact) -> None:
        if type(fact) is JobSubmitted:
            require(fact.job not in self.jobs, "submitted twice:", fact)
            self.jobs[fact.job] = Account()
            return
        require(fact.job in self.jobs, "of an unknown job:", fact)
        account = self.jobs[fact.job]
        if type(fact) is not JobResumed and type(fact) is not JobForgotten:
            require(not account.ended, "after the end:", fact)
        _TAKE[type(fact)](account, fact)


def _settle(account: Account, fact: SegmentCommitted | ItemsFailed) -> None:
    require(0 <= fact.start < fact.stop <= account.size, "items that are not there:", fact)
    require(not account.settled.within(fact.start, fact.stop), "settled twice:", fact)
    account.settled.add(fact.start, fact.stop)
    if type(fact) is ItemsFailed:
        account.failed.add(fact.start, fact.stop)


def _attempt(account: Account, fact: AttemptFailed) -> None:
    require(fact.item not in account.settled, "an attempt of a settled item:", fact)
    require((fact.item, fact.lease) not in account.counted, "counted twice:", fact)
    account.counted.add((fact.item, fact.lease))
    account.attempted.add((fact.item, fact.lease))


def _grown(account: Account, fact: JobGrown) -> None:
    require(not account.sealed and fact.size >= account.size, "grown though sealed:", fact)
    account.size = fact.size
    account.sizes.append(fact.size)
    account.waits.update(fact.waits)


def _sealed(account: Account, fact: JobSealed) -> None:
    require(not account.sealed, "sealed twice:", fact)
    account.sealed = True


def _resumed(account: Account, fact: JobResumed) -> None:
    account.ended = False
    account.counted.clear()
    if fact.again:
        for start, stop in account.failed:
            account.settled.remove(start, stop)
        account.failed = RangeSet()


def _ended(account: Account, fact: JobEnded) -> None:
    account.ended = account.over = True
    if fact.state == "done":
        complete = account.sealed and account.settled.covers(0, account.size)
        require(complete, "done, and items are open:", fact)


_TAKE: Mapping[type, Callable[[Account, Any], None]] = {
    SegmentCommitted: _settle,
    ItemsFailed: _settle,
    AttemptFailed: _attempt,
    JobGrown: _grown,
    JobSealed: _sealed,
    JobResumed: _resumed,
    JobEnded: _ended,
    JobForgotten: lambda account, fact: None,
}
