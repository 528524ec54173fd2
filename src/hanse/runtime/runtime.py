"""The embedded runtime: a home and an agent in one process, with a loop, an engine and a journal.

It decides nothing. Events go to the core one at a time; of each decision clients are told the facts
(of durable jobs once they are recorded, see `recorder`), and orders are followed. Everything here
runs on the loop's thread except the methods under "for any thread".
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol, TypeVar

from hanse import limits
from hanse.core.agent import Agent
from hanse.core.events import (
    AttemptFailed,
    CancelItems,
    CancelJob,
    Event,
    Fact,
    Forget,
    Grow,
    Hear,
    ItemsFailed,
    JobEnded,
    JobForgotten,
    JobGrown,
    JobSpent,
    JobSubmitted,
    Resume,
    Seal,
    SegmentCommitted,
    Submit,
    Tick,
)
from hanse.core.home import Home
from hanse.core.messages import Grant, Orders, Report
from hanse.core.why import explain
from hanse.engines import port
from hanse.errors import (
    ClientClosed,
    InternalError,
    JobCancelled,
    UsageError,
)
from hanse.ids import JobId, SiteId
from hanse.model.failure import Cause, Failure
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import Amount
from hanse.runtime.checkpoints import Checkpoints
from hanse.runtime.costs import Costs
from hanse.runtime.durables import Durables
from hanse.runtime.ends import error_of
from hanse.runtime.federated import Federated
from hanse.runtime.granted import Ledger
from hanse.runtime.looking import Looking
from hanse.runtime.loop import Loop, Timer
from hanse.runtime.outcome import Outcome
from hanse.runtime.reported import Reported
from hanse.runtime.seat import Seat
from hanse.runtime.source import Durable, DurableSource, Source
from hanse.runtime.tenants import Tenants
from hanse.runtime.transport import Loopback, Transport
from hanse.runtime.works import Works

if TYPE_CHECKING:
    from pathlib import Path

    from hanse.payloads.payload import Payload
    from hanse.records.state import State

T = TypeVar("T")
_logger = logging.getLogger("hanse")


class EngineFactory(Protocol):
    """Makes the engine of a runtime."""

    def __call__(
        self,
        loop: port.Loop,
        emit: Callable[[port.Event], None],
        *,
        printed: Callable[[port.Printed], None],
    ) -> port.Engine: ...


class Runtime(Federated, Looking):
    """Runs jobs on this machine until `close`. See `hanse.runtime.runner.Runner`."""

    place = "this machine"
    keeps_inputs = False
    url = ""

    def __init__(
        self, capacity: Amount, engine: EngineFactory, home: Path | None = None,
        first_lease: int = 1, sites: Iterable[SiteId] = (),
    ) -> None:  # fmt: skip
        """
        Args:
            home: the state directory; by default the user's.
            first_lease, sites: of a home that had other sites before, see `core.home.Home`.
        """
        self.capacity = capacity
        self.home = Home(first_lease, sites)
        self.ledger = Ledger(self.home)
        self._host = socket.gethostname()
        self.durables = Durables(self, home)
        self._sources: dict[JobId, Source] = {}
        self._names: dict[JobId, str] = {}
        self._costs = Costs(self.home)
        self._foreseeing = threading.Lock()
        self._reported = Reported(self.save)
        self._expiry_timer: Timer | None = None
        self._broken: BaseException | None = None
        self._retired: Callable[[], None] | None = None  # set: close when no job is left
        self._closed = False
        self.initializer_failure: Failure | None = None  # no call of this runtime can run
        self.loop = Loop(self.fail)
        self.checkpoints = Checkpoints(lambda: self.state().saved, self.loop.post)
        self.works = Works(self.home, self.loop, self._sources, self.checkpoints, self.lose)
        site = SiteId(self._host)
        self.home.spots.own = site
        self._seat = Seat(self.loop, Agent(site, 1, capacity), self, self._reported)
        self._tenants = Tenants(self._seat.engine_says, self.durables.printed)
        self._engine = self._tenants.engine = self._seat.engine = engine(
            self.loop, self._tenants.says, printed=self._tenants.printed
        )
        self._transport: Transport = Loopback(self._heard, self._seat.ordered)
        self._ways: dict[SiteId, Callable[[Orders], None]] = {site: self._transport.orders}
        self._thread = threading.Thread(target=self.loop.run, name="hanse", daemon=True)
        self._thread.start()
        self.loop.post(self._seat.pump)

    # --- for any thread -------------------------------------------------------------------------
    def code(self, look: bool = True) -> str:
        return ""  # workers of this machine import from where the program does

    def submit(self, job: JobId, spec: JobSpec, source: Source) -> None:
        """Start a job whose inputs and results pass through `source`."""
        self.loop.post(lambda: self.begin(job, source, Submit(job, spec)))

    def submit_durable(
        self, job: JobId, spec: JobSpec, source: DurableSource, durable: Durable
    ) -> None:
        """The same, or go on with one of an earlier run; every fact is recorded.

        The journal of `state` has claimed the job for this process.
        """
        self.loop.post(lambda: self.durables.submit(job, spec, source, durable))

    def state(self) -> State:
        """The state directory of named jobs, opened when it is first needed. Raises JournalError
        if it cannot be used."""
        return self.durables.state()

    def show_prints(self, job: JobId, again: bool) -> None:
        """It comes here all the while."""

    def leave(self, job: JobId, error: BaseException) -> None:
        """Stop a durable job here; its record stands, to be resumed. Who waits gets the error."""
        if threading.current_thread() is self._thread:
            self.lose(job, error)  # at once: who asks for it next must find it left
        else:
            self.loop.post(lambda: self.lose(job, error))

    def watch(self, job: JobId, source: DurableSource, first: int) -> bool:
        """Never: jobs of other processes cannot be watched, and our own need not."""
        return False

    def records(self) -> State:
        return self.state()

    def refold(self, job: JobId, function: Payload, fingerprint: bytes) -> None:
        """Nothing to do: grants are turned into work by the source, which knows."""

    def running(self, job: JobId) -> int:
        """How many of its items are out to sites."""
        known = self.home.jobs.get(job)
        return 0 if known is None else known.leased

    def explain(self, job: JobId) -> list[str]:
        """What a job waits for: the core's reasons, the journal's and the client's. For the loop's
        thread (see `ask`)."""
        source = self._sources.get(job)
        waits = self.durables.trouble + (source.why() if source is not None else [])
        return explain(self.home, job, self.loop.now_ns(), waits)

    def tell(self, event: Event) -> None:
        """Hand the home an event."""
        if isinstance(event, Seal | CancelItems):
            job = event.job
            self.loop.post(lambda: self.durables.once_begun(job, lambda: self.handle(event)))
        else:
            self.loop.post(lambda: self.handle(event))

    def grow(self, event: Grow, broken: Mapping[int, Failure] = {}) -> None:
        """Tell of further items; `broken` are those whose arguments cannot travel, and why."""

        def grow() -> None:
            for item, failure in broken.items():
                self._reported.broken(event.job, item, failure)
            self.handle(event)

        self.loop.post(lambda: self.durables.once_begun(event.job, grow))

    def ask(self, question: Callable[[], T], timeout_s: float = 10) -> T:
        """Run `question` on the loop's thread, where the home can be looked at, and wait."""
        if threading.current_thread() is self._thread:
            return question()
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001 - it is the asker's
                answer.set_exception(error)

        self.loop.post(run)
        return answer.result(timeout_s)

    def close(self, timeout_s: float = 10) -> None:
        """Cancel what still runs, end the workers, stop the thread. May be called again."""
        self.loop.post(self._close)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def check_can_wait(self) -> None:
        """Refuse to wait for the loop on the loop's own thread. Raises UsageError."""
        if threading.current_thread() is self._thread:
            raise UsageError("a done-callback must not wait: it would hold up what it waits for")

    def retire(self, then: Callable[[], None]) -> None:
        """Close as soon as no job is left, and then call back on the loop's thread."""

        def begin() -> None:
            self._retired = then
            self._close_if_retired()

        self.loop.post(begin)

    # --- the core -------------------------------------------------------------------------------
    def begin(
        self, job: JobId, source: Source, event: Submit | Resume, since_s: float | None = None
    ) -> None:
        self._sources[job] = source
        self.ledger.begin(event, source, since_s)
        self._names[job] = event.spec.name
        if job in self.durables:
            self.checkpoints.begin(event)
        self.handle(event)
        self._watch_expiry()

    def handle(self, event: Event) -> None:
        if self._broken is not None or self._closed:
            if isinstance(event, Submit | Resume):
                error = self._broken or ClientClosed("this client was closed")
                self.lose(event.job, error)
            return
        if type(event) is CancelJob and self.durables.waits(event.job):
            self.lose(event.job, JobCancelled("the job was cancelled before it began"))
            return
        try:
            decision = self.home.handle(event, self.loop.now_ns())
        except Exception as error:
            self.fail(error)  # also where somebody waits for this: it is half done
            raise
        outcomes: list[Outcome] = []
        for fact in decision.facts:
            waits = self.durables.waits_for(fact)
            if not waits and type(fact) is JobGrown:
                continue  # nobody is told of it
            outcome = self._outcome(fact)
            self.ledger.happened(outcome, event)
            if waits:
                outcome.at_ns = time.time_ns()
                if type(event) is Hear:
                    outcome.site = event.report.site
                    outcome.since_ns = self.ledger.since_ns(outcome)
                outcomes.append(outcome)
            else:
                self.tell_outcome(outcome)
        if outcomes or decision.position:
            self.durables.record(outcomes, decision.position)
        for orders in decision.sends:
            if (way := self._ways.get(orders.site)) is not None:  # else it has just gone
                way(orders)
        self.ledger.decided(event, decision.sends)
        self._seat.pump_soon()

    def _outcome(self, fact: Fact) -> Outcome:
        """The fact with the values that it is about, which nobody holds any longer than now."""
        match fact:
            case SegmentCommitted():
                return self._committed(fact)
            case ItemsFailed():
                failure = self._reported.failure(fact, self._names)
                return Outcome(fact, failure=failure, usage=self._reported.spent(fact.job))
            case AttemptFailed(job):
                return Outcome(fact, usage=self._reported.spent(job))
            case JobGrown(job, size) if job in self.durables:
                return Outcome(fact, self.durables.inputs(job, size))
            case JobSubmitted(job):
                return Outcome(fact, program=self.durables.program(job))
        return Outcome(fact)

    def tell_outcome(self, outcome: Outcome) -> None:
        """Hand on what clients want to know of a fact that holds."""
        match outcome.fact:
            case SegmentCommitted(job, start, stop):
                self.checkpoints.settled(job, start, stop)
                source = self._sources.get(job)
                if source is not None:
                    assert outcome.payload is not None
                    source.committed(start, stop, outcome.payload, outcome.first, outcome.kept)
            case ItemsFailed(job, start, stop):
                self.checkpoints.settled(job, start, stop)
                source, failure = self._sources.get(job), outcome.failure
                if source is not None:
                    assert failure is not None
                    if failure.cause is Cause.INITIALIZER:
                        self.initializer_failure = failure
                    source.failed(start, stop, failure)
            case JobSpent():
                self._costs.take(outcome.fact)
            case JobEnded(job, state):
                self.checkpoints.ended(job, resumes=state is JobState.FAILED)
                self._end(job, state, error_of(outcome.fact, kept=job in self.durables))
                # Nothing refers to a map's items; jobs of calls end with the client.
                self.tell(Forget(job))
            case JobForgotten(job):
                self.durables.forgotten(job)

    def _end(self, job: JobId, state: JobState, error: BaseException | None) -> None:
        source = self._sources.pop(job, None)
        self.checkpoints.ended(job, resumes=True)
        self.durables.ended(job)
        self.works.forget(job)
        self._names.pop(job, None)
        if source is not None:
            source.ended(state, error)
        self._reported.forget(job)
        self.loop.post(self._close_if_retired)

    def _committed(self, fact: SegmentCommitted) -> Outcome:
        segment = self._reported.committed(fact)
        whole = fact.start == segment.start  # else another fact counted what it took
        return Outcome(
            fact,
            segment.payload,
            None if segment.folded else fact.start - segment.start,
            self.durables.fold_print(fact.job) if segment.folded else b"",
            usage=segment.usage if whole else None,
            busy_ns=segment.busy_ns if whole else 0,
        )

    # --- for the durable jobs -------------------------------------------------------------------
    def knows(self, job: JobId) -> bool:
        """Whether the home has not forgotten the job."""
        return job in self.home.jobs

    def go_on(self) -> None:
        """Something was recorded: report, if that was held back."""
        self._seat.go_on()

    def lose(self, job: JobId, error: BaseException) -> None:
        """A durable job ends here, but not in its record."""
        ours = isinstance(error, ClientClosed | JobCancelled)
        state = JobState.CANCELLED if ours else JobState.FAILED
        waiting = self.durables.leave(job)
        if waiting is not None:
            waiting.ended(state, error)
            return
        self._end(job, state, error)
        if not self._closed:
            self.handle(CancelJob(job))

    # --- for the site ---------------------------------------------------------------------------
    def may_report(self) -> bool:
        """See `seat.Upstream`: no more is taken while as much as may waits to be recorded."""
        return self._broken is None and not self.durables.full

    def report(self, report: Report) -> None:
        self._transport.report(report)
        self._watch_expiry()

    def _heard(self, report: Report) -> None:
        self.handle(Hear(report))
        self._reported.decided()

    def prepare(self, grant: Grant) -> None:
        """Everything is here."""

    def work(self, grant: Grant, have: Callable[[port.Work | None, str], None]) -> None:
        self.works.give(grant, self._seat, have)

    def _watch_expiry(self) -> None:
        if self._expiry_timer is None and (due := self.home.next_expiry_ns()) is not None:
            self._expiry_timer = self.loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._expiry_timer = None
        if self._seat.held_back:  # the site is silent because we hold it back
            self._expiry_timer = self.loop.call_at(self.loop.now_ns() + limits.SECOND, self._expire)
        else:
            self.handle(Tick())
            self._watch_expiry()

    # --- for links, see `federated`; on the loop's thread --------------------------------------
    def resize(self, capacity: Amount) -> None:
        """The site has this much from now on; nothing: until it is there again. For the loop's
        thread."""
        if capacity != Amount():  # what cannot run now can later, and what never can is refused
            self.capacity = capacity
        self._seat.resize(capacity)

    @property
    def own(self) -> Seat:
        """What works here for this home."""
        return self._seat

    # --- ends -----------------------------------------------------------------------------------
    def fail(self, error: BaseException) -> None:
        """A bug: nothing that the core says from here on can be trusted, so all jobs end."""
        if self._broken is not None:
            return
        import traceback

        self._broken = InternalError(
            "the scheduler stopped on an error of its own; please report this:\n"
            + "".join(traceback.format_exception(error))
        )
        for source in list(self._sources.values()):
            source.ended(JobState.FAILED, self._broken)
        self._sources.clear()
        self._engine.close()

    def _close_if_retired(self) -> None:
        if self._retired is not None and not self._sources and not self._closed:
            self._close()
            self._retired()

    def _close(self) -> None:
        if self._closed:
            return
        if self._broken is None:
            for job in self.durables:
                self.lose(job, ClientClosed("this client was closed"))
            for job in list(self._sources):
                self.handle(CancelJob(job))
            self._closed = True
            self._engine.close()
        self._closed = True
        self.ledger.close()
        self.checkpoints.close()
        self.durables.close()
        self.loop.stop()
