"""When each lease that is out was granted, for people: what timelines begin at, and spans.

The core's facts know of no leases that have brought nothing, and its clock is nobody's. So the
orders and reports that pass by are noted here, on the loop's thread. Of leases that an earlier
process granted nothing is known.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from hanse.core.events import AttemptFailed, Event, Hear, ItemsFailed, JobEnded, Tick, Withdraw
from hanse.core.home import Home
from hanse.core.messages import EndNote, FailureNote, Orders
from hanse.ids import JobId, LeaseId, SiteId
from hanse.runtime.spans import Spans, asked_for

if TYPE_CHECKING:
    from hanse.core.events import Resume, Submit
    from hanse.runtime.outcome import Outcome
    from hanse.runtime.source import Source

_SLACK = 64  # leases that are over may stay so many before they are looked for


class Granted(NamedTuple):
    """A lease as it was granted."""

    job: JobId
    site: SiteId
    start: int
    stop: int
    at_ns: int  # since 1970


class Ledger:
    """Of one home. For the loop's thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._granted: dict[LeaseId, Granted] = {}
        self._spans: Spans | None = None
        if asked_for():
            from hanse.runtime.tracing import spans  # imports what most programs never need

            self._spans = spans()

    def begin(self, event: Submit | Resume, source: Source, created_s: float | None) -> None:
        """A job begins, or goes on with what it did since `created_s`."""
        if self._spans is not None:
            source.program = self._spans.begin(event.job, event.spec, source.program, created_s)

    def open(self, job: JobId) -> list[tuple[LeaseId, Granted]]:
        """The leases of a job that are out."""
        known = self._home.jobs.get(job)
        leases = () if known is None else known.leases.values()
        return [(each.id, self._granted[each.id]) for each in leases if each.id in self._granted]

    def since_ns(self, outcome: Outcome) -> int | None:
        """When the lease that this came of was granted, since 1970; None: that is not known."""
        lease = getattr(outcome.fact, "lease", None)
        found = self._granted.get(lease) if lease is not None else None
        return found.at_ns if found is not None else None

    def happened(self, outcome: Outcome, event: Event) -> None:
        """A fact of the decision on this event."""
        if self._spans is None:
            return
        busy_ns, fact = outcome.busy_ns, outcome.fact
        if type(fact) is JobEnded:
            job = self._home.jobs[fact.job]
            failed = len(job.failed)
            self._spans.ended(fact.job, fact.state, len(job.settled) - failed, failed)
            return
        if type(event) is Hear and isinstance(fact, AttemptFailed | ItemsFailed):
            item = fact.item if isinstance(fact, AttemptFailed) else fact.start
            for note in event.report.notes:
                if type(note) is FailureNote and (note.job, note.item) == (fact.job, item):
                    busy_ns = note.busy_ns
        self._spans.happened(outcome, busy_ns)

    def decided(self, event: Event, sends: Iterable[Orders]) -> None:
        """The facts of a decision have happened, and these orders go out."""
        for orders in sends:
            for grant in orders.grants:
                if grant.lease not in self._granted:  # they are repeated until they are confirmed
                    made = Granted(grant.job, orders.site, grant.start, grant.stop, time.time_ns())
                    self._granted[grant.lease] = made
                    if self._spans is not None:
                        self._spans.granted(grant.lease, made, grant.attempts)
        if type(event) is Hear:
            for note in event.report.notes:
                if type(note) is EndNote and note.lease not in self._home.leases:
                    self._over(note.lease, "lost" if note.lost else "")
        much = len(self._granted) > 2 * len(self._home.leases) + _SLACK
        if much or type(event) is Tick or type(event) is Withdraw:
            for lease in [each for each in self._granted if each not in self._home.leases]:
                self._over(lease, "silent")

    def _over(self, lease: LeaseId, why: str) -> None:
        granted = self._granted.pop(lease, None)
        if granted is not None and self._spans is not None:
            self._spans.over(lease, why)

    def close(self) -> None:
        """Nothing more comes."""
        if self._spans is not None:
            self._spans.close()
