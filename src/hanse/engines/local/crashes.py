"""Who was it: from a dead worker and its slot to the item that failed, if one did."""

from __future__ import annotations

import os
import signal

from hanse import limits
from hanse.engines.local.execution import Execution
from hanse.engines.local.process import Process
from hanse.engines.local.reports import HOST
from hanse.engines.port import ItemFailed
from hanse.model.failure import Cause, Failure
from hanse.model.usage import Usage, bucket_of

_LOADING = "(its function, initializer or arguments took as long to load)"

Slot = tuple[int, int, int, int]


def blame(
    execution: Execution,
    process: Process,
    status: int | None,
    slot: Slot,
    output: str,
    now_ns: int,
) -> ItemFailed | None:
    """The failure of the item that ran when the worker died; None if it is nobody's fault or if
    it is not known yet whose, and then the items in question run again one by one."""
    run, index, count, begun_ns = slot
    if run != execution.run or index < execution.position or not count:
        if not process.proved or not count:
            execution.starts_failed += 1
        return None
    if status is None and not process.killed_for:
        execution.starts_failed += 1
        return None
    if count > 1:
        execution.careful_until = index + count
        return None
    execution.omit.add(index)
    execution.starts_failed = 0
    failure = _failure(execution, process, status, index, output)
    took_ns = max(0, now_ns - begun_ns)
    usage = Usage({bucket_of(took_ns): 1}, 0, execution.memory_seen)
    return ItemFailed(execution.lease, index, failure, took_ns, usage)


def never_loaded(execution: Execution, process: Process, output: str) -> list[ItemFailed]:
    """What is told when the program did not load within the timeout of an item: no item of this
    work can run, and each would wait as long for the same."""
    told = []
    for index in range(execution.position, execution.stop):
        if index not in execution.omit:
            failure = _failure(execution, process, None, index, output)
            told.append(ItemFailed(execution.lease, index, failure, 0))
    execution.reported(execution.stop)
    return told


def _failure(
    execution: Execution, process: Process, status: int | None, index: int, output: str
) -> Failure:
    program = execution.work.program
    cause, limit, code, name = Cause.DIED, None, None, None
    if process.killed_for == "timeout":
        cause, limit = Cause.TIMEOUT, duration(program.timeout_ns or 0)
    elif process.killed_for == "loading":
        cause, limit = Cause.TIMEOUT, f"{duration(program.timeout_ns or 0)} {_LOADING}"
    elif process.killed_for == "memory":
        cause, limit = Cause.MEMORY, size(program.memory_bytes or 0)
    elif process.killed_for == "garbled":
        name = f"SIGKILL, because its socket brought garbage: {process.garbled}"
    elif status is not None and os.WIFSIGNALED(status):
        name = signal_name(os.WTERMSIG(status))
    elif status is not None:
        code = os.waitstatus_to_exitcode(status)
    return Failure(
        cause=cause,
        function=program.name,
        item=index,
        attempt=execution.work.attempts.get(index, 1),
        host=HOST,
        pid=process.pid,
        exit_code=code,
        signal=name,
        limit=limit,
        output=output,
    )


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def duration(ns: int) -> str:
    return f"{ns / limits.SECOND:g} s" if ns >= limits.SECOND else f"{ns / limits.MS:g} ms"


def size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (limits.MIB, "MiB"), (limits.KIB, "KiB")):
        if count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count} bytes"
