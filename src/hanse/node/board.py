"""All jobs of a node: made, found, gone on with.

Methods may be called from any thread, and wait for the journal; `running` does not.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from hanse.core.why import bill, unable
from hanse.engines.port import Program
from hanse.errors import (
    HanseError,
    JobBusy,
    JobOver,
    JournalDamaged,
    JournalUnavailable,
    NoSuchJob,
    UsageError,
)
from hanse.ids import JobId, LeaseId, job_number
from hanse.journal.port import Head
from hanse.limits import CALLS_ALONE_NS, JOBS_SHOWN, NODE_JOBS_READ, SWEEP_NS, TIMEOUT_S
from hanse.model.aims import Aims
from hanse.model.job import JobSpec, JobState
from hanse.model.quote import Quote
from hanse.node.held import Counts, Held
from hanse.node.held_calls import HeldCalls
from hanse.payloads.payload import Payload
from hanse.records.ending import cancel as cancel_record
from hanse.records.gc import remove
from hanse.records.payloads import unpack
from hanse.records.program import ProgramRecord, decode, this_process
from hanse.records.record import JobRecord, open_record
from hanse.records.state import State
from hanse.records.tally import settled_of
from hanse.remote.records import NodeHead
from hanse.runtime.runtime import Runtime
from hanse.runtime.source import Durable, NewProgram
from hanse.wire.api import AskQuote, NewJob, Progress, Removed, Taken

_BEGIN_S = 60.0  # for a journal that is slow or away
_logger = logging.getLogger("hanse")


class Board:
    """
    Attributes:
        token_of: makes the token of a lease, with which the code of its job may ask for more.
    """

    token_of: Callable[[JobId, LeaseId], str] | None = None

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.state: State = runtime.state()
        self._held: dict[JobId, Held] = {}
        self.counts = Counts()
        self._keys = itertools.count(1)
        self._me = this_process()
        self._lock = threading.Lock()  # one job begins at a time

    # --- finding --------------------------------------------------------------------------------
    def running(self, job: str) -> Held | None:
        """The job of this id, if it runs here."""
        held = self._held.get(JobId(job))
        return held if held is not None and not held.over else None

    def has(self, job: JobId) -> bool:
        """Whether it runs here."""
        return self.running(job) is not None

    def why_not(self, job: str) -> HanseError:
        """Why a job does not run here."""
        held = self._held.get(JobId(job))
        if held is not None and held.error is not None:
            return held.error
        head = self.head(job)
        if head.ended_s is not None:
            return JobOver(f"the job {job} is {head.state}")
        return NoSuchJob(f"the job {job} does not run on this node")

    def head(self, id_or_name: str) -> Head:
        """Raises NoSuchJob, JournalError."""
        head = self.state.journal.find(id_or_name)
        if head is None:
            raise NoSuchJob(f"there is no job {id_or_name!r} on this node")
        return head

    def told(self, id_or_name: str) -> NodeHead:
        """As `head`, with who runs the job, and why nothing of it runs."""
        head = self.head(id_or_name)
        return self._told(head, self._stuck([head]))

    def _told(self, head: Head, stuck: Mapping[JobId, str]) -> NodeHead:
        fields = {name: getattr(head, name) for name in head.__struct_fields__}
        if self.running(head.id) is None:
            return NodeHead(**fields)
        return NodeHead(
            **fields, holder=self._me, running=self.runtime.running(head.id),
            nowhere=stuck.get(head.id, ""), now_s=time.time(),
        )  # fmt: skip

    def _stuck(self, heads: Iterable[Head]) -> dict[JobId, str]:
        """Why nothing runs of those that no site takes. Only the first that run are looked at, as
        that takes time of the home."""
        running = (head.id for head in heads if self.running(head.id))
        return self.runtime.nowhere(list(itertools.islice(running, JOBS_SHOWN)))

    def heads(self, limit: int) -> list[NodeHead]:
        """Of the newest jobs, the newest first; why nothing runs, of the first that run only."""
        found = self.state.journal.heads(limit)
        stuck = self._stuck(found)
        return [self._told(head, stuck) for head in found]

    def progress(self, id: JobId) -> Progress:
        """How many items of a running job are out, and what it waits for. Raises NoSuchJob."""
        if self.running(id) is None:
            head = self.head(id)
            account = settled_of(head)
            lines = [f"{head.name or id} is {head.state}.", *bill(account)]
            cost = None if account is None else account.spent
            return Progress(running=0, lines=lines, cost=cost, account=account)
        account = self.runtime.account(id)
        return Progress(
            running=self.runtime.running(id), lines=self.runtime.reasons(id),
            cost=self.runtime.cost(id), account=account,
        )  # fmt: skip

    def quote(self, ask: AskQuote) -> Quote:
        """What such a job would take and cost, by what is known now."""
        return self.runtime.quoted(ask.spec, ask.timed, ask.aims, ask.of, ask.data)

    # --- beginning ------------------------------------------------------------------------------
    def create(self, new: NewJob, payloads: Sequence[Payload]) -> int:
        """Make the job and begin it, for the client that asks to feed it; returns the feeder's
        number, or 0 if the job has ended already. Its record has begun by then, so it survives
        whatever comes; a job that this very request has made before is fed anew.

        Raises NameTaken, JobBusy, CodeMissing, UsageError, JournalError.
        """
        told = _program_of(new)
        function, initializer = _parts(told, payloads)
        self._check_spec(new.spec, told)
        program = self._program(new.id, new.spec, told, function, initializer)
        record = NewProgram(told, function, initializer)
        with self._lock:
            known = self.state.journal.find(new.id)
            if known is None or next(iter(self.state.journal.read(new.id)), None) is None:
                feeder = self._make(new, program, record, anew=known is None)
            else:
                return self._made_before(new)
        held = self._held[new.id]
        if not held.begun.wait(_BEGIN_S) or held.error is not None:
            raise held.error or JournalUnavailable(f"the job {new.id} cannot be recorded now")
        return feeder

    def _make(self, new: NewJob, program: Program, record: NewProgram, anew: bool) -> int:
        """Begin the job; not `anew`: it was begun before, and nothing came of that."""
        now = time.time()
        head = Head(
            id=new.id, name=new.name, function=record.told.name, script=new.script, user=new.user,
            host=new.host, created_s=now, updated_s=now, total=new.spec.total,
        )  # fmt: skip
        if anew:
            run = self.runtime.durables.create(head, new.older, new.spec, record)
        else:
            run = self.runtime.durables.claim(new.id)
        feeder = self._begin(new.id, new.spec, program, Durable(head, run, record))
        self._held[new.id].nonce = new.nonce
        return feeder

    def _made_before(self, new: NewJob) -> int:
        """The job is there: the same request came before, or somebody uses the id of another's."""
        held = self.running(new.id)
        if held is not None and (not new.nonce or held.nonce != new.nonce):
            raise JobBusy(f"the job {new.id} was made before, by another client")
        if held is not None:
            return held.take()
        head = self.head(new.id)
        if head.ended_s is not None:
            return 0
        self._resume(head, False)
        return self._held[new.id].take()

    def take(self, id: str, again: bool, aims: Sequence[Aims | None] = ()) -> Taken:
        """Let a client feed the job. One that was interrupted or failed goes on; with `again` the
        items that failed run again. Of one that is done nothing is taken: the feeder is 0.

        Raises NoSuchJob, JobBusy if another client is feeding it.
        """
        with self._lock:
            held = self.running(id)
            if held is None:
                head = self.head(id)
                if head.state == str(JobState.DONE) and not (again and head.failed):
                    return Taken(feeder=0, size=head.size)
                self._resume(head, again, aims)
                held = self._held[head.id]
            elif held.is_fed:
                raise JobBusy(f"another client feeds the job {id} now")
            return Taken(feeder=held.take(), size=held.size)

    def cancel(self, id: str) -> None:
        """Cancel the whole job; one that does not run here, though it has not ended, in its record.

        Raises NoSuchJob, JournalError.
        """
        with self._lock:
            held = self.running(id)
            if held is None:
                head = self.head(id)
                if head.ended_s is None and head.state != "damaged":
                    cancel_record(self.state, head)
                return
        held.cancel()

    def remove(self, id: str) -> Removed:
        """Forget a job, with all that only it needed. Raises JobBusy, JournalError."""
        with self._lock:
            if self.running(id) is not None:
                raise JobBusy(f"job {id} runs on this node: hanse cancel {id} first")
            remove(self.state, JobId(id))
        try:
            return Removed(bytes=self.state.blobs.collect(self.state.journal.blobs).bytes)
        except JournalUnavailable as error:  # somebody writes now: the next one frees them
            return Removed(bytes=0, why_not=str(error))

    def recover(self) -> None:
        """Go on with every job that was running when this node ended."""
        self.runtime.loop.post(self._sweep)
        for head in self.state.journal.heads(NODE_JOBS_READ):
            if head.state != str(JobState.RUNNING) or head.superseded:
                continue
            try:
                with self._lock:
                    self._resume(head, False)
            except HanseError as error:  # the others must go on
                _logger.error("hanse: job %s cannot go on: %s", head.id, error)

    def _sweep(self) -> None:
        """End single calls whose client is gone for good: their futures were nowhere else."""
        now = self.runtime.loop.now_ns()
        for held in list(self._held.values()):
            if (
                isinstance(held, HeldCalls)
                and not held.over
                and held.alone_ns(now) > CALLS_ALONE_NS
            ):
                held.cancel()
        self.runtime.loop.call_at(now + SWEEP_NS, self._sweep)

    def _resume(self, head: Head, again: bool, aims: Sequence[Aims | None] = ()) -> None:
        durables = self.runtime.durables
        run = durables.claim(head.id)
        try:
            if next(iter(self.state.journal.read(head.id)), None) is None:
                raise JournalDamaged(f"nothing is recorded of job {head.id} but its name")
            record = open_record(self.state, head)
            record.check_whole()
            program = self._recorded_program(record)
        except BaseException:
            durables.unclaim(head.id, run)
            raise
        spec = record.job.spec
        for now in aims[:1]:
            spec = msgspec.structs.replace(spec, aims=now)
        again = again or record.job_state is JobState.FAILED
        self._begin(head.id, spec, program, Durable.of(record, run, again), record)

    def _begin(
        self, id: JobId, spec: JobSpec, program: Program, durable: Durable,
        record: JobRecord | None = None,
    ) -> int:  # fmt: skip
        arguments = (self.runtime, id, program, record, durable.again, self.counts)
        held = HeldCalls(*arguments, find=self._calls) if program.each else Held(*arguments)
        held.total = spec.total
        held.token_of = self.token_of if program.calls_home else None
        self._held = {k: v for k, v in self._held.items() if not v.over or v.error}
        self._held[id] = held
        feeder = held.take()
        self.runtime.submit_durable(id, spec, held, durable)
        return feeder

    def _calls(self, id: JobId) -> HeldCalls | None:
        found = self._held.get(id)
        return found if isinstance(found, HeldCalls) else None

    # --- programs -------------------------------------------------------------------------------
    def next_key(self) -> int:
        return next(self._keys)

    def _program(
        self, id: JobId, spec: JobSpec, told: ProgramRecord, function: Payload | None,
        initializer: Payload | None,
    ) -> Program:  # fmt: skip
        return Program(
            key=self.next_key(), job=id, name=told.name, function=function, star=told.star,
            each=told.calls, initializer=initializer, logged=True,
            code=self.state.code_directory(told.code), environment=told.environment,
            timeout_ns=None if told.timeout_s is None else int(told.timeout_s * 1e9),
            memory_bytes=spec.needs.memory_bytes or None, needs=spec.needs,
            max_items_per_worker=told.max_items_per_worker, calls_home=told.calls_home,
            trace=told.trace,
        )  # fmt: skip

    def _recorded_program(self, record: JobRecord) -> Program:
        told, blobs = record.program, self.state.blobs
        function = unpack(told.function, blobs) if told.function else None
        initializer = unpack(told.initializer, blobs) if told.initializer else None
        return self._program(record.head.id, record.job.spec, told, function, initializer)

    def _check_spec(self, spec: JobSpec, told: ProgramRecord) -> None:
        if not spec.durable:
            raise UsageError("a node's jobs are durable")
        if spec.requires.environment != (told.environment.name if told.environment else ""):
            raise UsageError("the job requires another environment than its program")
        refusals = self.runtime.ask(lambda: unable(self.runtime.home, spec))
        if refusals:
            raise UsageError("no site of this node can run it: " + "; ".join(refusals))


def _program_of(new: NewJob) -> ProgramRecord:
    try:
        job_number(new.id)
    except ValueError as error:
        raise UsageError(f"{new.id!r} is no job's id") from error
    try:
        told = decode(new.program, new.id)
    except JournalDamaged as error:  # it came from a client, not from the journal
        raise UsageError(str(error)) from error
    if told.timeout_s is not None and not 0 < told.timeout_s <= TIMEOUT_S:
        raise UsageError(f"a timeout is more than 0 and at most {TIMEOUT_S:,} seconds")
    if told.max_items_per_worker is not None and told.max_items_per_worker < 1:
        raise UsageError("a worker runs at least one item")
    return told


def _parts(
    told: ProgramRecord, payloads: Sequence[Payload]
) -> tuple[Payload | None, Payload | None]:
    """The payloads of a program's function and its initializer."""
    functions = 0 if told.calls else 1
    if not functions <= len(payloads) <= functions + 1:
        raise UsageError(f"{len(payloads)} payloads came with the job, not its functions")
    function = payloads[0] if functions else None
    return function, payloads[functions] if len(payloads) > functions else None
