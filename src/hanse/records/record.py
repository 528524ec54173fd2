"""A job read back from its record: what is done, what failed, and every value that is kept.

The facts are replayed by the core's own `apply`, so what a record says is what its home would say.
Bodies are read at once (some hundred bytes for each segment), payloads when they are asked for.
"""

from __future__ import annotations

import logging
import sys
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Any, TypeVar

import msgspec

from hanse import limits
from hanse.core.events import (
    AttemptFailed,
    Fact,
    ItemsFailed,
    JobGrown,
    JobResumed,
    JobSubmitted,
    SegmentCommitted,
    Timed,
)
from hanse.core.facts import apply
from hanse.core.job import Job
from hanse.errors import JournalDamaged, JournalUnavailable
from hanse.ids import JobId, SiteId
from hanse.journal.port import Head
from hanse.model.account import Account, settled
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.model.ranges import RangeSet
from hanse.model.usage import Usage
from hanse.payloads.payload import Payload, load, load_one
from hanse.records.entries import Ran, Stored, check_payload, damaged, decode
from hanse.records.payloads import unpack, unpack_inline
from hanse.records.program import ProgramRecord
from hanse.records.program import decode as decode_program
from hanse.records.state import Records

T = TypeVar("T")
_logger = logging.getLogger("hanse")


class Kept(msgspec.Struct, frozen=True, eq=False):
    """A payload that is in the journal, to be read when it is needed."""

    state: Records
    job: JobId
    seq: int
    stored: Stored

    @property
    def nbytes(self) -> int:
        return self.stored.nbytes

    @property
    def count(self) -> int:
        return self.stored.count

    def read(self) -> Payload:
        """Raises JournalDamaged if it is not what was written, JournalError."""
        return self._unpacked(self.header())

    def read_patiently(self) -> Payload:
        """The same, but a journal that cannot be reached is waited for. Not for a loop's thread."""
        return _patiently(self.read)

    def header(self) -> bytes:
        [header] = self.state.journal.payloads(self.job, [self.seq])
        return self._checked(header)

    def _checked(self, header: bytes) -> bytes:
        check_payload(self.job, self.seq, self.stored, header, self.state.journal.where)
        return header

    def _unpacked(self, header: bytes) -> Payload:
        try:
            return unpack(header, self.state.blobs)
        except JournalDamaged as error:
            raise damaged(self.job, self.seq, self.state.journal.where, str(error)) from error


def read_together(kepts: Sequence[Kept]) -> list[Payload]:
    """The payload of the first, as it reads itself patiently, and of as many of those behind it,
    all of one job, as can be had with it at once: a journal may be far away."""
    first, journal = kepts[0], kepts[0].state.journal
    small = takewhile(lambda kept: kept.nbytes < limits.INLINE_BYTES, kepts[1:])
    asked = [first, *islice(small, limits.PAYLOADS_READ - 1)]
    try:
        headers = _patiently(lambda: journal.payloads(first.job, [kept.seq for kept in asked]))
        checked = [each._checked(header) for each, header in zip(asked, headers, strict=False)]
    except JournalDamaged:  # whichever of them is: it is told when its turn comes
        return [first.read_patiently()]
    found = [_patiently(lambda: first._unpacked(checked[0]))]
    for header in checked[1:]:
        payload = unpack_inline(header)
        if payload is None:
            break
        found.append(payload)
    return found


def read_each(kepts: Sequence[Kept]) -> Iterator[Payload]:
    """The payloads of one job's kept ones, in their order. Raises as those read themselves."""
    at = 0
    while at < len(kepts):
        found = read_together(kepts[at : at + limits.PAYLOADS_READ])
        yield from found
        at += len(found)


def _patiently(read: Callable[[], T]) -> T:
    until = time.monotonic_ns() + limits.JOURNAL_PATIENCE_NS
    while True:
        try:
            return read()
        except JournalUnavailable as error:
            if time.monotonic_ns() > until:
                raise
            _logger.warning("hanse: %s; trying again", error)
            time.sleep(limits.JOURNAL_RETRY_NS / 1e9)


class StoredBlock(msgspec.Struct, frozen=True, eq=False):
    """Inputs of the items `start` to `stop`."""

    start: int
    stop: int
    kept: Kept


class StoredPart(msgspec.Struct, frozen=True, eq=False):
    """The outcome of the items `start` to `stop`: either `kept` or `failure` is set."""

    start: int
    stop: int
    kept: Kept | None
    failure: Failure | None

    @property
    def folded(self) -> bool:
        """Whether one value stands for all the items."""
        return self.kept is not None and self.kept.stored.first is None

    def load(self, payload: Payload) -> list[Any]:
        """The values of a part that did not fail, of which this is what is kept: one for each item,
        or the one of a fold."""
        assert self.kept is not None
        values, first = list(load(payload)), self.kept.stored.first
        return values if first is None else values[first : first + self.stop - self.start]


class JobRecord:
    """Everything that the journal holds of one job, as of when it was read."""

    def __init__(self, state: Records, head: Head) -> None:
        self.state = state
        self.head = head
        self.facts: list[Fact] = []
        self.blocks: list[StoredBlock] = []
        self.usage = Usage()
        self.timed: deque[Timed] = deque(maxlen=limits.TIMED_KEPT)  # the newest segments
        self._parts: dict[int, StoredPart] = {}  # by first item
        self._jobs: dict[JobId, Job] = {}
        self._program: Kept | None = None
        for entry in state.journal.read(head.id):
            if entry.seq != len(self.facts):
                raise damaged(head.id, len(self.facts), state.journal.where, "it is missing")
            body = decode(head.id, entry, state.journal.where)
            kept = None
            if body.stored is not None:
                kept = Kept(state, head.id, entry.seq, body.stored)
            if body.usage is not None:
                self.usage = self.usage.plus(body.usage)
            if isinstance(body.fact, SegmentCommitted) and body.ran is not None:
                self._time(body.fact.stop - body.fact.start, body.ran)
            self._take(body.dated(head.created_s), kept, body.failure)
        self._check()

    def _time(self, items: int, ran: Ran) -> None:
        if ran.busy_us:
            self.timed.append(Timed(SiteId(ran.site), items, 1000 * ran.busy_us))

    def _take(self, fact: Fact, kept: Kept | None, failure: Failure | None) -> None:
        if not self._can_be(fact):
            raise damaged(
                self.head.id, len(self.facts), self.state.journal.where, f"it cannot be: {fact}"
            )
        match fact:
            case JobSubmitted():
                self._program = kept
            case JobGrown(_, size) if kept is not None:
                self.blocks.append(StoredBlock(self.size, size, kept))
            case SegmentCommitted(_, start, stop):
                self._parts[start] = StoredPart(start, stop, kept, None)
            case ItemsFailed(_, start, stop, cause):
                failure = failure or Failure(cause=cause, function=self.head.function, item=start)
                self._parts[start] = StoredPart(start, stop, None, failure)
            case JobResumed(_, _, again) if again:
                self._parts = {at: part for at, part in self._parts.items() if part.kept}
        try:
            apply(self._jobs, fact)
        except Exception as error:
            raise damaged(
                self.head.id, len(self.facts), self.state.journal.where, f"it cannot be: {error}"
            ) from error
        self.facts.append(fact)

    def _can_be(self, fact: Fact) -> bool:
        """Whether the fact may follow those before it: a checksum says who wrote it, not that it
        makes sense."""
        if isinstance(fact, JobSubmitted) != (not self.facts):
            return False
        match fact:
            case SegmentCommitted(_, start, stop) | ItemsFailed(_, start, stop):
                open_items = [(start, stop)] == self.settled.gaps(start, stop)
                return 0 <= start < stop <= self.size and open_items
            case AttemptFailed(_, item):
                return 0 <= item < self.size
            case JobGrown(job, size, waits):
                inside = all(self.size <= item < size for item in waits)
                refs = [ref for refs in waits.values() for ref in refs if ref[0] == job]
                before = all(0 <= needed < size for _, needed in refs)
                return self.size <= size < 1 << 53 and inside and before
        return True

    def _check(self) -> None:
        if self._program is None or self.head.id not in self._jobs:
            raise damaged(self.head.id, 0, self.state.journal.where, "the record has no beginning")
        covered = RangeSet((part.start, part.stop) for part in self._parts.values())
        if covered != self.job.settled:
            raise JournalDamaged(f"the record of job {self.head.id} does not add up")

    def check_whole(self) -> None:
        """Raises JournalDamaged if the job is done and lacks an outcome: its results must not be
        handed out as if they were all."""
        missing = self.size - len(self.settled)
        if self.job_state is JobState.DONE and missing:
            raise JournalDamaged(
                f"job {self.head.id} is recorded as done, and {missing:,} items have no result: "
                "start it over with fresh=True (hanse run --fresh)"
            )

    # --- what is known ----------------------------------------------------------------------------
    @property
    def job(self) -> Job:
        """The job as its home would see it."""
        return self._jobs[self.head.id]

    @property
    def size(self) -> int:
        return self._jobs[self.head.id].size if self._jobs else 0

    @property
    def job_state(self) -> JobState:
        """As recorded; running means interrupted if nobody holds the job."""
        return self.job.state

    @property
    def account(self) -> Account | None:
        """What it has cost, as recorded last; None if nothing was counted, and it was in time."""
        return settled(self.job.paid, self.job.moved, self.job.late_ns)

    @property
    def settled(self) -> RangeSet:
        return self.job.settled

    @property
    def failed(self) -> RangeSet:
        return self.job.failed

    @property
    def program(self) -> ProgramRecord:
        assert self._program is not None
        payload = self._program.read()
        return decode_program(bytes(payload.data), self.head.id)

    def parts(self) -> Iterator[StoredPart]:
        """Every outcome, in order of items."""
        for start in sorted(self._parts):
            yield self._parts[start]

    def payloads(self) -> Iterator[Kept]:
        """Everything that is kept: the program, inputs, results."""
        if self._program is not None:
            yield self._program
        yield from (block.kept for block in self.blocks)
        yield from (part.kept for part in self.parts() if part.kept is not None)

    def outcomes(self) -> Iterator[tuple[StoredPart, Payload | None]]:
        """Every outcome, in order, with its payload unless it failed. Raises JournalError."""
        parts = list(self.parts())
        payloads = read_each([part.kept for part in parts if part.kept is not None])
        return ((part, next(payloads) if part.kept is not None else None) for part in parts)

    def failures(self) -> Iterator[Failure]:
        """Why items failed for good, in order of items."""
        return (part.failure for part in self.parts() if part.failure is not None)

    # --- what user code is needed for -------------------------------------------------------------
    def function(self) -> Callable[..., Any]:
        """The function, unpickled: this imports, and may run, code of the user's."""
        self._import_from_there()
        found: Callable[..., Any] = load_one(unpack(self.program.function, self.state.blobs))
        return found

    def arguments(self, item: int) -> tuple[Any, ...]:
        """The positional arguments of an item, unpickled. Raises IndexError."""
        if not 0 <= item < self.size:
            raise IndexError(item)
        self._import_from_there()
        block = self.block_of(item)
        value = load_one(block.kept.read(), item - block.start)
        return tuple(value) if self.program.star else (value,)

    def block_of(self, item: int) -> StoredBlock:
        return self.blocks[bisect_right(self.blocks, item, key=lambda block: block.start) - 1]

    def _import_from_there(self) -> None:
        program = self.program
        code = self.state.code_directory(program.code)
        paths = [code, *program.sys_path] if code else program.sys_path
        sys.path += [path for path in paths if path not in sys.path]


def open_record(state: Records, head: Head) -> JobRecord:
    """Read a job's record. Raises JournalDamaged, JournalError."""
    return JobRecord(state, head)


def fresh_run_of(state: Records, head: Head) -> str:
    """The `hanse run --fresh` that made the job; empty if none did, or if that cannot be read: who
    starts over wants nothing of the record. Raises JournalError for what may pass."""
    try:
        program = program_of(state, head)
    except JournalDamaged:
        return ""
    return "" if program is None else program.fresh


def program_of(state: Records, head: Head) -> ProgramRecord | None:
    """The job's program, without reading the rest; None if nothing is recorded of it. Raises
    JournalError."""
    for entry in state.journal.read(head.id):
        stored = decode(head.id, entry, state.journal.where).stored
        if stored is not None:
            payload = Kept(state, head.id, entry.seq, stored).read()
            return decode_program(bytes(payload.data), head.id)
        break
    return None


def function_payload(record: JobRecord) -> Payload:
    return unpack(record.program.function, record.state.blobs)


def folds(parts: Sequence[StoredPart]) -> set[bytes]:
    """What folded these parts: the fingerprints' digests."""
    return {part.kept.stored.fold for part in parts if part.kept is not None and part.folded}
