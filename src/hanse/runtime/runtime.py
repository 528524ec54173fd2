"""The embedded runtime: a home and an agent in one process, with a loop, an engine and a journal.

It decides nothing. Events go to the core one at a time; of each decision the facts are recorded
first, then clients are told of them, then orders are followed. Everything here runs on the loop's
thread except the methods under "for any thread".
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from hanse.core.agent import Agent, CancelLease, CutLease, StartLease
from hanse.core.events import (
    CancelJob,
    Event,
    Fact,
    Forget,
    Hear,
    ItemsFailed,
    JobEnded,
    SegmentCommitted,
    Submit,
    Tick,
)
from hanse.core.home import Home
from hanse.core.messages import Orders, Report
from hanse.engines import port
from hanse.errors import ClientClosed, EngineError, InternalError, UsageError
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause, Failure
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import Amount
from hanse.runtime.loop import Loop, Timer
from hanse.runtime.source import Source
from hanse.runtime.transport import Loopback, Transport

T = TypeVar("T")
EngineFactory = Callable[[port.Loop, Callable[[port.Event], None]], port.Engine]


class Runtime:
    """Runs jobs on this machine until `close`."""

    def __init__(self, capacity: Amount, engine: EngineFactory) -> None:
        self.capacity = capacity
        self.home = Home()
        self._host = socket.gethostname()
        self._agent = Agent(SiteId(self._host), 1, capacity)
        self._transport: Transport = Loopback(self._heard, self._ordered)
        self._sources: dict[JobId, Source] = {}
        self._names: dict[JobId, str] = {}
        self._segments: dict[LeaseId, list[port.Segment]] = {}  # reported, not decided on yet
        self._failures: dict[tuple[JobId, int], Failure] = {}  # the last of each open item
        self._pumping = False
        self._report_timer: Timer | None = None
        self._expiry_timer: Timer | None = None
        self._broken: BaseException | None = None
        self._retired: Callable[[], None] | None = None  # set: close when no job is left
        self._closed = False
        self.initializer_failure: Failure | None = None  # no call of this runtime can run
        self.loop = Loop(self._fail)
        self._engine = engine(self.loop, self._engine_says)
        self._thread = threading.Thread(target=self.loop.run, name="hanse", daemon=True)
        self._thread.start()
        self.loop.post(self._pump)

    # --- for any thread -------------------------------------------------------------------------
    def submit(
        self, job: JobId, spec: JobSpec, source: Source, *, size: int = 0, sealed: bool = False
    ) -> None:
        """Start a job whose inputs and results pass through `source`."""

        def register() -> None:
            self._sources[job] = source
            self._names[job] = spec.name
            self._handle(Submit(job, spec, size, sealed))

        self.loop.post(register)

    def tell(self, event: Event) -> None:
        """Hand the home an event."""
        self.loop.post(lambda: self._handle(event))

    def tell_now(self, event: Event) -> None:
        """The same, on the loop's thread."""
        self._handle(event)

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
    def _handle(self, event: Event) -> None:
        if self._broken is not None or self._closed:
            if isinstance(event, Submit):
                error = self._broken or ClientClosed("this client was closed")
                self._sources.pop(event.job).ended(JobState.CANCELLED, error)
            return
        decision = self.home.handle(event, self.loop.now_ns())
        if decision.facts:
            for fact in decision.facts:
                self._tell(fact)
        for orders in decision.sends:
            self._transport.orders(orders)
        self._pump_soon()

    def _tell(self, fact: Fact) -> None:
        """Hand on what clients want to know of a fact that is recorded."""
        match fact:
            case SegmentCommitted(job, start, stop, lease):
                self._commit(job, start, stop, lease)
            case ItemsFailed(job, start, stop):
                source = self._sources.get(job)
                if source is not None:
                    failure = self._failure(fact)
                    if failure.cause is Cause.INITIALIZER:
                        self.initializer_failure = failure
                    source.failed(start, stop, failure)
            case JobEnded(job, state, because):
                source = self._sources.pop(job, None)
                if source is not None:
                    source.ended(state, EngineError(because) if because else None)
                self._names.pop(job, None)
                self._failures = {k: v for k, v in self._failures.items() if k[0] != job}
                # Nothing refers to a map's items; jobs of calls end with the client.
                self.tell(Forget(job))
                self.loop.post(self._close_if_retired)

    def _commit(self, job: JobId, start: int, stop: int, lease: LeaseId) -> None:
        source = self._sources.get(job)
        for segment in self._segments.get(lease, ()):
            if segment.start <= start and stop <= segment.stop:
                first = None if segment.folded else start - segment.start
                if source is not None:
                    source.committed(start, stop, segment.payload, first)
                break
        else:
            raise InternalError(f"items {start} to {stop} of {job} were committed without results")
        if self._failures:
            for item in range(start, stop) if stop - start < len(self._failures) else ():
                self._failures.pop((job, item), None)

    def _failure(self, fact: ItemsFailed) -> Failure:
        known = self._failures.pop((fact.job, fact.start), None)
        if known is not None and fact.lease is not None:
            return known
        message = ""
        if fact.needed is not None:
            name = self._names.get(fact.needed[0], fact.needed[0])
            message = f"item {fact.needed[1]} of {name}"
        return Failure(
            cause=fact.cause,
            function=self._names.get(fact.job, ""),
            item=fact.start,
            message=message,
        )

    # --- the agent ------------------------------------------------------------------------------
    def _pump_soon(self) -> None:
        """Report once for all that this turn of the loop brings."""
        if self._agent.has_news and not self._pumping:
            self._pumping = True
            self.loop.post(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._broken is None:
            self._transport.report(self._agent.report(self.loop.now_ns(), self._engine.begun))
            self._set_timers()

    def _heard(self, report: Report) -> None:
        self._handle(Hear(report))
        self._segments.clear()  # every note of the report has been decided on

    def _ordered(self, orders: Orders) -> None:
        for command in self._agent.follow(orders, self.loop.now_ns()):
            match command:
                case StartLease(grant):
                    source = self._sources.get(grant.job)
                    if source is None:
                        self._agent.ended(grant.lease, self.loop.now_ns())
                    else:
                        self._engine.start(source.work(grant))
                case CutLease(lease, stop):
                    self._engine.cut(lease, stop)
                case CancelLease(lease):
                    self._engine.cancel(lease)

    def _set_timers(self) -> None:
        if self._report_timer is not None:
            self._report_timer.cancel()
        self._report_timer = self.loop.call_at(self._agent.report_due_ns, self._pump)
        if self._expiry_timer is None and (due := self.home.next_expiry_ns()) is not None:
            self._expiry_timer = self.loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._expiry_timer = None
        self._handle(Tick())

    def _engine_says(self, event: port.Event) -> None:
        """The engine's events become the agent's notes; payloads and details stay here."""
        agent = self._agent
        match event:
            case port.Segment(lease, start, stop, _payload, busy_ns):
                self._segments.setdefault(lease, []).append(event)
                agent.segment(lease, start, stop, busy_ns, event.folded)
            case port.ItemFailed(lease, item, failure, busy_ns):
                self._failures[(agent.job_of(lease), item)] = failure
                agent.item_failed(lease, item, failure.cause, busy_ns)
            case port.Cut(lease, stop):
                agent.cut(lease, stop)
            case port.Ended(lease, end, because):
                lost = because or "lost" if end is port.End.LOST else ""
                agent.ended(lease, self.loop.now_ns(), lost)
        self._pump_soon()

    # --- ends -----------------------------------------------------------------------------------
    def _fail(self, error: BaseException) -> None:
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
            for job in list(self._sources):
                self._handle(CancelJob(job))
            self._closed = True
            self._engine.close()
        self._closed = True
        self.loop.stop()


def argument_failure(name: str, item: int, error: Exception) -> Failure:
    """The failure of an item whose arguments cannot be pickled here."""
    return Failure(
        cause=Cause.ARGUMENT,
        function=name,
        item=item,
        type=type(error).__name__,
        message=str(error),
    )
