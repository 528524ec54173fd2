"""A job's head, kept in step with its facts: what lists show, without reading the record."""

from __future__ import annotations

from typing import Any

import msgspec

from hanse.core.events import (
    Fact,
    ItemsFailed,
    JobEnded,
    JobGrown,
    JobResumed,
    JobSealed,
    JobSpent,
    SegmentCommitted,
)
from hanse.decoding import from_msgpack
from hanse.journal.port import Head
from hanse.model.account import Account, settled
from hanse.model.job import JobState
from hanse.model.usage import Usage


class Tally:
    """Counts what the facts of one job say. `head` is the head after all facts so far."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.usage = usage_of(head)

    def take(self, fact: Fact, now_s: float, nbytes: int, usage: Usage | None) -> None:
        changes = _changes(self.head, fact, now_s)
        if isinstance(fact, JobSpent):
            usage = Usage(spent=dict(fact.sites), moved=fact.moved, late_ns=fact.late_ns)
        elif isinstance(fact, JobResumed) and self.head.ended_s is not None:
            usage = Usage()  # its deadline counts anew
        if usage is not None:
            if isinstance(fact, JobSpent | JobResumed):
                self.usage = msgspec.structs.replace(self.usage, late_ns=0)  # of an earlier run
            self.usage = self.usage.plus(usage)
            changes["summary"] = msgspec.msgpack.encode(self.usage)
        self.head = msgspec.structs.replace(
            self.head, updated_s=now_s, stored_bytes=self.head.stored_bytes + nbytes, **changes
        )


def _changes(head: Head, fact: Fact, now_s: float) -> dict[str, Any]:
    match fact:
        case SegmentCommitted(_, start, stop):
            return {"done": head.done + stop - start}
        case ItemsFailed(_, start, stop):
            return {"failed": head.failed + stop - start}
        case JobGrown(_, size):
            return {"size": size}
        case JobSealed(_, whole):
            return {"total": head.size if whole else None}
        case JobEnded(_, state):
            return {"state": str(state), "ended_s": now_s}
        case JobResumed(_, spec, again):
            failed = 0 if again else head.failed
            total = head.total if spec.total is None else spec.total
            running = str(JobState.RUNNING)
            return {"state": running, "ended_s": None, "failed": failed, "total": total}
    return {}


def settled_of(head: Head) -> Account | None:
    """What a job that nobody runs has cost; None if nothing was counted, and it was in time."""
    usage = usage_of(head)
    return settled(usage.spent, usage.moved, usage.late_ns)


def usage_of(head: Head) -> Usage:
    """What a job's items took so far."""
    if not head.summary:
        return Usage()
    try:
        return from_msgpack(head.summary, Usage)
    except msgspec.MsgspecError:  # of a newer version: shown as unknown, no reason to fail
        return Usage()
