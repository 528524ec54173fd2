"""The numbers of spans, as they are known on both sides: where a job is held and where it runs.

A span's number is drawn from what it is about, not at random. So the worker knows in advance below
what its item's own spans hang, a home that was restarted goes on with the trace that it began, and
what is told twice is the same span.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

FIRST_ITEMS = 100
"""So many items of a job, the first, get a span whatever share of them does."""


class Parent(NamedTuple):
    """A span that others hang below, after W3C's Trace Context."""

    trace: int
    span: int
    flags: int

    def __str__(self) -> str:
        return f"00-{self.trace:032x}-{self.span:016x}-{self.flags:02x}"


def parse(traceparent: str) -> Parent | None:
    """None: it is none, or not one of the form that is known."""
    parts = traceparent.split("-")
    if [len(part) for part in parts] != [2, 32, 16, 2] or parts[0] != "00":
        return None
    try:
        trace, span, flags = (int(part, 16) for part in parts[1:])
    except ValueError:
        return None
    return Parent(trace, span, flags) if trace and span else None


def of_job(job: str, parent: Parent | None, flags: int) -> Parent:
    """A job's span: in its parent's trace, or in one of its own."""
    trace = parent.trace if parent is not None else _number(16, f"trace {job}")
    return Parent(trace, _number(8, f"job {job}"), flags)


def lease_span(job: str, lease: int) -> int:
    return _number(8, f"lease {job} {lease}")


def item_span(job: str, item: int, attempt: int) -> int:
    return _number(8, f"item {job} {item} {attempt}")


def is_sampled(item: int, every: int) -> bool:
    """Whether an item that goes well has a span of its own. `every`: of so many, one has."""
    return every > 0 and (item < FIRST_ITEMS or item % every == 0)


def _number(size: int, text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1
