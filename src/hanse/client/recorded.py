"""Recorded jobs without their program: read back, watched while a node runs them, or gone on with
from what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from hanse.client.inputs import Feeder
from hanse.client.job import Job, progress, watching
from hanse.client.named import NamedSource
from hanse.client.options import Options
from hanse.client.results import Part, Results
from hanse.engines.port import Program
from hanse.errors import NoSuchJob, UsageError
from hanse.ids import JobId
from hanse.journal.port import Head
from hanse.model.account import Account
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.records.record import JobRecord, function_payload, open_record
from hanse.records.state import Records
from hanse.records.tally import settled_of
from hanse.runtime.runner import Runner
from hanse.runtime.source import Durable

if TYPE_CHECKING:
    from hanse.client.client import Client


def find(state: Records, id_or_name: str) -> Head:
    """A recorded job's head. Raises NoSuchJob."""
    head = state.journal.find(id_or_name)
    if head is None:
        raise NoSuchJob(f"there is no job {id_or_name!r} in {state.journal.where}")
    return head


def read_back(runtime: Runner, id_or_name: str, begins: Callable[[JobId], None]) -> Job[Any]:
    """A job that has ended, or that a node runs, with its results as they are recorded. `begins` is
    called before one that runs is watched."""
    state = runtime.records()
    head = find(state, id_or_name)
    if next(iter(state.journal.read(head.id)), None) is None:
        raise UsageError(f"nothing is recorded of the job {id_or_name!r} yet")
    record = open_record(state, head)
    if record.job_state.ended:
        return _job(runtime, record, None, _results(record), record.job.spec.fail_fast)
    begins(head.id)
    job = _watched(runtime, record)
    if job is None:
        raise UsageError(
            f"the job {record.head.name!r} has not ended: run its program again to go on with it "
            f"({record.program.command})"
        )
    return job


def _watched(runtime: Runner, record: JobRecord) -> Job[Any] | None:
    """A job that runs, for somebody who does not feed it; None if it cannot be watched."""
    results = Results(record.head.total)
    job = _job(runtime, record, None, results, record.job.spec.fail_fast, reading=None)
    if not runtime.watch(record.head.id, job._source, len(record.facts)):  # type: ignore[arg-type]
        results.end(JobState.CANCELLED, None)
        return None
    _show(record.head, results)
    return job


def _show(head: Head, results: Results) -> None:
    """Its progress, if the user wants to see that."""
    if watching():
        from hanse.client.watcher import watch

        watch(head.id, head.name, partial(progress, results))


def results_of(runtime: Runner, id: JobId) -> Results:
    """All results of a recorded job, to be handed out once more."""
    state = runtime.records()
    return _results(open_record(state, find(state, id)))


def _results(record: JobRecord) -> Results:
    record.check_whole()
    results = Results(record.size)
    results.restore(record.job.done, len(record.failed))
    failure: Failure | None = None
    for part in record.parts():
        failure = failure or part.failure
        first = part.kept.stored.first if part.kept is not None else None
        results.add(Part(part.start, part.stop, part.kept, first, part.failure, True))
    failed = record.job_state is JobState.FAILED
    results.end(record.job_state, failure if failed else None)
    return results


def resume(client: Client, id_or_name: str, retry_failed: bool) -> Job[Any]:
    """See `Client.resume`."""
    runtime = client._runtime
    state = runtime.records()
    head = find(state, id_or_name)
    run = runtime.durables.claim(head.id)
    try:
        record = open_record(state, find(state, head.id))
        if record.program.calls:
            raise UsageError(
                f"the job {head.id} is made of single calls, and cannot be gone on with without "
                "their program: call what failed again"
            )
        if not (record.job.sealed and record.job.whole):
            raise UsageError(
                f"not all inputs of the job {head.name!r} are recorded: run its program again "
                f"({record.program.command})"
            )
        options = _options(record)
        before = record.job.spec
        spec = client._spec(
            head.name, options, before.fail_fast, record.size, True, before.requires
        )
        again = retry_failed or record.job_state is JobState.FAILED
        told, function = record.program, function_payload(record)
        program = client._program(
            head.id, told.name, options, function, star=told.star, logged=True,
            code=state.code_directory(told.code), environment=told.environment,
        )  # fmt: skip
    except BaseException:
        runtime.durables.unclaim(head.id, run)
        raise
    results = Results(record.size)
    job = _job(runtime, record, program, results, spec.fail_fast, again, reading=None)
    durable = Durable.of(record, run, again)
    client._show_prints(head.id, None, again=True)
    runtime.submit_durable(head.id, spec, job._source, durable)  # type: ignore[arg-type]
    _show(head, results)
    return job


def _options(record: JobRecord) -> Options:
    return Options(
        resources=record.job.spec.needs.resources(),
        retries=record.program.retries,
        timeout=record.program.timeout_s,
    )


def _job(
    runtime: Runner, record: JobRecord, program: Program | None, results: Results,
    raising: bool, again: bool = False, reading: bool | None = True,
) -> Job[Any]:  # fmt: skip
    source = NamedSource(
        runtime, record.head.id, program, results, (), raising, name=record.head.name,
        record=record, fed=False, again=again, reading=reading,
    )  # fmt: skip
    nothing: Iterable[Any] = ()
    feeder = Feeder(
        nothing, results, 1, block=source.feed, seal=source.seal, close=source.close
    )  # fmt: skip
    feeder.finished = True
    return Job(
        runtime, record.head.id, record.head.name, source, results, feeder, raising=raising,
        ordered=True,
    )  # fmt: skip


def account_of(runtime: Runner, id: JobId, recorded: bool) -> Account | None:
    """What a job has cost, as whoever runs it knows, or else by its record, if it has one; None if
    nothing was counted. Raises JournalError."""
    told = runtime.account(id)
    if told is not None or not recorded:
        return told
    head = runtime.records().journal.find(id)
    return None if head is None else settled_of(head)
