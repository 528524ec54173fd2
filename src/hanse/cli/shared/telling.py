"""A job of the records in words and as plain values: the same in `jobs`, `job` and `rm`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hanse.cli.shared import words

if TYPE_CHECKING:
    from hanse.journal.port import Head, Holder
    from hanse.model.failure import Failure
    from hanse.model.usage import Usage

STATES = ("running", "interrupted", "done", "failed", "cancelled")


def state_of(head: Head, holder: Holder | None) -> str:
    """What is recorded, except that a running job which no program runs is interrupted."""
    return "interrupted" if head.state == "running" and holder is None else head.state


def document(head: Head, holder: Holder | None) -> dict[str, Any]:
    """What programs get of a job. Fields may be added, and none is taken away."""
    return {
        "id": head.id, "name": head.name, "state": state_of(head, holder),
        "function": head.function, "script": head.script, "user": head.user, "host": head.host,
        "created_s": head.created_s, "updated_s": head.updated_s, "ended_s": head.ended_s,
        "items": head.size, "total": head.total, "done": head.done, "failed": head.failed,
        "stored_bytes": head.stored_bytes, "superseded": head.superseded,
        "holder": None if holder is None else
            {"host": holder.host, "pid": holder.pid, "since_s": holder.since_s},
        "nowhere": nowhere(head),
    }  # fmt: skip


def nowhere(head: Head) -> str:
    """Why nothing of it runs, where a node says so: empty for all other jobs."""
    return getattr(head, "nowhere", "")


def items(head: Head) -> str:
    """How far, in one cell: 12 of 40, 3 failed."""
    whole = head.total if head.total is not None else head.size
    shown = f"{head.done:,}" if head.done == whole else f"{head.done:,} of {whole:,}"
    return f"{shown}, {head.failed:,} failed" if head.failed else shown


def took(head: Head, holder: Holder | None) -> str:
    """From its beginning to its end; until now if it runs, and else to its last sign of life."""
    until_s = head.ended_s or head.updated_s
    if state_of(head, holder) == "running":  # by its node's clock, which its beginning is by
        until_s = max(until_s, getattr(head, "now_s", None) or time.time())
    return words.duration(max(0.0, until_s - head.created_s))


def when(head: Head) -> str:
    return words.ago(head.created_s, time.time())


def usage(used: Usage) -> dict[str, Any]:
    """What its items took, as plain values."""
    p50, p99 = used.quantile_ns(0.5), used.quantile_ns(0.99)
    return {
        "items": used.items,
        "p50_s": None if p50 is None else p50 / 1e9,
        "p99_s": None if p99 is None else p99 / 1e9,
        "cpu_s": used.cpu_ns / 1e9,
        "peak_bytes": used.peak_bytes,
    }


def failure(failed: Failure) -> dict[str, Any]:
    """Why an item failed, as plain values, without the pickled exception."""
    from msgspec import to_builtins

    plain: dict[str, Any] = to_builtins(failed)
    plain.pop("exception", None)
    return plain | {"headline": failed.headline()}
