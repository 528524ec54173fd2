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
from hanse.sim.checks import items
from hanse.sim.checks.items import Items
from hanse.sim.plan import RUN_BITS
from hanse.sim.world import require

if TYPE_CHECKING:
    from hanse.sim.checks.watch import Watch
    from hanse.sim.engine import Run
    from hanse.sim.site import HomeLink

_OVERFULL = 2
"""An agent holds at most so many times what it has room for: a home that takes back a grant which
is on its way may fill the place before the grant arrives and is cancelled."""


class Truth:
    """For one home."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.links: list[HomeLink] = []
        self.done: dict[LeaseId, Items] = {}
        self.folds: dict[LeaseId, set[tuple[int, int]]] = {}
        self.failed_under: dict[tuple[JobId, int, LeaseId], Cause] = {}
        self._started: set[tuple[str, int, LeaseId]] = set()
        self._orders_seen: dict[tuple[str, int], int] = {}
        self._room: Counter[tuple[str, int]] = Counter()  # notes that its leases may bring
        self._acknowledged: dict[tuple[str, int], dict[int, int]] = {}  # in orders, by number

    # --- what engines say -----------------------------------------------------------------------
    def finished(self, run: Run, start: int, stop: int) -> None:
        if run.plan.folded:
            self.folds.setdefault(run.lease, set()).add((start, stop))
        else:
            done = self.done.get(run.lease, items.NONE)
            self.done[run.lease] = done | items.span(start, stop)

    def failed(self, run: Run, item: int, cause: Cause) -> None:
        if cause is Cause.DEPENDENCY:
            return  # it has not begun
        self.failed_under[run.job, item, run.lease] = cause

    def started(self, link: HomeLink, incarnation: int, run: Run) -> None:
        """A lease began: at the process that it was granted to, and once."""
        site = link.site
        require(incarnation == site.incarnation, "orders for a dead process:", run.lease)
        require(not link.agent.leaving, "begun at a site that leaves:", run.lease)
        key = (site.name, site.incarnation, run.lease)
        require(key not in self._started, "started twice:", key)
        self._started.add(key)
        require(self._watch.granted_to(run.lease) == key[:2], "granted to another:", key)

    # --- what is said to agents -----------------------------------------------------------------
    def granted(self, site: str, incarnation: int, count: int) -> None:
        """A lease of so many items: each brings a note at most, and so does its end."""
        self._room[site, incarnation] += count + 1

    def ordered(self, site: str, incarnation: int, seq: int, notes_seen: int) -> None:
        """Two runs of a home may use one number, and only one of them is followed."""
        said = self._acknowledged.setdefault((site, incarnation), {})
        said[seq] = min(notes_seen, said.get(seq, notes_seen))

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
            durable = account.settled | account.reopened
            if isinstance(note, FailureNote):
                there = durable & items.one(note.item)
                there = there or (note.item, note.lease) in account.attempted
                require(there, "acknowledged, and not durable:", note)
            elif not note.folded:
                there = not items.span(note.start, note.stop) & ~durable
                require(there, "acknowledged, and not durable:", note)

    def look(self, link: HomeLink) -> None:
        """An agent that has just followed orders."""
        agent, key = link.agent, (link.site.name, link.site.incarnation)
        seen = agent._orders_seen
        require(seen >= self._orders_seen.get(key, 0), "followed old orders:", key)
        self._orders_seen[key] = seen
        said = self._acknowledged.get(key, {})
        require(agent._first_note > said.get(seen, 0), "notes are kept in vain:", key)
        for seq in [seq for seq in said if seq < seen]:
            del said[seq]
        count = agent._first_note - 1 + len(agent._notes)
        require(count <= self._room[key], "more notes than leases can bring:", key, count)
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
            done = self.done.get(fact.lease, items.NONE)
            there = not items.span(fact.start, fact.stop) & ~done
            require(there, "committed, and never finished under that lease:", fact)

    def failed_there(self, fact: AttemptFailed | ItemsFailed, item: int) -> None:
        """An attempt of the item failed so, under that lease."""
        if fact.lease is not None:
            cause = self.failed_under.get((fact.job, item, fact.lease))
            require(cause is fact.cause, "an attempt failed that never was:", fact)

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
