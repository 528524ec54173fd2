"""What a job's record tells people: when which lease ran where, what failed, what it took.

A story is read on from where it was, so a page that looks every second costs what is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from hanse import limits
from hanse.core.events import AttemptFailed, ItemsFailed, JobResumed, SegmentCommitted
from hanse.ids import JobId, LeaseId
from hanse.journal.port import Head
from hanse.model.failure import Failure
from hanse.node.dash.sight import Out
from hanse.records.entries import Body, Ran, decode
from hanse.records.program import ProgramRecord
from hanse.records.record import program_of
from hanse.records.state import Records


class Bar(msgspec.Struct):
    """What came of one lease, from its grant to its last results at home. Where its grant is not
    known (to an older Hanse, or to a home that was started again) it begins with its items."""

    lease: LeaseId
    site: str
    start_ms: int
    stop_ms: int
    first: int  # its items are among these, `done` in number
    stop: int
    done: int = 0
    failed: int = 0
    seq: int = 0  # of the entry that changed it last
    begun_ms: int = 0  # until then it waited, at its site or on its way there


class Shown(msgspec.Struct, frozen=True):
    """A failed item."""

    item: int
    stop: int  # behind the last that failed with it
    headline: str
    cause: str
    type: str
    host: str
    attempt: int
    traceback: str
    output: str


class Story:
    """One job's. Its lock is held by whoever uses it."""

    def __init__(self, records: Records, job: JobId) -> None:
        self.lock = threading.Lock()
        self.next = 0  # the number of the next entry
        self.bars: OrderedDict[LeaseId, Bar] = OrderedDict()  # in the order in which they began
        self.dropped = 0  # bars that are not kept
        self.undated = 0  # segments of a Hanse that did not write when and where
        self.failures: list[Shown] = []
        self.more_failures = 0
        self.program: ProgramRecord | None = None
        self._records = records
        self._job = job

    def read_program(self, head: Head) -> None:
        if self.program is None:
            self.program = program_of(self._records, head)

    def read_on(self, head: Head) -> None:
        """Take what is new. Raises JournalError."""
        self.read_program(head)
        journal = self._records.journal
        for entry in journal.read(self._job, self.next):
            self._take(entry.seq, decode(self._job, entry, journal.where))
            self.next = entry.seq + 1

    def _take(self, seq: int, body: Body) -> None:
        match body.fact:
            case SegmentCommitted(_, start, stop, lease):
                bar = self._bar(seq, lease, start, stop, body.ran)
                if bar is not None:
                    bar.done += stop - start
            case AttemptFailed(_, item, _, lease):
                bar = self._bar(seq, lease, item, item + 1, body.ran)
                if bar is not None:
                    bar.failed += 1
            case ItemsFailed(_, start, stop, cause, lease):
                if lease is not None:
                    bar = self._bar(seq, lease, start, stop, body.ran)
                    if bar is not None:
                        bar.failed += stop - start
                name = self.program.name if self.program is not None else ""
                failure = body.failure or Failure(cause=cause, function=name, item=start)
                self._failed(start, stop, failure)
            case JobResumed(_, _, again) if again:
                self.failures, self.more_failures = [], 0

    def _bar(self, seq: int, lease: LeaseId, first: int, stop: int, ran: Ran | None) -> Bar | None:
        if ran is None:
            self.undated += 1
            return None
        begun_ms = ran.at_ms - ran.busy_us // 1000
        start_ms = begun_ms if ran.since_ms is None else ran.at_ms - ran.since_ms
        bar = self.bars.get(lease)
        if bar is None:
            bar = self.bars[lease] = Bar(
                lease, ran.site, start_ms, ran.at_ms, first, stop, begun_ms=begun_ms
            )
            if len(self.bars) > limits.DASH_LEASES:
                self.bars.popitem(last=False)
                self.dropped += 1
        bar.start_ms, bar.stop_ms = min(bar.start_ms, start_ms), max(bar.stop_ms, ran.at_ms)
        bar.begun_ms = max(bar.start_ms, min(bar.begun_ms, begun_ms))
        bar.first, bar.stop, bar.seq = min(bar.first, first), max(bar.stop, stop), seq
        return bar

    def _failed(self, start: int, stop: int, failure: Failure) -> None:
        if len(self.failures) >= limits.DASH_FAILURES:
            self.more_failures += 1
            return
        self.failures.append(
            Shown(
                start, stop, failure.headline(), str(failure.cause), failure.type, failure.host,
                failure.attempt, failure.traceback, failure.output,
            )
        )  # fmt: skip


def _so_far(one: Out, known: Bar | None, now_ms: int) -> Bar:
    """What is known of a lease that is out."""
    if known is None:
        return Bar(one.lease, one.site, one.start_ms, now_ms, one.first, one.stop)
    return msgspec.structs.replace(known, start_ms=one.start_ms, stop_ms=now_ms)


class Stories:
    """Those that were looked at last. For any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[JobId, Story] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, records: Records, job: JobId) -> Story:
        with self._lock:
            story = self._kept.pop(job, None) or Story(records, job)
            self._kept[job] = story
            while len(self._kept) > limits.DASH_STORIES:
                self._kept.popitem(last=False)
            return story


def trace(head: Head, story: Story, out: Sequence[Out] = (), now_ms: int = 0) -> dict[str, Any]:
    """The leases as Chrome's trace event format, which Perfetto reads too: each site is a process,
    and leases that overlap there are threads of it. Those that are `out` end now."""
    events: list[dict[str, Any]] = []
    sites: dict[str, list[int]] = {}  # when each lane of a site is free again
    pids: dict[str, int] = {}
    bars = story.bars | {one.lease: _so_far(one, story.bars.get(one.lease), now_ms) for one in out}
    running = {one.lease for one in out}
    for bar in sorted(bars.values(), key=lambda bar: bar.start_ms):
        lanes = sites.setdefault(bar.site, [])
        pid = pids.setdefault(bar.site, len(pids) + 1)
        lane = next((i for i, free in enumerate(lanes) if free <= bar.start_ms), len(lanes))
        lanes[lane : lane + 1] = [bar.stop_ms]
        events.append(
            {
                "name": f"{head.function} {bar.first}-{bar.stop - 1}", "ph": "X", "cat": "lease",
                "pid": pid, "tid": lane + 1,
                "ts": bar.start_ms * 1000, "dur": max(1, (bar.stop_ms - bar.start_ms) * 1000),
                "args": {
                    "lease": bar.lease, "done": bar.done, "failed": bar.failed,
                    "running": bar.lease in running,
                },
            }
        )  # fmt: skip
    names: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": site}}
        for site, pid in pids.items()
    ]
    names += [
        {
            "name": "thread_name", "ph": "M", "pid": pids[site], "tid": lane + 1,
            "args": {"name": f"lane {lane + 1}"},
        }
        for site, lanes in sites.items() for lane in range(len(lanes))
    ]  # fmt: skip
    return {
        "traceEvents": [*names, *events], "displayTimeUnit": "ms",
        "otherData": {"job": head.id, "name": head.name, "left out": str(story.dropped)},
    }  # fmt: skip
