"""OpenTelemetry's spans of jobs, of their leases and of some of their items.

They are made of what the home decides, each at its end, with numbers of their own (`model.trace`):
nothing has to be remembered between a home that dies and the one that goes on. Which exporters get
them, and how, is said by OpenTelemetry's own variables. They name functions, sites, items, causes
and types of exceptions, and never arguments, results or messages, which may be secret.
"""

from __future__ import annotations

import enum
import logging
import os
import threading
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from hanse import limits
from hanse.core.events import AttemptFailed, ItemsFailed, SegmentCommitted
from hanse.model import trace as numbers
from hanse.model.job import JobState
from hanse.runtime.spans import exporters

if TYPE_CHECKING:
    from hanse.engines.port import Program
    from hanse.ids import JobId, LeaseId
    from hanse.model.failure import Failure
    from hanse.model.job import JobSpec
    from hanse.runtime.granted import Granted
    from hanse.runtime.outcome import Outcome
    from hanse.runtime.spans import Spans

_logger = logging.getLogger("hanse")
_DEFAULT_EVERY: Final = 100


def spans() -> Spans | None:
    """None, and a warning, if what is asked for is not installed."""
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        found = [_exporter(name) for name in exporters()]
    except ImportError as error:
        _logger.warning(
            "hanse: there are no spans, although OTEL_... asks for them: %s. "
            "pip install 'hanse[otel]' brings what they need", error
        )  # fmt: skip
        return None
    ids = _Ids()
    about = Resource.create()  # of OpenTelemetry's variables
    if str(about.attributes.get("service.name", "")).startswith("unknown_service"):
        about = about.merge(Resource({"service.name": "hanse"}))
    provider = TracerProvider(resource=about, id_generator=ids, shutdown_on_exit=False)
    for exporter in found:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return _Spans(provider, ids, _number("HANSE_OTEL_ITEMS", _DEFAULT_EVERY),
                  _number("HANSE_OTEL_SPANS", limits.SPANS_OF_JOB))  # fmt: skip


def _exporter(name: str) -> Any:
    """Raises ImportError."""
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL"
        )
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        return found.load()()
    raise ImportError(f"no exporter of the name {name} is installed")


def _number(variable: str, default: int) -> int:
    """Of so many items one has a span, or so many a job has of each kind; what is no number counts
    as if it was not said."""
    told = os.environ.get(variable, "")
    return int(told) if told.isdecimal() else default


class _Ids:
    """See `opentelemetry.sdk.trace.IdGenerator`: the numbers that were chosen just before."""

    trace = span = 1

    def generate_span_id(self) -> int:
        return self.span

    def generate_trace_id(self) -> int:
        return self.trace

    def is_trace_id_random(self) -> bool:
        return False


class _Kind(enum.Enum):
    """Of spans: one that comes in millions leaves the others their room."""

    LEASE = enum.auto()
    ITEM = enum.auto()
    FAILURE = enum.auto()


class _Job:
    """A job that is traced, with so many spans of a kind at most."""

    def __init__(
        self, id: JobId, function: str, own: numbers.Parent, parent: numbers.Parent | None,
        begun_ns: int, most: int,
    ) -> None:  # fmt: skip
        self.id = id
        self.function = function
        self.own = own
        self.parent = parent
        self.begun_ns = begun_ns
        self.name = ""
        self.left_out = 0  # spans
        self._room = dict.fromkeys(_Kind, most)

    def take(self, kind: _Kind, wanted: int = 1) -> int:
        """How many of these spans it may have; the others are counted."""
        taken = min(wanted, self._room[kind])
        self._room[kind] -= taken
        self.left_out += wanted - taken
        return taken


class _Lease:
    """A lease of a job that is traced."""

    def __init__(self, job: _Job, granted: Granted, attempts: Mapping[int, int]) -> None:
        self.job = job
        self.granted = granted
        self.attempts = attempts
        self.done = self.failed = 0


class _Spans:
    """See `spans.Spans`."""

    def __init__(self, provider: Any, ids: _Ids, every: int, most: int) -> None:
        self._provider = provider
        self._ids = ids
        self._every = every
        self._most = most
        self._tracer = provider.get_tracer("hanse")
        self._jobs: dict[JobId, _Job] = {}
        self._leases: dict[LeaseId, _Lease] = {}

    def begin(
        self, job: JobId, spec: JobSpec, program: Program, created_s: float | None
    ) -> Program:
        parent = numbers.parse(program.trace)
        own = numbers.of_job(job, parent, self._flags(job, parent))
        if not own.flags & 1:
            return replace(program, trace=str(own), trace_every=0)
        begun_ns = time.time_ns() if created_s is None else int(created_s * limits.SECOND)
        known = self._jobs[job] = _Job(job, spec.function, own, parent, begun_ns, self._most)
        known.name = spec.name
        return replace(program, trace=str(own), trace_every=self._every)

    def _flags(self, job: JobId, parent: numbers.Parent | None) -> int:
        """1 if the job is traced, by the sampler that OpenTelemetry's variables name."""
        trace = parent.trace if parent is not None else numbers.of_job(job, None, 0).trace
        result = self._provider.sampler.should_sample(_context(parent), trace, "job")
        return int(result.decision.is_sampled())

    def granted(self, lease: LeaseId, granted: Granted, attempts: Mapping[int, int]) -> None:
        if (job := self._jobs.get(granted.job)) is not None:
            self._leases[lease] = _Lease(job, granted, attempts)

    def happened(self, outcome: Outcome, busy_ns: int) -> None:
        match outcome.fact:
            case SegmentCommitted(_, start, stop, lease) if lease in self._leases:
                held = self._leases[lease]
                held.done += stop - start
                self._items(held, lease, start, stop, busy_ns)
            case AttemptFailed(_, item, cause, lease) if lease in self._leases:
                held = self._leases[lease]
                held.failed += 1
                self._failed(held, lease, item, str(cause), None, busy_ns)
            case ItemsFailed(_, start, stop, cause, lease) if lease in self._leases:
                assert lease is not None
                held = self._leases[lease]
                held.failed += stop - start
                self._failed(held, lease, start, str(cause), outcome.failure, busy_ns)

    def over(self, lease: LeaseId, why: str) -> None:
        held = self._leases.pop(lease, None)
        if held is None:
            return
        job, granted = held.job, held.granted
        if not job.take(_Kind.LEASE):
            return
        outcome = why or ("done" if held.done + held.failed else "nothing came of it")
        span = self._begin(
            f"lease {job.function}", numbers.lease_span(job.id, lease), job.own, granted.at_ns
        )
        span.set_attributes({
            "hanse.job.id": job.id, "hanse.site": granted.site, "hanse.lease.id": int(lease),
            "hanse.lease.first": granted.start, "hanse.lease.stop": granted.stop,
            "hanse.items.done": held.done, "hanse.attempts.failed": held.failed,
            "hanse.lease.outcome": outcome,
        })  # fmt: skip
        span.end()

    def ended(self, id: JobId, state: JobState, done: int, failed: int) -> None:
        if (job := self._jobs.pop(id, None)) is None:
            return
        span = self._begin(
            f"job {job.function}", job.own.span, job.parent, job.begun_ns, job.own.trace
        )
        span.set_attributes({
            "hanse.job.id": job.id, "hanse.job.name": job.name, "hanse.job.state": str(state),
            "code.function.name": job.function,
            "hanse.items.done": done, "hanse.items.failed": failed,
        })  # fmt: skip
        if job.left_out:
            span.set_attribute("hanse.spans.left_out", job.left_out)
        if state is not JobState.DONE:
            span.set_status(_error(str(state)))
        span.end()

    def _items(self, held: _Lease, lease: LeaseId, start: int, stop: int, busy_ns: int) -> None:
        """Those of a segment that have spans. When each ran is known of a segment of one."""
        now, count = time.time_ns(), stop - start
        those = sampled(start, stop, self._every)
        for item in islice(chain(*those), held.job.take(_Kind.ITEM, sum(map(len, those)))):
            begun = now - busy_ns * (stop - item) // count
            span = self._item(held, lease, item, begun)
            if count > 1:
                span.set_attribute("hanse.item.time", "estimated")
            span.end(begun + busy_ns // count)

    def _failed(
        self, held: _Lease, lease: LeaseId, item: int, cause: str, failure: Failure | None,
        busy_ns: int,
    ) -> None:  # fmt: skip
        if not held.job.take(_Kind.FAILURE):
            return
        span = self._item(held, lease, item, time.time_ns() - busy_ns)
        span.set_attribute("hanse.item.cause", cause)
        if failure is not None and failure.type:
            span.set_attribute("error.type", failure.type)
        span.set_status(_error(cause))
        span.end()

    def _item(self, held: _Lease, lease: LeaseId, item: int, begun_ns: int) -> Any:
        job, attempt = held.job, held.attempts.get(item, 1)
        above = job.own._replace(span=numbers.lease_span(job.id, lease))
        span = self._begin(
            f"item {job.function}", numbers.item_span(job.id, item, attempt), above,
            max(begun_ns, held.granted.at_ns),
        )  # fmt: skip
        span.set_attributes({
            "hanse.job.id": job.id, "hanse.site": held.granted.site,
            "hanse.item.index": item, "hanse.item.attempt": attempt,
        })  # fmt: skip
        return span

    def _begin(
        self, name: str, number: int, parent: numbers.Parent | None, start_ns: int, trace: int = 0
    ) -> Any:
        self._ids.span, self._ids.trace = number, trace
        return self._tracer.start_span(name, context=_context(parent), start_time=start_ns)

    def close(self) -> None:
        """Send what is there; for a bounded time, as nobody may be there to take it."""
        for lease in list(self._leases):
            self.over(lease, "its home ended")
        sending = threading.Thread(target=self._provider.shutdown, name="hanse-otel", daemon=True)
        sending.start()
        sending.join(limits.SPANS_CLOSE_S)


def sampled(start: int, stop: int, every: int) -> tuple[range, range]:
    """The items of a segment that have spans, if they go well."""
    if every <= 0:
        return range(0), range(0)
    first = max(start, numbers.FIRST_ITEMS)
    return (
        range(start, max(start, min(stop, numbers.FIRST_ITEMS))),
        range(first + -first % every, stop, every),
    )


def _context(parent: numbers.Parent | None) -> Any:
    """What a span begins in: below its parent, if it has one, and nothing else."""
    from opentelemetry import context, trace

    if parent is None:
        return context.Context()
    above = trace.SpanContext(
        parent.trace, parent.span, is_remote=True, trace_flags=trace.TraceFlags(parent.flags)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(above), context.Context())


def _error(words: str) -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, words)
