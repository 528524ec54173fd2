"""What a home is told, and what it decides.

A home's answer is a `Decision`: facts and sends. Facts are recorded, and durable, before anything
else is done with the decision; they are also what clients are told. Sends are the orders to sites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from hanse.core.messages import Orders, Report
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.data import Lies
from hanse.model.failure import Cause
from hanse.model.fit import Offer
from hanse.model.job import JobSpec, JobState

# --- events: what a home is told ----------------------------------------------------------------


class Timed(NamedTuple):
    """A segment: where it ran, and what its items took together."""

    site: SiteId
    items: int
    busy_ns: int


class Submit(msgspec.Struct, frozen=True):
    job: JobId
    spec: JobSpec
    size: int = 0  # items that are there from the start
    sealed: bool = False  # no more will come
    data: Sequence[Lies] = ()  # where what these items read lies, in order


class Grow(msgspec.Struct, frozen=True):
    """The job has `size` items now. `waits` names, for new items that are not ready, the items
    (job, index) whose results they need; `broken` are new items whose arguments cannot travel;
    `data` says where what new items read lies, in order."""

    job: JobId
    size: int
    waits: Mapping[int, Sequence[tuple[JobId, int]]] = {}
    broken: Sequence[int] = ()
    data: Sequence[Lies] = ()


class Seal(msgspec.Struct, frozen=True):
    """No more items will come. Not `whole`: they broke off, so the job fails at its end."""

    job: JobId
    whole: bool = True


class Resume(msgspec.Struct, frozen=True):
    """Go on with a job that is not known here, from its facts of earlier runs, in their order.

    `spec` is what its program asks of it today. With `again` the items that failed run again.
    What was `timed` tells a job with aims how long its items take."""

    job: JobId
    spec: JobSpec
    facts: Sequence[Fact]
    again: bool = False
    timed: Sequence[Timed] = ()  # some segments of before


class CancelJob(msgspec.Struct, frozen=True):
    job: JobId


class CancelItems(msgspec.Struct, frozen=True):
    """Drop those of these items that have not begun; leases end in front of them."""

    job: JobId
    start: int
    stop: int


class Forget(msgspec.Struct, frozen=True):
    """Nobody will ask about this ended job again."""

    job: JobId


class Hear(msgspec.Struct, frozen=True):
    report: Report


class Describe(msgspec.Struct, frozen=True):
    """What a site can run. One of which nothing is said can run everything."""

    site: SiteId
    offer: Offer


class Withdraw(msgspec.Struct, frozen=True):
    """This site takes part no more, and whatever it runs is run elsewhere. If it speaks again, it
    is back."""

    site: SiteId


class Tick(msgspec.Struct, frozen=True):
    """Time has passed: see what has expired."""


class Recorded(msgspec.Struct, frozen=True):
    """The first `position` facts of durable jobs, counted over all of them, are durable."""

    position: int


Event = (
    Submit
    | Resume
    | Grow
    | Seal
    | CancelJob
    | CancelItems
    | Forget
    | Hear
    | Describe
    | Withdraw
    | Recorded
    | Tick
)

# --- facts: what is recorded, and clients are told ----------------------------------------------


class JobSubmitted(msgspec.Struct, frozen=True, tag="submitted", array_like=True):
    job: JobId
    spec: JobSpec
    now_ns: int


class JobGrown(msgspec.Struct, frozen=True, tag="grown", array_like=True):
    job: JobId
    size: int
    waits: dict[int, list[tuple[JobId, int]]]
    since: LeaseId = LeaseId(0)  # leases below were granted before: they hold none of these items
    data: list[Lies] = []  # of new items, where that was said


class JobSealed(msgspec.Struct, frozen=True, tag="sealed", array_like=True):
    job: JobId
    whole: bool = True


class JobResumed(msgspec.Struct, frozen=True, tag="resumed", array_like=True):
    """Another run goes on with the job; with `again` the items that failed are open again."""

    job: JobId
    spec: JobSpec
    again: bool
    now_ns: int = 0


class SegmentCommitted(msgspec.Struct, frozen=True, tag="committed", array_like=True):
    """The items `start` to `stop` are done for good, by results that came under this lease."""

    job: JobId
    start: int
    stop: int
    lease: LeaseId


class AttemptFailed(msgspec.Struct, frozen=True, tag="attempt", array_like=True):
    """An attempt failed and the item will be tried again."""

    job: JobId
    item: int
    cause: Cause
    lease: LeaseId


class ItemsFailed(msgspec.Struct, frozen=True, tag="failed", array_like=True):
    """The items `start` to `stop` failed for good. `lease` is None where none ran them:
    cancelled, or something they need failed (`needed` names one such item)."""

    job: JobId
    start: int
    stop: int
    cause: Cause
    lease: LeaseId | None = None
    needed: tuple[JobId, int] | None = None


class JobSpent(msgspec.Struct, frozen=True, tag="spent", array_like=True):
    """What the job has cost from its beginning to that moment, in nano, by site: leases that are
    out are counted up to then."""

    job: JobId
    sites: dict[SiteId, int]
    now_ns: int
    moved: dict[SiteId, tuple[int, int]] = {}  # bytes that came from other regions; nano for them
    late_ns: int = 0  # since its deadline


class Shortfall(msgspec.Struct, frozen=True, array_like=True):
    """What a budget came to."""

    budget_nano: int
    spent_nano: int
    done: int  # items
    left: int  # items that are known and have no result


class JobEnded(msgspec.Struct, frozen=True, tag="ended", array_like=True):
    job: JobId
    state: JobState
    because: str = ""  # why the sites could not run it, if that ended it
    short: Shortfall | None = None  # of a budget that ended it


class JobForgotten(msgspec.Struct, frozen=True, tag="forgotten", array_like=True):
    job: JobId


Fact = (
    JobSubmitted
    | JobGrown
    | JobSealed
    | JobResumed
    | SegmentCommitted
    | AttemptFailed
    | ItemsFailed
    | JobSpent
    | JobEnded
    | JobForgotten
)


class Decision(msgspec.Struct):
    """What a home decided on one event. Its facts are recorded all or none: half of them would be
    a job that nobody decided on. Clients are told of a durable job's facts only once they are
    recorded; the sends acknowledge nothing before that, so they may go at once."""

    facts: list[Fact]
    sends: list[Orders]
    position: int = 0  # facts of durable jobs so far; to be told by `Recorded`
