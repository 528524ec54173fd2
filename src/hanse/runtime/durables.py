"""The durable jobs of a runtime: which they are, and what happens once their facts are recorded.

A half of the runtime of its own, because most programs need none of it: the state directory, the
recorder and all that they import come with the first named job.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from hanse.core.events import (
    CancelJob,
    Event,
    Fact,
    JobForgotten,
    Recorded,
    Resume,
    SegmentCommitted,
    Submit,
)
from hanse.core.facts import moved
from hanse.errors import HanseError, JobBusy, UsageError
from hanse.ids import JobId
from hanse.model.job import JobSpec
from hanse.runtime.loop import Loop
from hanse.runtime.outcome import Outcome
from hanse.runtime.source import Durable, DurableSource, NewProgram, Source

if TYPE_CHECKING:
    from pathlib import Path

    from hanse.engines.port import Printed
    from hanse.journal.port import Head, Holder
    from hanse.payloads.payload import Payload
    from hanse.records.logs import Logs
    from hanse.records.state import State
    from hanse.runtime.recorder import Recorder

_GIVEN_BACK_S = 10.0
_logger = logging.getLogger("hanse")


class _Claim:
    """A job that this client holds in the journal."""

    def __init__(self, run: int = 0) -> None:
        self.run = run  # 0: not known yet
        self.leaving = False  # about to be given back


class Owner(Protocol):
    """The runtime, as far as it is needed here; called on the loop's thread."""

    loop: Loop

    def ask(self, question: Callable[[], None]) -> None: ...  # from any thread
    def knows(self, job: JobId) -> bool: ...
    def begin(self, job: JobId, source: Source, event: Submit | Resume, since_s: float) -> None: ...
    def handle(self, event: Event) -> None: ...
    def tell_outcome(self, outcome: Outcome) -> None: ...
    def lose(self, job: JobId, error: BaseException) -> None: ...
    def explained(self, job: JobId) -> str: ...
    def go_on(self) -> None: ...
    def fail(self, error: BaseException) -> None: ...


class Durables:
    """Everything but `state` and the recorder's calls is for the loop's thread."""

    def __init__(self, owner: Owner, home: Path | None = None) -> None:
        self._owner = owner
        self._home = home  # the state directory; None: the user's
        self._sources: dict[JobId, DurableSource] = {}
        self._programs: dict[JobId, NewProgram] = {}  # to be recorded with the job's first fact
        self._runs: dict[JobId, int] = {}  # of the sources
        # Jobs that begin again once the home has forgotten them.
        self._successors: dict[JobId, tuple[JobSpec, Durable, DurableSource]] = {}
        self._held: dict[JobId, list[Callable[[], None]]] = {}  # what they are told before that
        self._recorder: Recorder | None = None
        self._position = 0  # facts of durable jobs so far
        self._logs: Logs | None = None
        self._opening = threading.Lock()
        self._claims: dict[JobId, _Claim] = {}  # what this client holds
        self._given_back = threading.Condition()

    def state(self) -> State:
        """The state directory, opened when it is first needed; for any thread. Raises JournalError
        if it cannot be used."""
        with self._opening:
            if self._recorder is None:
                from hanse.records.logs import Logs
                from hanse.records.state import open_state
                from hanse.runtime.recorder import Recorder

                state = open_state(home=self._home)
                assert state is not None
                self._logs = Logs(state.home, lambda text: _logger.warning("hanse: %s", text))
                self._recorder = Recorder(state, self)
            return self._recorder.state

    def claim(self, job: JobId) -> int:
        """Take a recorded job for this client; returns the run number. For any thread.

        Raises JobBusy if this client or another process runs it, JournalError.
        """
        self._let_the_loop_turn()
        with self._given_back:
            self._wait_until_given_back(job)
            if job in self._claims:
                raise JobBusy(f"this program runs the job {job} already")
            claim = self._claims[job] = _Claim()
        try:
            claim.run = self.state().journal.claim(job, self._me())
            return claim.run
        except BaseException:
            self.given_back(job, claim.run)
            raise

    def create(self, head: Head, older: JobId | None, spec: JobSpec, program: NewProgram) -> int:
        """Make a new job and take it; `older` has had its name. See `claim`. Raises NameTaken if
        another job has it by now. Its spec and program are recorded when it begins."""
        self._let_the_loop_turn()
        if older is not None:
            with self._given_back:
                self._wait_until_given_back(older)
        run = self.state().journal.create(head, self._me(), older)
        with self._given_back:
            self._claims[head.id] = _Claim(run)
        return run

    def _me(self) -> Holder:
        from hanse.records.program import this_process

        return this_process()

    def unclaim(self, job: JobId, run: int) -> None:
        """Give a job back that nothing was begun with. For any thread."""
        self.state().journal.release(job)
        self.given_back(job, run)

    def _let_the_loop_turn(self) -> None:
        """A job that was let go just now has been left after this."""
        try:
            self._owner.ask(lambda: None)
        except TimeoutError as error:
            raise UsageError(
                "a done-callback of this program holds up its client: no named job can begin "
                "before it returns"
            ) from error

    def _wait_until_given_back(self, job: JobId) -> None:
        """What was left a moment ago is still written."""
        if not self._given_back.wait_for(lambda: not self._is_leaving(job), _GIVEN_BACK_S):
            raise JobBusy(f"what this program did of the job {job} is still being recorded")

    def _is_leaving(self, job: JobId) -> bool:
        return job in self._claims and self._claims[job].leaving

    def given_back(self, job: JobId, run: int) -> None:
        """The journal has the job back from this run, and not from one that came after it."""
        with self._given_back:
            if job in self._claims and self._claims[job].run == run:
                del self._claims[job]
            self._given_back.notify_all()

    def submit(self, job: JobId, spec: JobSpec, source: DurableSource, durable: Durable) -> None:
        """Begin a job that this process has claimed, or go on with it."""
        if self._owner.knows(job):  # its leases of before have not ended
            self._successors[job] = (spec, durable, source)
            return
        assert self._recorder is not None
        self._recorder.follow(durable.head, durable.run, len(durable.facts))
        self._sources[job], self._runs[job] = source, durable.run
        if durable.program is not None:
            self._programs[job] = durable.program
        by_ns = self._owner.loop.now_ns() - time.time_ns()  # facts are told by the wall's clock
        facts = [moved(fact, by_ns) for fact in durable.facts]
        resume = Resume(job, spec, facts, durable.again, durable.timed)
        event = resume if durable.facts else Submit(job, spec)
        self._owner.begin(job, source, event, durable.head.created_s)

    def __contains__(self, job: JobId) -> bool:
        return job in self._sources

    def __iter__(self) -> Iterator[JobId]:
        return iter([*self._sources, *self._successors])

    # --- facts ----------------------------------------------------------------------------------
    def waits_for(self, fact: Fact) -> bool:
        """Whether the fact has to be recorded before anybody is told of it."""
        return fact.job in self._sources and type(fact) is not JobForgotten

    def inputs(self, job: JobId, size: int) -> Payload:
        """The inputs that came last, when the job grew to this size."""
        return self._sources[job].grown(size)

    def program(self, job: JobId) -> NewProgram | None:
        return self._programs.pop(job, None)

    def fold_print(self, job: JobId) -> bytes:
        source = self._sources.get(job)
        return source.fold_print if source is not None else b""

    def record(self, outcomes: Sequence[Outcome], position: int) -> None:
        """Record what came of one decision; `position` is the decision's."""
        assert not outcomes or position > self._position, "facts that would never be recorded"
        if position > self._position:
            assert self._recorder is not None
            for outcome in outcomes:
                if isinstance(fact := outcome.fact, SegmentCommitted):
                    assert outcome.payload is not None
                    self._sources[fact.job].decided(
                        fact.start, fact.stop, outcome.payload, outcome.first
                    )
            self._position = position
            self._recorder.add(outcomes, position)

    def printed(self, piece: Printed) -> None:
        """An item printed something; called in a thread of the engine's."""
        if self._logs is not None:
            self._logs.printed(piece)

    def ended(self, job: JobId) -> None:
        self._runs.pop(job, None)
        if self._sources.pop(job, None) is not None and self._logs is not None:
            self._logs.ended(job)

    def leave(self, job: JobId) -> DurableSource | None:
        """Record no more of the job; it can be resumed. Returns its source if it never began."""
        waiting = self._successors.pop(job, None)
        self._held.pop(job, None)
        if waiting is not None and self._recorder is not None:
            self._let_go(job, waiting[1].run, begun=False)
        if self._sources.pop(job, None) is not None and self._recorder is not None:
            self._let_go(job, self._runs.pop(job), begun=True)
        return waiting[2] if waiting is not None else None

    def _let_go(self, job: JobId, run: int, begun: bool) -> None:
        with self._given_back:
            if job in self._claims and self._claims[job].run == run:
                self._claims[job].leaving = True
        assert self._recorder is not None
        self._recorder.leave(job, run, begun)

    def waits(self, job: JobId) -> bool:
        """Whether the job has not begun, because the home has not forgotten its earlier run."""
        return job in self._successors

    def forgotten(self, job: JobId) -> None:
        """The home knows nothing of the job any more. What waits for that begins in a turn of its
        own: the decision that said so is not recorded yet."""
        if job in self._successors:
            self._owner.loop.post(lambda: self._begin_successor(job))

    def _begin_successor(self, job: JobId) -> None:
        if (successor := self._successors.pop(job, None)) is not None:
            spec, durable, source = successor
            self.submit(job, spec, source, durable)
            for tell in self._held.pop(job, ()):
                tell()

    def once_begun(self, job: JobId, tell: Callable[[], None]) -> None:
        """Tell the home something of a job: now, or after it has begun if it waits for that."""
        if job in self._successors:
            self._held.setdefault(job, []).append(tell)
        else:
            tell()

    @property
    def full(self) -> bool:
        """Whether so much waits to be recorded that no more should come."""
        return self._recorder is not None and self._recorder.full

    @property
    def backlog_bytes(self) -> int:
        """About what waits to be recorded."""
        return self._recorder.backlog_bytes if self._recorder is not None else 0

    @property
    def trouble(self) -> list[str]:
        """Why nothing can be recorded now, if so."""
        text = self._recorder.trouble if self._recorder is not None else ""
        return [f"{text[:1].upper()}{text[1:]}."] if text else []

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
        if self._logs is not None:
            self._logs.close()

    # --- the recorder, in its thread ------------------------------------------------------------
    def recorded(self, outcomes: Sequence[Outcome], position: int) -> None:
        """These are durable: clients may be told, sites acknowledged."""

        def tell() -> None:
            for outcome in outcomes:
                source = self._sources.get(outcome.fact.job)
                if source is not None:  # else it was lost meanwhile
                    source.written(outcome)
                    self._owner.tell_outcome(outcome)
            self._owner.handle(Recorded(position))
            self._owner.go_on()

        self._owner.loop.post(tell)

    def lost(self, job: JobId, error: HanseError) -> None:
        """The job's record cannot be written any more."""
        self._owner.loop.post(lambda: self._owner.lose(job, error))

    def asked(self, job: JobId, question: str, answer: Callable[[str], None]) -> None:
        """Another process asks something of a job."""

        def look() -> None:
            if question == "cancel":
                self._owner.handle(CancelJob(job))
                answer("")
            elif question == "explain":
                answer(self._owner.explained(job))

        self._owner.loop.post(look)

    def broken(self, error: BaseException) -> None:
        self._owner.loop.post(lambda: self._owner.fail(error))
