"""What a worker reports, as events of the port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from hanse.engines.local.execution import Execution
from hanse.engines.local.process import Process
from hanse.engines.port import ItemFailed, Segment
from hanse.model.failure import Cause, Failure
from hanse.payloads.packing import unpack

HOST = os.uname().nodename


def events(
    execution: Execution, process: Process, event: tuple[Any, ...], fds: list[int]
) -> Iterator[Segment | ItemFailed]:
    """The port's events for one of a worker's."""
    if event[0] == "s":
        _, start, stop, packed, busy_ns = event
        payload = unpack(packed, fds)
        execution.reported(stop)
        folded = execution.work.program.fold is not None
        yield Segment(execution.lease, start, stop, payload, busy_ns, folded)
    elif event[0] == "f":
        _, item, fields, busy_ns = event
        execution.reported(item + 1)
        yield ItemFailed(execution.lease, item, failure(execution, process, item, fields), busy_ns)
    else:  # "F": all items of a range for one reason
        _, start, stop, fields = event
        omit = frozenset(execution.omit)
        execution.reported(stop)
        for item in range(start, stop):
            if item not in omit:
                told = failure(execution, process, item, fields)
                yield ItemFailed(execution.lease, item, told, 0)


def failure(execution: Execution, process: Process, item: int, fields: dict[str, Any]) -> Failure:
    from hanse.engines.local.crashes import size

    work = execution.work
    cause = Cause(fields["cause"])
    limit = size(work.program.memory_bytes or 0) if cause is Cause.MEMORY else None
    return Failure(
        cause=cause,
        function=work.program.name,
        item=item,
        attempt=work.attempts.get(item, 1),
        host=HOST,
        pid=process.pid,
        type=fields["type"],
        message=fields["message"],
        traceback=fields["traceback"],
        limit=limit,
        output=fields["output"],
        exception=fields["exception"],
    )
