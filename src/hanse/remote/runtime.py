"""A client's runtime when its jobs run on a node: what is asked of it becomes requests, and the
node's records become calls of the jobs' sources, just as an embedded runtime would make them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from hanse import limits
from hanse.core.events import (
    CancelItems,
    CancelJob,
    Event,
    Forget,
    Grow,
    JobEnded,
    JobGrown,
    Seal,
)
from hanse.engines.local.output import forward_here
from hanse.errors import (
    ClientClosed,
    CodeMissing,
    Fenced,
    InternalError,
    JobOver,
    NodeError,
    NoSuchJob,
    UsageError,
)
from hanse.ids import JobId
from hanse.journal.port import Head
from hanse.model.data import Lies
from hanse.model.failure import Cause, Failure
from hanse.model.fit import Requires
from hanse.model.job import JobSpec, JobState
from hanse.payloads.payload import Payload
from hanse.records.program import ProgramRecord, encode, here, new_head
from hanse.remote.code import Code, Project
from hanse.remote.dial import Dial
from hanse.remote.following import Following
from hanse.remote.looking import Looking
from hanse.remote.outbox import Outbox
from hanse.remote.printing import Printing, end_of_log
from hanse.remote.records import RemoteRecords
from hanse.runtime.ends import error_of
from hanse.runtime.loop import Loop
from hanse.runtime.source import Durable, NewProgram, Source
from hanse.wire import api, protocol

_logger = logging.getLogger("hanse")


class _Sent(msgspec.Struct, frozen=True, eq=False):
    """Inputs that the node may not have recorded yet."""

    start: int
    stop: int
    payload: Payload
    broken: Mapping[int, Failure]
    waits: Mapping[int, Sequence[tuple[JobId, int]]]
    data: Sequence[Lies]

    def about(self, feeder: int) -> api.Inputs:
        waits = {item: list(refs) for item, refs in self.waits.items()}
        return api.Inputs(
            feeder=feeder,
            start=self.start,
            stop=self.stop,
            broken=dict(self.broken),
            waits=waits,
            data=list(self.data),
        )


class _Job:
    """A job that this client follows, and feeds unless it only watches it."""

    def __init__(self, id: JobId, source: Source, size: int, name: str, fed: bool) -> None:
        self.id = id
        self.name = name  # empty: it is only watched
        self.source = source
        self.fed = fed
        self.feeder = 0
        self.size = size  # items handed to the outbox
        self.sent: dict[int, _Sent] = {}  # by start; until they are recorded
        self.sealed: bool | None = None  # whether whole, once sealed
        self.following: Following | None = None


class RemoteRuntime(Looking):
    """See `hanse.runtime.runner.Runner`."""

    keeps_inputs = True

    def __init__(
        self, dial: Dial, gather: Callable[[], Project],
        requirements: Callable[[list[Payload]], Requires],
    ) -> None:  # fmt: skip
        """
        Args:
            gather: looks which modules of its own the program has.
            requirements: what functions need of the Python that runs them.
        """
        self.info = dial.ask("GET", "/v1/node", api.NodeInfo)
        theirs = protocol.Spoken(self.info.oldest_protocol, self.info.protocol)
        protocol.agree(protocol.OURS, theirs, dial.url, "this program")
        self.capacity = self.info.capacity
        self.place = f"the node {dial.url}"
        self.url = dial.url
        self.initializer_failure: Failure | None = None
        self._dial = dial
        self._records = RemoteRecords(dial)
        self._jobs: dict[JobId, _Job] = {}
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._sent_bytes = 0  # of inputs that the node may not have recorded
        self._broken: BaseException | None = None
        self._closed = False
        self._shown: dict[JobId, int] = {}  # jobs whose output is to come here, from which byte on
        self._printings: list[Printing] = []
        self._retired: Callable[[], None] | None = None
        self._outbox = Outbox(dial.url)
        self._code = Code(dial, gather)
        self.durables = RemoteClaims(dial, self._code, requirements)
        self.loop = Loop(self.fail)
        self._thread = threading.Thread(target=self.loop.run, name="hanse", daemon=True)
        self._thread.start()

    # --- jobs -----------------------------------------------------------------------------------
    def code(self, look: bool = True) -> str:
        return self._code.name(look)

    def show_prints(self, job: JobId, again: bool) -> None:
        self._shown[job] = end_of_log(self._dial, job) if again else 0

    def submit(self, job: JobId, spec: JobSpec, source: Source) -> None:
        """Start a job that has no name; on a node it is durable all the same."""
        program = source.program
        told = ProgramRecord(
            name=program.name, function=b"", manifest=b"", star=program.star,
            retries=spec.retries, raising=spec.fail_fast, calls=program.function is None,
            timeout_s=None if program.timeout_ns is None else program.timeout_ns / 1e9,
            max_items_per_worker=program.max_items_per_worker, code=self.code(),
            environment=program.environment, trace=program.trace, **here(),
        )  # fmt: skip
        spec = msgspec.structs.replace(spec, durable=True)
        new = NewProgram(told, program.function, program.initializer)
        entry = self._enter(job, source, 0, spec.name)

        def create() -> None:
            head = new_head(job, "", told.name, spec.total)
            entry.feeder = self.durables.create(head, None, spec, new)
            self._follow(entry, 0)

        self._outbox.send(create, partial(self._lost, job))

    def submit_durable(self, job: JobId, spec: JobSpec, source: Source, durable: Durable) -> None:
        entry = self._enter(job, source, _size_of(durable), spec.name)
        if durable.facts:  # it may run all the while, or have ended meanwhile
            entry.feeder = self._dial.patiently(
                lambda: self.durables.take(job, durable.again, spec)
            ).feeder
        else:
            entry.feeder = durable.run
        self._follow(entry, len(durable.facts))

    def watch(self, job: JobId, source: Source, first: int) -> bool:
        found = self._records.journal.find(job)
        if found is None or (found.holder is None and found.ended_s is None):
            return False
        self._settle(job)
        self._follow(self._enter(job, source, 0, fed=False), first)
        return True

    def _settle(self, job: JobId) -> None:
        """Wait for the end of a job whose user let go of it just now: that is two steps away."""
        for _ in range(2):
            if job in self._jobs:
                self._turn()

    def _turn(self, timeout_s: float | None = None) -> None:
        """Wait until the loop has done all that was posted before."""
        done = threading.Event()
        self.loop.post(done.set)
        done.wait(timeout_s)

    def _enter(
        self, job: JobId, source: Source, size: int, name: str = "", fed: bool = True
    ) -> _Job:
        if self._closed or self._broken is not None:
            raise self._broken or ClientClosed("this client was closed")
        entry = _Job(job, source, size, name, fed)
        with self._lock:
            self._jobs[job] = entry
        return entry

    def _follow(self, entry: _Job, first: int) -> None:
        with self._lock:
            gone = self._closed or self._jobs.get(entry.id) is not entry
        shown = self._shown.pop(entry.id, None)
        if not gone:
            if shown is not None:
                self._printings = [each for each in self._printings if each.alive]
                self._printings.append(Printing(self._dial, entry.id, shown, forward_here))
            entry.following = Following(
                self._dial, self._records, entry.id, entry.source, post=self.loop.post,
                first=first, feeder=entry.feeder,
                returned=partial(self._return if entry.fed else self._still_runs, entry),
                grown=partial(self._recorded, entry), ended=partial(self._ended, entry.id),
                quiet=partial(self._say_why, entry.id, entry.name),
            )  # fmt: skip

    def grow(self, event: Grow, broken: Mapping[int, Failure] = {}) -> None:
        entry = self._jobs.get(event.job)
        if entry is None or not entry.fed:
            return
        payload = entry.source.grown(event.size)
        name = entry.source.program.name
        told = {i: Failure(cause=Cause.ARGUMENT, function=name, item=i) for i in event.broken}
        broken = told | dict(broken)
        sent = _Sent(entry.size, event.size, payload, broken, event.waits, event.data)
        entry.size = event.size
        with self._room:
            entry.sent[sent.start] = sent
            self._sent_bytes += payload.nbytes
        self._outbox.send(partial(self._feed, entry, sent), partial(self._lost, entry.id))
        if threading.current_thread() is not self._thread:
            with self._room:
                self._room.wait_for(lambda: self._has_room(entry))

    def _feed(self, entry: _Job, sent: _Sent) -> None:
        self._as_feeder(entry, lambda: self._put(entry, sent))

    def _put(self, entry: _Job, sent: _Sent) -> None:
        about = sent.about(entry.feeder)
        self._dial.ask("PUT", f"/v1/jobs/{entry.id}/inputs", int, about, [sent.payload])

    def _as_feeder(self, entry: _Job, send: Callable[[], None]) -> None:
        """Send what only the job's feeder may. A node that was started again has forgotten us."""
        try:
            try:
                send()
            except Fenced:
                self._take_again(entry)
                send()
        except JobOver:
            pass  # its record, which is followed, says how it ended

    def _take_again(self, entry: _Job) -> None:
        """Become the feeder again, and send what the node has not recorded. Raises JobBusy."""
        taken = self.durables.take(entry.id)
        entry.feeder = taken.feeder
        with self._lock:
            missing = [sent for _, sent in sorted(entry.sent.items()) if sent.stop > taken.size]
        for sent in missing:
            self._put(entry, sent)

    def _return(self, entry: _Job) -> int:
        """The job's stream ended early: its node was started again, or another feeds it now."""
        done = threading.Event()
        failed: list[Exception] = []

        def refused(error: Exception) -> None:
            failed.append(error)
            done.set()

        def again() -> None:
            self._take_again(entry)
            if entry.sealed is not None:
                self._seal(entry, entry.sealed)
            done.set()

        self._outbox.send(again, refused)
        while not done.wait(1):
            if self._closed:
                return entry.feeder
        if failed:
            raise failed[0]
        return entry.feeder

    def _still_runs(self, entry: _Job) -> int:
        """The same of a job that is only watched. Raises NodeError if the node runs it no more."""
        found = self._records.journal.find(entry.id)
        if found is None:
            raise NoSuchJob(f"the job {entry.id} is not there any more: somebody removed it")
        if found.holder is None and found.ended_s is None:
            raise NodeError(f"{self._dial.url} does not run the job {entry.id} any more")
        return 0

    def _recorded(self, entry: _Job, size: int) -> None:
        with self._room:
            for sent in [sent for sent in entry.sent.values() if sent.stop <= size]:
                del entry.sent[sent.start]
                self._sent_bytes -= sent.payload.nbytes
            self._room.notify_all()

    def _has_room(self, entry: _Job) -> bool:
        """Whether more inputs may be given to the outbox: what is there has to be sent first."""
        over = self._closed or entry.id not in self._jobs
        return over or self._sent_bytes <= limits.BACKLOG_BYTES

    def tell(self, event: Event) -> None:
        self.loop.post(lambda: self.handle(event))  # behind what was posted before

    def handle(self, event: Event) -> None:
        entry = self._jobs.get(event.job) if hasattr(event, "job") else None
        if entry is None:
            return
        match event:
            case Grow():
                self.grow(event)
            case Seal(_, whole) if entry.fed:
                entry.sealed = whole
                self._later(entry, partial(self._seal, entry, whole))
            case CancelJob(job):
                self._later(entry, partial(self._cancel, job, api.CancelRange()))
            case CancelItems(job, start, stop):
                about = api.CancelRange(start=start, stop=stop)
                self._later(entry, partial(self._cancel, job, about))
            case Forget() | Seal():
                pass  # a node keeps what it has recorded; whoever feeds the job seals it
            case _:
                raise InternalError(f"a client cannot send {event}")

    def refold(self, job: JobId, function: Payload, fingerprint: bytes) -> None:
        entry = self._jobs.get(job)
        if entry is not None and entry.fed:  # else results are folded here
            self._later(entry, partial(self._fold, entry, function, fingerprint))

    def _later(self, entry: _Job, send: Callable[[], None]) -> None:
        self._outbox.send(send, partial(self._lost, entry.id))

    def _seal(self, entry: _Job, whole: bool) -> None:
        def send() -> None:
            about = api.SealJob(feeder=entry.feeder, whole=whole)
            self._dial.ask("POST", f"/v1/jobs/{entry.id}/seal", type(None), about)

        self._as_feeder(entry, send)

    def _fold(self, entry: _Job, function: Payload, fingerprint: bytes) -> None:
        def send() -> None:
            about = api.Fold(feeder=entry.feeder, fingerprint=fingerprint)
            path = f"/v1/jobs/{entry.id}/fold"
            self._dial.ask("POST", path, type(None), about, [function])

        self._as_feeder(entry, send)

    def _cancel(self, job: JobId, about: api.CancelRange) -> None:
        self._dial.ask("POST", f"/v1/jobs/{job}/cancel", type(None), about)

    # --- ends -----------------------------------------------------------------------------------
    def _ended(self, job: JobId, end: JobEnded | None, error: BaseException | None) -> None:
        """In the follower's thread."""
        if end is None:
            self._lost(job, error or InternalError("a job was lost"))
            return
        self.loop.post(lambda: self._end(job, end.state, error_of(end, kept=True)))

    def _lost(self, job: JobId, error: BaseException) -> None:
        """The job cannot be fed or followed from here any more; what the node has goes on."""
        self.loop.post(lambda: self._end(job, JobState.FAILED, error))

    def _end(self, job: JobId, state: JobState, error: BaseException | None) -> None:
        with self._room:
            entry = self._jobs.pop(job, None)
            if entry is None:
                return
            self._sent_bytes -= sum(sent.payload.nbytes for sent in entry.sent.values())
            entry.sent.clear()
            self._room.notify_all()
        if entry.following is not None:
            entry.following.stop()
        entry.source.ended(state, error)
        if self._retired is not None and not self._jobs:
            self.close()
            self._retired()

    def leave(self, job: JobId, error: BaseException) -> None:
        self.loop.post(lambda: self._end(job, JobState.CANCELLED, error))

    # --- looking --------------------------------------------------------------------------------
    def records(self) -> RemoteRecords:
        return self._records

    def check_can_wait(self) -> None:
        if threading.current_thread() is self._thread:
            raise UsageError("a done-callback must not wait: it would hold up what it waits for")

    # --- the end --------------------------------------------------------------------------------
    def retire(self, then: Callable[[], None]) -> None:
        def begin() -> None:
            self._retired = then
            if not self._jobs:
                self.close()
                then()

        self.loop.post(begin)

    def close(self, timeout_s: float = 10) -> None:
        """Let go. Jobs go on at the node with what they were given."""
        if self._closed:
            return
        if threading.current_thread() is not self._thread:
            self._turn(timeout_s)  # what was told just now goes to the outbox first
        if not self._outbox.close(timeout_s):
            _logger.warning("hanse: not all could be sent to %s: it does not answer", self.place)
        self._closed = True
        until_s = time.monotonic() + timeout_s
        for printing in self._printings:
            printing.finish(until_s)

        def end() -> None:
            for job in list(self._jobs):
                self._end(job, JobState.CANCELLED, ClientClosed("this client was closed"))
            self.loop.stop()
            self._dial.close()

        self.loop.post(end)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def fail(self, error: BaseException) -> None:
        """A bug on the loop's thread."""
        if self._broken is None:
            self._broken = InternalError(f"the client stopped on an error of its own: {error!r}")
            self._broken.__cause__ = error
            for job in list(self._jobs):
                self._end(job, JobState.FAILED, self._broken)


class RemoteClaims:
    """See `hanse.runtime.runner.Claims`: a run's number is the feeder's."""

    def __init__(
        self, dial: Dial, code: Code, requirements: Callable[[list[Payload]], Requires]
    ) -> None:
        self._dial = dial
        self._code = code
        self._requirements = requirements

    def create(self, head: Head, older: JobId | None, spec: JobSpec, program: NewProgram) -> int:
        parts = [part for part in (program.function, program.initializer) if part is not None]
        found, environment = self._requirements(parts), spec.requires.environment
        requires = Requires(
            python=found.python, packages={} if environment else found.packages,  # it brings them
            function=program.told.name, environment=environment, site=spec.requires.site,
        )  # fmt: skip
        spec = msgspec.structs.replace(spec, requires=requires)
        about = api.NewJob(
            id=head.id, name=head.name, older=older, spec=spec, program=encode(program.told),
            script=head.script, user=head.user, host=head.host, nonce=os.urandom(16),
        )  # fmt: skip

        def make() -> api.Taken:
            return self._dial.ask("POST", "/v1/jobs", api.Taken, about, parts)

        self._code.give(program.told.code)
        try:
            return self._dial.patiently(make).feeder
        except CodeMissing:  # `hanse gc` was there: no job has named it for long
            self._code.give(program.told.code, again=True)
            return self._dial.patiently(make).feeder

    def take(self, job: JobId, again: bool = False, spec: JobSpec | None = None) -> api.Taken:
        """Become the job's feeder. Raises JobBusy, NoSuchJob, UsageError if it is done."""
        wanted = api.Take(again=again, aims=[] if spec is None else [spec.aims])
        return self._dial.ask("POST", f"/v1/jobs/{job}/take", api.Taken, wanted)

    def claim(self, job: JobId) -> int:
        return 0  # nothing is held before it is taken up: a node runs it all the while

    def unclaim(self, job: JobId, run: int) -> None:
        """Nothing was held."""


def _size_of(durable: Durable) -> int:
    sizes = [fact.size for fact in durable.facts if isinstance(fact, JobGrown)]
    return sizes[-1] if sizes else 0
