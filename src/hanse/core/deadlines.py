"""Whether a job will be in time, by the estimates that decisions rest on."""

from __future__ import annotations

from typing import NamedTuple

from hanse.core.job import Job
from hanse.core.place.estimate import Estimate
from hanse.core.reckoning import Reckoned
from hanse.core.words import duration


class Late(NamedTuple):
    """By how much, in nanoseconds, its deadline will have passed when it ends: most likely, and in
    one of ten cases. 0: it will be in time."""

    by_ns: int
    high_ns: int


IN_TIME = Late(0, 0)


def late(job: Job, found: Estimate | None, told: Reckoned | None, now_ns: int) -> Late:
    """What to expect. The sites that it uses now are in `found`; machines that will be brought are
    in what is `told` alone, which then is what counts."""
    due = job.due_ns
    if due is None:
        return IN_TIME
    if told is not None and told.timed and told.machines:
        end_ns, high_ns = now_ns + int(told.end_ns), now_ns + int(told.end_high_ns)
    elif found is not None:
        end_ns, high_ns = found.end_ns, found.high_ns
    else:
        return IN_TIME
    by_ns = max(0, end_ns - due)
    return Late(by_ns, max(by_ns, high_ns - due))


def outlook(left_ns: float, late: Late) -> str:
    """The same in words, of a job with so much time until its deadline; empty if it will be in
    time."""
    if left_ns < 0:
        return "it has missed it"
    if late.by_ns:
        return f"it will miss it by about {duration(late.by_ns)}"
    return f"it may miss it, by up to {duration(late.high_ns)}" if late.high_ns else ""
