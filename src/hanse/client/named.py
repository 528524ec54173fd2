"""Named jobs: found in the journal, compared with what is asked for now, and gone on with.

A named job is resumed by running its program again, so two things are checked before anything of
the record is used: that the function is what it was (`fingerprint`), and that the inputs are. These
are read in the very blocks that were recorded, and compared by digest; where that differs, value by
value, because a set may be pickled in another order. What an item gave in an earlier run is handed
out only once the program has given that item again.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hanse import limits
from hanse.client.fingerprints.changes import changes
from hanse.client.fingerprints.fingerprint import fingerprint, same_value
from hanse.client.fingerprints.manifest import Manifest
from hanse.client.mapping import MapSource, dump_inputs
from hanse.client.results import Part, Results
from hanse.client.tracing import traceparent
from hanse.core.events import Grow
from hanse.decoding import from_msgpack
from hanse.engines.port import Program
from hanse.errors import ClientClosed, JobChanged, NameTaken, UsageError
from hanse.ids import JobId
from hanse.model.failure import plain
from hanse.model.job import JobState
from hanse.payloads import ours
from hanse.payloads.functions import name_of
from hanse.payloads.payload import Payload, load_each, words
from hanse.records.payloads import hash_only, pack
from hanse.records.program import ProgramRecord, fresh_run, here, new_head
from hanse.records.record import JobRecord, StoredBlock, folds, fresh_run_of, open_record
from hanse.runtime.source import Durable, NewProgram

if TYPE_CHECKING:
    from hanse.client.options import Options
    from hanse.journal.port import Head
    from hanse.model.job import JobSpec
    from hanse.records.state import Records
    from hanse.runtime.outcome import Outcome
    from hanse.runtime.runner import Runner

_EVERYTHING = 1 << 62


class Opened(msgspec.Struct, frozen=True, eq=False):
    """A named job that may begin, go on, or be read back."""

    id: JobId
    record: JobRecord | None  # of earlier runs
    name: str
    durable: Durable | None  # None: it is done, and only read

    def source(self, *arguments: Any) -> NamedSource:
        """The source of its items; takes what a MapSource takes."""
        return NamedSource(*arguments, name=self.name, record=self.record)

    def submit(self, runtime: Runner, spec: JobSpec, source: MapSource) -> None:
        """Begin, or go on, unless it is only read."""
        if self.durable is not None:
            assert isinstance(source, NamedSource)
            runtime.submit_durable(self.id, spec, source, self.durable)


def check_name(name: str) -> None:
    """Raises UsageError if a job cannot have this name."""
    if not isinstance(name, str) or not name.strip() or len(name) > 200 or not name.isprintable():
        raise UsageError(f"a job's name is 1 to 200 printable characters, not {name!r}")
    if re.fullmatch("j-[0-9a-f]{12}", name):
        raise UsageError(f"{name!r} looks like a job's id: choose another name")


def starts_over(state: Records, known: Head, fresh: bool) -> bool:
    """Whether the job starts over: told by the call, or by `hanse run --fresh`, unless that very
    run has made it: items of it may come to the job again when their worker died."""
    run = fresh_run()
    return fresh or bool(run and fresh_run_of(state, known) != run)


def open_named(
    runtime: Runner, id: JobId, name: str, function: Any, pickled: Payload, label: str,
    options: Options, spec: JobSpec, *, star: bool, fresh: bool,
) -> Opened:  # fmt: skip
    """Find the job of this name, or make it under the new id; hold it for this process.

    Raises:
        JobChanged: its function is not what it was; says what differs.
        JobBusy: another program runs it.
        JournalError: the journal or a blob cannot be read or written.
    """
    manifest = fingerprint(function)
    head = new_head(id, name, label, spec.total)
    told = ProgramRecord(
        name=plain(label), function=b"", manifest=msgspec.msgpack.encode(manifest), star=star,
        retries=options.retries, timeout_s=options.timeout, raising=spec.fail_fast,
        code=runtime.code(), environment=options.environment, calls_home=options.calls_home,
        trace=traceparent(), **here(),
    )  # fmt: skip
    program = NewProgram(told, pickled)
    run = None
    for attempt in range(limits.NAME_ATTEMPTS):
        known = runtime.records().journal.find(name)
        if known is not None and not starts_over(runtime.records(), known, fresh):
            opened = _reopen(runtime, known.id, name, told, spec.fail_fast)
            if opened is not None:
                return opened
        try:
            run = runtime.durables.create(
                head, known.id if known is not None else None, spec, program
            )
            break
        except NameTaken:  # another program was quicker: its job is the one to go on with
            if attempt + 1 == limits.NAME_ATTEMPTS:
                raise
    assert run is not None
    return Opened(id, None, name, Durable(head, run, program))


def _reopen(
    runtime: Runner, id: JobId, name: str, told: ProgramRecord, raising: bool
) -> Opened | None:
    """The job as it is recorded, held for this process; None if nothing is: then it begins anew."""
    durables, journal = runtime.durables, runtime.records().journal
    run = durables.claim(id)
    kept = False
    try:
        head = journal.find(id)
        if head is None:
            raise UsageError(f"the job {name!r} was removed just now: run the program again")
        if next(iter(journal.read(id)), None) is None:
            return None  # its program was killed when it had just made it
        record = open_record(runtime.records(), head)
        record.check_whole()
        _compare(record, name, told)
        if record.job_state is JobState.DONE:
            return Opened(id, record, name, None)
        kept = True
        again = record.job_state is JobState.FAILED or raising  # failures are no results then
        return Opened(id, record, name, Durable.of(record, run, again))
    finally:
        if not kept:
            durables.unclaim(id, run)


def check_same(
    runtime: Runner, record: JobRecord, name: str, function: Any, options: Options,
    values: Sequence[Any], *, star: bool, whole: bool,
) -> None:  # fmt: skip
    """Refuse what a run of the program would refuse, and change nothing. Not `whole`: there are
    more inputs than these. Raises JobChanged, UsageError, JournalError."""
    told = msgspec.structs.replace(
        record.program, manifest=msgspec.msgpack.encode(fingerprint(function)), star=star,
        environment=options.environment,
    )  # fmt: skip
    _compare(record, name, told)
    id = record.head.id
    program = Program(key=0, job=id, name=name_of(function), function=None)
    source = NamedSource(
        runtime, id, program, Results(), (), True, name=name, record=record, reading=True
    )
    source.compare(values, whole)


def _compare(record: JobRecord, name: str, told: ProgramRecord) -> None:
    program = record.program
    before, now = (from_msgpack(one.manifest, Manifest) for one in (program, told))
    lines = changes(before, now)
    if program.star != told.star:
        lines.append("it was mapped over " + ("several iterables" if program.star else "one"))
    if program.environment != told.environment:
        packages = "its own" if program.environment is None else program.environment.words
        lines.append(f"it ran with other packages: {packages}")
    if lines:
        raise changed(name, record, lines)


def changed(name: str, record: JobRecord, lines: Sequence[str]) -> JobChanged:
    """The refusal, in words: what differs, whose the record is, and what can be done."""
    head = record.head
    text = "\n".join("  " + line.replace("\n", "\n  ") for line in lines)
    return JobChanged(
        f"the job {name!r} ({head.id}, made by {head.script or 'a program'}) is recorded with "
        f"something else:\n{text}\n"
        "Undo the change to go on with it; give fresh=True (hanse run --fresh) to start it over, "
        "which drops what is done; or give the new job another name."
    )


class NamedSource(MapSource):
    """A map that is recorded (see `runtime.source.DurableSource`)."""

    recorded = True

    def __init__(
        self, *args: Any, name: str, record: JobRecord | None, fed: bool = True,
        again: bool | None = None, reading: bool | None = None,
    ) -> None:  # fmt: skip
        """`fed`: the program gives the inputs again. `again`: what failed is open, as it is of a
        job that failed. `reading`: nothing runs, as of a job that is done."""
        super().__init__(*args)
        self._name = name
        self._record = record
        self._expected: Sequence[StoredBlock] = record.blocks if record is not None else ()
        self._at = 0  # the next of them to be compared
        self._grown = record.size if record is not None else 0
        self._verified = 0 if self._expected and fed else _EVERYTHING
        self._gated: list[tuple[int, int, Part]] = []  # (stop, number, part): not verified yet
        self._numbers = itertools.count()
        self._end: tuple[JobState, BaseException | None] | None = None  # waits for the gate
        self._stopped: tuple[JobState, BaseException | None] | None = None  # before it opened
        self._reading = record is not None and record.job_state is JobState.DONE and not again
        if reading is not None:
            self._reading = reading
        if record is not None and reading is None:
            if again is None:
                again = record.job_state is JobState.FAILED or self._raising
            self._restore(record, again and not self._reading)

    def _restore(self, record: JobRecord, again: bool) -> None:
        if not self._reading:
            self._blocks.restore(record, again)
        self._results.restore(record.job.done, 0 if again else len(record.failed))
        for part in record.parts():
            if part.kept is not None:
                first = part.kept.stored.first
                self._deliver(Part(part.start, part.stop, part.kept, first, None, True))
            elif not again:
                if self._raising and part.failure is not None:
                    self._results.fail(part.failure)
                self._deliver(Part(part.start, part.stop, None, None, part.failure, True))

    # --- for the feeder -------------------------------------------------------------------------
    @property
    def exact(self) -> int | None:
        if self._at >= len(self._expected):
            return None
        block = self._expected[self._at]
        return block.stop - block.start

    def feed(self, values: Sequence[Any]) -> int:
        payload, broken, needs = dump_inputs(values, self._size, self._each, self.program.name)
        if needs:
            raise UsageError(
                f"the inputs of the named job {self._name!r} hold futures, which mean nothing to a "
                "later run: give it their results, or no name"
            )
        self._each = payload.ends is not None
        if self._at < len(self._expected):
            self._verify(self._expected[self._at], payload, values)
        elif self._has_all:
            assert self._record is not None
            self._refuse(f"it has more inputs than the {self._record.size:,} of before")
        else:
            self._keep(self._size, [payload])
            size, lies = self._size + len(values), self._lies(values)
            self._add(Grow(self._job, size, {}, list(broken), lies), broken)
        return payload.nbytes

    @property
    def _has_all(self) -> bool:
        """Whether all inputs are recorded."""
        return self._record is not None and self._record.job.sealed and self._record.job.whole

    def compare(self, values: Sequence[Any], whole: bool) -> None:
        """Compare these inputs with what is recorded, and add none. Not `whole`: there are more.
        Raises JobChanged."""
        while (count := self.exact) is not None and (whole or self._size + count <= len(values)):
            block = values[self._size : self._size + count]
            if not block:
                self._fewer(self._size)
            self.feed(block)
        if self._has_all and self.exact is None and self._size < len(values):
            self.feed(values[self._size : self._size + 1])

    def _verify(self, block: StoredBlock, payload: Payload, values: Sequence[Any]) -> None:
        if len(values) == block.stop - block.start:
            packed = pack(payload, hash_only)
            if packed.digest != block.kept.stored.digest:
                self._find_difference(block, values)
            self._at += 1
            self._size = block.stop
            self._open_gate(self._size if self._at < len(self._expected) else _EVERYTHING)
        else:
            self._fewer(block.start + len(values))

    def _find_difference(self, block: StoredBlock, values: Sequence[Any]) -> None:
        """The bytes differ. Equal values may be pickled in another order; else refuse."""
        known = load_each(block.kept.read_patiently(), _Unreadable, ours.loads)
        for item, (before, now) in enumerate(zip(known, values, strict=True), block.start):
            if isinstance(before, _Unreadable):
                self._refuse(f"its input {item} cannot be read back to compare: {before.error!r}")
            if not _equal(before, now):
                was, is_now = words(before), words(now)
                if was == is_now:
                    is_now = "another that looks the same (a class may give it an __eq__)"
                self._refuse(f"its input {item} was {was}, and is {is_now}")

    def _fewer(self, size: int) -> None:
        assert self._record is not None
        known = f"{self._record.size:,}" + ("" if self._record.job.sealed else " or more")
        self._refuse(f"it has {size:,} input{'s' if size != 1 else ''}, and had {known}")

    def _refuse(self, line: str) -> None:
        assert self._record is not None
        error = changed(self._name, self._record, [line])
        self._results.fail(error)
        self._give_up(error)
        raise error

    def seal(self) -> None:
        if self._at < len(self._expected):
            self._fewer(self._size)
        self._open_gate(_EVERYTHING)
        if self._reading:
            self._results.total = self._size
            self.ended(JobState.DONE, None)
        else:
            with self._lock:
                if not self._closed:
                    super().seal()

    def close(self, whole: bool = True) -> None:
        with self._lock:
            left = self._closed
        if not self._stop(JobState.FAILED, None) and not left:
            super().close(whole)

    def cancel(self) -> None:
        if not self._stop(JobState.CANCELLED, None):
            super().cancel()

    def abandon(self) -> None:
        """Its record stands, and can be gone on with."""
        self._give_up(ClientClosed(f"the job {self._name!r} was left, and can be resumed"))

    def _give_up(self, error: BaseException) -> None:
        if not self._stop(JobState.FAILED, error):
            self._runtime.leave(self._job, error)

    def _stop(self, state: JobState, error: BaseException | None) -> bool:
        """No further inputs are compared. If nothing runs, because the job is only read or is done
        but for the comparing, it ends here; False if it is to be stopped where it runs."""
        with self._lock:
            self._closed = True  # what is still read must not be added to the job's next run
            self._stopped = state, error
            over = self._reading or self._end is not None
        if over:
            self._results.end(state, error)
        return over

    # --- for the runtime ------------------------------------------------------------------------
    def decided(self, start: int, stop: int, payload: Payload, first: int | None) -> None:
        """Nothing waits for it: a named job is a map."""

    def written(self, outcome: Outcome) -> None:
        """What it says is told by the calls that follow."""

    def _deliver(self, part: Part) -> None:
        with self._lock:
            if part.stop > self._verified:
                heapq.heappush(self._gated, (part.stop, next(self._numbers), part))
                return
        self._results.add(part)

    def _open_gate(self, verified: int) -> None:
        parts = []
        with self._lock:
            self._verified = verified
            while self._gated and self._gated[0][0] <= verified:
                parts.append(heapq.heappop(self._gated)[2])
            end = self._end if verified == _EVERYTHING else None
        for part in parts:
            self._results.add(part)
        if end is not None:
            self._runtime.loop.post(lambda: super(NamedSource, self).ended(*end))

    def ended(self, state: JobState, error: BaseException | None) -> None:
        with self._lock:
            if state is JobState.DONE and self._verified != _EVERYTHING:
                if self._stopped is None:
                    self._end = state, error
                    return
                state, error = self._stopped
        super().ended(state, error)

    # --- folds ----------------------------------------------------------------------------------
    def fold(self, fold: Payload, key: int) -> None:
        if self.program is not None:  # else nothing runs on our behalf: results are folded here
            super().fold(fold, key)

    def check_fold(self, function: Any) -> None:
        """Refuse a fold that is not the one of before. Raises JobChanged."""
        manifest = fingerprint(function)
        parts = list(self._record.parts()) if self._record is not None else []
        for known in folds(parts):
            lines = changes(from_msgpack(known, Manifest), manifest)
            if lines:
                assert self._record is not None
                raise changed(self._name, self._record, ["what reduce folds with:", *lines])
        self.fold_print = msgspec.msgpack.encode(manifest)


class _Unreadable:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _equal(before: Any, now: Any) -> bool:
    """Whether the values are the same: by their own word, or part by part."""
    try:
        if type(before) is type(now) and bool(before == now):
            return True
    except Exception:  # noqa: BLE001 - of the user's class, or of an array: look inside then
        pass
    return same_value(before, now)
