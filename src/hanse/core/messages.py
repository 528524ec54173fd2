"""What agents and homes say to each other. Each message is safe to lose, repeat or delay.

Both are cumulative: a `Report` repeats every note that is not acknowledged yet, `Orders` repeat
every grant, cut and cancel that the last report did not show. So either side may drop any message
that is older than one it has seen, and nothing is lost by losing one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.resources import Amount


class SegmentNote(msgspec.Struct, frozen=True, tag="s", array_like=True):
    """The agent holds the results of the items `start` to `stop`, run under this lease."""

    lease: LeaseId
    job: JobId
    start: int
    stop: int
    busy_ns: int
    folded: bool = False  # one value for all of them: it counts for every item or for none


class FailureNote(msgspec.Struct, frozen=True, tag="f", array_like=True):
    """One attempt of one item failed. The lease goes on behind it.

    With the cause DEPENDENCY it has not even begun: it needs the result of an item before it in its
    lease, and the worker has none. That is no attempt, and no fact."""

    lease: LeaseId
    job: JobId
    item: int
    cause: Cause
    busy_ns: int


class EndNote(msgspec.Struct, frozen=True, tag="e", array_like=True):
    """The lease is over here: what was not reported before this note did not run."""

    lease: LeaseId
    wall_ns: int  # from its start here to its end
    busy_ns: int  # of that, spent in items
    lost: str = ""  # why the site gave it up, if it did


Note = SegmentNote | FailureNote | EndNote


class Running(msgspec.Struct, frozen=True, array_like=True):
    """A lease that the agent holds: every item before `begun` is finished, none from `stop` on
    will be begun."""

    lease: LeaseId
    job: JobId
    start: int
    begun: int
    stop: int
    queued: bool = False  # it waits for another lease to end: nothing of it has begun
    waits: str = ""  # nothing of it runs now: what for, in words


class Report(msgspec.Struct, frozen=True, array_like=True):
    """Agent to home."""

    site: SiteId
    incarnation: int  # a restarted agent has a higher one
    seq: int  # counts this incarnation's reports
    orders_seen: int  # the last orders this incarnation has followed
    capacity: Amount
    free: Amount  # for leases that are not in `running`; what is queued there is taken off too
    first_note: int  # number of the first note below; the others follow one by one
    notes: list[Note]
    running: list[Running]
    orders_age_ns: int = -1  # how long ago the last orders were followed; -1: it does not tell
    building: Mapping[str, str] = {}  # environments that are being built there: name, and words
    failed: Mapping[str, str] = {}  # environments that cannot be built there for now: name, and why
    leaving: str = ""  # why the site is being taken away, in words; empty: it is not


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """The site is to run the items `start` to `stop`."""

    lease: LeaseId
    job: JobId
    start: int
    stop: int
    needs: Amount
    attempts: dict[int, int]  # which attempt it is, for the items that are past their first


class CutOrder(msgspec.Struct, frozen=True, array_like=True):
    """End the lease in front of `stop`, or just past the item that runs now. One that is queued
    ends just there, and at its start is given back."""

    lease: LeaseId
    stop: int


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """Home to agent."""

    site: SiteId
    incarnation: int  # of the agent that is meant
    seq: int
    notes_seen: int  # every note up to this number is durable here and may be forgotten
    grants: list[Grant]
    cuts: list[CutOrder]
    cancels: list[LeaseId]
    report_after_ns: int  # report again after this long, if nothing happens before
