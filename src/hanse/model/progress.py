"""How far a job is, for people and programs."""

from __future__ import annotations

import msgspec


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a job.

    Attributes:
        done: items that ended well.
        failed: items that failed for good.
        running: items that are leased now.
        total: items in all; None while the inputs are still being read.
        rate_per_s: items that ended in the last seconds, per second.
        eta_s: seconds until the end at that rate; None while it cannot be told.
        elapsed_s: seconds since the job was submitted, up to its end.
        state: running, done, failed or cancelled.
        restored: of `done` and `failed`, the items that earlier runs of a named job ended.
    """

    done: int
    failed: int
    running: int
    total: int | None
    rate_per_s: float
    eta_s: float | None
    elapsed_s: float
    state: str
    restored: int = 0
