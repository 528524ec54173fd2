"""What a worker reports, as events of the port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from hanse.engines.local.execution import Execution
from hanse.engines.local.plain import Garbled
from hanse.engines.local.process import Process
from hanse.engines.port import ItemFailed, Saved, Segment
from hanse.model.failure import Cause, Failure
from hanse.model.usage import BUCKETS, Usage
from hanse.payloads.packing import unpack
from hanse.payloads.payload import Payload

HOST = os.uname().nodename
_MOST = 1 << 56  # two years of processor time; sums of many such still fit a record

_SHAPES: dict[str, tuple[type, ...]] = {
    "s": (str, int, int, tuple, int, tuple),
    "f": (str, int, dict, int, tuple),
    "F": (str, int, int, dict),
    "c": (str, int),
    "e": (str, int),
    "k": (str, int, tuple),
}
_FIELDS = {"cause", "type", "message", "traceback", "output", "exception"}


def check(execution: Execution, event: Any) -> str:
    """The kind of an event that makes sense here. Raises Garbled for any other: a task may have
    written it."""
    shape = _SHAPES.get(event[0]) if type(event) is tuple and event else None
    if shape is None or tuple(map(type, event)) != shape:
        raise Garbled("it is no event")
    kind: str = event[0]
    if kind in "sF" and not execution.position <= event[1] < event[2] <= execution.until:
        raise Garbled("it is about items of others")
    if kind in "fk" and not execution.position <= event[1] < execution.until:
        raise Garbled("it is about an item of others")
    if kind in "fF" and not (event[2 + (kind == "F")].keys() >= _FIELDS):
        raise Garbled("it is no failure")
    return kind


def _usage(took: tuple[Any, ...]) -> Usage:
    """What a worker says its items took. Only sound numbers: they are added up and recorded."""
    if tuple(map(type, took)) != (dict, int, int):
        raise Garbled("it says no usage")
    times, cpu_ns, peak_bytes = took
    if len(times) > BUCKETS:
        raise Garbled("it counts no times")
    for bucket, items in times.items():
        if type(bucket) is not int or type(items) is not int:
            raise Garbled("it counts no times")
        if not (0 <= bucket < BUCKETS and 0 < items < _MOST):
            raise Garbled("it counts impossible times")
    if not (0 <= cpu_ns < _MOST and 0 <= peak_bytes < _MOST):
        raise Garbled("it says impossible usage")
    return Usage(times, cpu_ns, peak_bytes)


def _unpacked(packed: Any, fds: list[int], count: int, folded: bool) -> Payload:
    try:
        payload = unpack(packed, fds)
        count = min(payload.count, 1) if folded else count
    except Exception as error:
        raise Garbled("it holds no results") from error
    if payload.count != count:
        raise Garbled(f"it holds {payload.count} results for {count} items")
    if payload.ends is not None and len(payload.ends) != count:
        raise Garbled(f"it holds {len(payload.ends)} streams for {count} results")
    return payload


def events(
    execution: Execution, process: Process, event: tuple[Any, ...], fds: list[int]
) -> Iterator[Segment | ItemFailed | Saved]:
    """The port's events for one of a worker's."""
    if event[0] == "s":
        _, start, stop, packed, busy_ns, took = event
        folded = execution.work.program.fold is not None
        payload = _unpacked(packed, fds, stop - start, folded)
        segment = Segment(execution.lease, start, stop, payload, busy_ns, folded, _usage(took))
        execution.reported(stop)  # not before all of it is sound
        yield segment
    elif event[0] == "f":
        _, item, fields, busy_ns, took = event
        told = failure(execution, process, item, fields)
        failed = ItemFailed(execution.lease, item, told, busy_ns, _usage(took))
        execution.reported(item + 1)
        yield failed
    elif event[0] == "k":
        _, item, packed = event
        yield Saved(execution.lease, item, _unpacked(packed, fds, 1, False))
    else:  # "F": all items of a range for one reason
        _, start, stop, fields = event
        omitted = frozenset(execution.omit)
        failures = [
            ItemFailed(execution.lease, item, failure(execution, process, item, fields), 0)
            for item in range(start, stop)
            if item not in omitted
        ]
        execution.reported(stop)
        yield from failures


def failure(execution: Execution, process: Process, item: int, fields: dict[str, Any]) -> Failure:
    from hanse.engines.local.crashes import size

    work = execution.work
    try:
        cause = Cause(fields["cause"])
    except ValueError as error:
        raise Garbled("it is a failure without a cause") from error
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
