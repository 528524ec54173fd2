"""What the engines of all sites really did for one home: what they finished, what failed there, and
what they run now. No home and no agent can see this; facts are held against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hanse.core.events import AttemptFailed, ItemsFailed, SegmentCommitted
from hanse.core.messages import EndNote, FailureNote, Note
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.model.ranges import RangeSet
from hanse.sim.plan import RUN_BITS
from hanse.sim.world import require

if TYPE_CHECKING:
    from hanse.sim.checks.watch import Watch
    from hanse.sim.engine import Run
    from hanse.sim.site import HomeLink

_NOTES = 4000
"""Notes that an agent may keep while nobody acknowledges them: all that its leases can bring."""

_OVERFULL = 2
"""An agent holds at most so many times what it has room for: a home that takes back a grant which
is on its way may fill the place before the grant arrives and is cancelled."""


class Truth:
    """For one home."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.links: list[HomeLink] = []
        self.done: dict[LeaseId, RangeSet] = {}
        self.folds: dict[LeaseId, set[tuple[int, int]]] = {}
        self.failures: Counter[tuple[JobId, int]] = Counter()
        self.deaths: Counter[tuple[JobId, int]] = Counter()
        self.failed_under: set[tuple[JobId, int, LeaseId]] = set()
        self._started: set[tuple[str, int, LeaseId]] = set()
        self._orders_seen: dict[tuple[str, int], int] = {}

    # --- what engines say -----------------------------------------------------------------------
    def finished(self, run: Run, start: int, stop: int) -> None:
        if run.plan.folded:
            self.folds.setdefault(run.lease, set()).add((start, stop))
        else:
            self.done.setdefault(run.lease, RangeSet()).add(start, stop)

    def failed(self, run: Run, item: int, cause: Cause) -> None:
        if cause is Cause.DEPENDENCY:
            return  # it has not begun
        count = self.deaths if cause is Cause.DIED else self.failures
        count[run.job, item] += 1
        self.failed_under.add((run.job, item, run.lease))

    def started(self, link: HomeLink, incarnation: int, run: Run) -> None:
        """A lease began: at the process that it was granted to, and once."""
        site = link.site
        require(incarnation == site.incarnation, "orders for a dead process:", run.lease)
        key = (site.name, site.incarnation, run.lease)
        require(key not in self._started, "started twice:", key)
        self._started.add(key)
        require(self._watch.granted_to(run.lease) == key[:2], "granted to another:", key)

    # --- what agents do -------------------------------------------------------------------------
    def acknowledged(self, notes: Sequence[Note]) -> None:
        """What an agent need not say again is on the home's disk, or the job has ended there."""
        for note in notes:
            if isinstance(note, EndNote):
                continue
            if isinstance(note, FailureNote) and note.cause is Cause.DEPENDENCY:
                continue  # nothing comes of it that has to be recorded
            account = self._watch.durable.jobs.get(note.job)
            if account is None or account.over or not self._watch.keeps(note.job):
                continue
            last = note.item if isinstance(note, FailureNote) else note.stop - 1
            if last >= account.size or self._watch.born(note.job, last) > note.lease >> RUN_BITS:
                continue  # a crash took the item back before its growth was recorded
            if isinstance(note, FailureNote):
                there = note.item in account.settled or (note.item, note.lease) in account.attempted
                require(there, "acknowledged, and not durable:", note)
            elif not note.folded:
                there = account.settled.covers(note.start, note.stop)
                require(there, "acknowledged, and not durable:", note)

    def look(self, link: HomeLink) -> None:
        """An agent that has just followed orders."""
        agent, key = link.agent, (link.site.name, link.site.incarnation)
        require(agent._orders_seen >= self._orders_seen.get(key, 0), "followed old orders:", key)
        self._orders_seen[key] = agent._orders_seen
        require(len(agent._notes) <= _NOTES, "an agent keeps too many notes:", key)
        held = sum(run.plan.cpus for run in link.engine.runs.values())
        require(held <= _OVERFULL * link.site.plan.cpus, "an agent holds too much:", key, held)
        started = [lease for lease, one in agent._held.items() if not one.queued]
        require(started == list(link.engine.runs), "agent and engine differ:", key)

    # --- what homes decide ----------------------------------------------------------------------
    def committed(self, fact: SegmentCommitted, folded: bool) -> None:
        if folded:
            there = (fact.start, fact.stop) in self.folds.get(fact.lease, ())
            require(there, "a part of a folded value, or none:", fact)
        else:
            done = self.done.get(fact.lease)
            there = done is not None and done.covers(fact.start, fact.stop)
            require(there, "committed, and never finished under that lease:", fact)

    def attempted(self, fact: AttemptFailed) -> None:
        there = (fact.job, fact.item, fact.lease) in self.failed_under
        require(there, "an attempt failed that never was:", fact)

    def gave_up(self, fact: ItemsFailed, retries: int, crashes: int) -> None:
        """An item failed for good: as often as it should have been tried, at least."""
        key = (fact.job, fact.start)
        if fact.cause is Cause.DIED:
            require(self.deaths[key] >= crashes, "given up too early:", fact)
        elif fact.cause in (Cause.RAISED, Cause.TIMEOUT, Cause.MEMORY):
            require(self.failures[key] > retries, "given up too early:", fact)
        elif fact.cause is Cause.DEPENDENCY:
            require(fact.needed is not None, "given up, though nothing that it needs is:", fact)

    def attempts(self, job: JobId, item: int) -> int:
        return self.failures[job, item] + self.deaths[job, item]

    def running(self, job: JobId, start: int, stop: int) -> list[tuple[HomeLink, Run]]:
        """Who runs items of these now."""
        found = []
        for link in self.links:
            if not link.site.up:
                continue
            for run in link.engine.runs.values():
                if run.job == job and not run.cancelled and run.at < stop and start < run.stop:
                    found.append((link, run))
        return found
