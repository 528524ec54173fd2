"""Agent: keeps one site busy. Holds leases, reports segments, follows orders.

A lease that does not fit into what is free waits in line, and starts when those before it have
ended: so a site far from its home has its next lease at hand.

The runtime tells it what the engine did and hands it the home's orders; it answers with commands
for the engine, and with a report whenever there is something to say. Notes are kept until the home
has acknowledged them, so a report may be lost; grants are known by their id, so orders may repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from hanse import limits
from hanse.core.messages import (
    EndNote,
    FailureNote,
    Grant,
    Note,
    Orders,
    Report,
    Running,
    SegmentNote,
)
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.resources import Amount


class PrepareLease(msgspec.Struct, frozen=True):
    """It waits in line, and starts soon: have at hand what it needs."""

    grant: Grant


class StartLease(msgspec.Struct, frozen=True):
    grant: Grant


class CutLease(msgspec.Struct, frozen=True):
    lease: LeaseId
    stop: int


class CancelLease(msgspec.Struct, frozen=True):
    lease: LeaseId


Command = PrepareLease | StartLease | CutLease | CancelLease


class _Held:
    """A lease that the engine runs, or that waits in line."""

    __slots__ = ("busy_ns", "cancelled", "cut_to", "grant", "queued", "started_ns", "stop")

    def __init__(self, grant: Grant, now_ns: int) -> None:
        self.grant = grant
        self.stop = grant.stop
        self.cut_to = grant.stop
        self.started_ns = now_ns
        self.busy_ns = 0
        self.cancelled = False
        self.queued = True


class Agent:
    """One site's side of the talk with one home.

    Args:
        strict: run nothing beyond the capacity, whatever the home grants. Otherwise what comes
            first in line starts if nothing runs.
    """

    def __init__(
        self, site: SiteId, incarnation: int, capacity: Amount, strict: bool = False
    ) -> None:
        self.site = site
        self._strict = strict
        self.incarnation = incarnation
        self.capacity = capacity
        self._free = capacity  # without what is queued
        self._line: dict[LeaseId, _Held] = {}  # the held ones that are queued, in their order
        self._held: dict[LeaseId, _Held] = {}
        self._last_lease = 0  # the highest ever granted: orders repeat, so all below are known
        self._notes: list[Note] = []
        self._first_note = 1  # number of the first note that is kept
        self._ended: dict[int, Running] = {}  # by the number of the note that is their end
        self._seq = 0
        self._orders_seen = 0
        self._news = True  # the first report says hello
        self._due_ns = 0
        self._every_ns = limits.REPORT_EVERY_NS  # as the last orders ask
        self._followed_ns = 0
        self._environments: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self.leaving = ""  # why the site is being taken away; it takes no work any more
        self.leaves_ns = 0  # when what still runs then is cancelled
        self._waits: dict[LeaseId, str] = {}

    # --- from the home --------------------------------------------------------------------------
    def follow(self, orders: Orders, now_ns: int) -> list[Command]:
        """Follow orders, unless they are old or meant for an earlier incarnation."""
        if orders.incarnation != self.incarnation or orders.seq <= self._orders_seen:
            return []
        self._orders_seen = orders.seq
        self._followed_ns = now_ns
        acknowledged = orders.notes_seen - self._first_note + 1
        if acknowledged > 0:
            del self._notes[:acknowledged]
            self._first_note += acknowledged
            while self._ended and (first := next(iter(self._ended))) < self._first_note:
                del self._ended[first]
        known, fresh = self._last_lease, []
        for grant in orders.grants:
            if grant.lease > known:
                fresh.append(grant)
                self._held[grant.lease] = self._line[grant.lease] = _Held(grant, now_ns)
                self._last_lease = max(self._last_lease, grant.lease)
        commands: list[Command] = []
        for cut in orders.cuts:
            held = self._held.get(cut.lease)
            if held is not None and cut.stop < held.cut_to:
                held.cut_to = cut.stop
                if held.queued:
                    self._cut_queued(held, cut.stop)
                else:
                    commands.append(CutLease(cut.lease, cut.stop))
        for lease in orders.cancels:
            held = self._held.get(lease)
            if held is not None and not held.cancelled:
                held.cancelled = True
                if held.queued:
                    self._drop_queued(held)
                else:
                    commands.append(CancelLease(lease))
        self._every_ns = min(max(0, orders.report_after_ns), limits.REPORT_EVERY_NS)
        self._due_ns = now_ns + self._every_ns
        if self._strict:
            for grant in fresh:
                if grant.lease in self._line and not self._may_run(grant):
                    self._drop_queued(self._line[grant.lease])
        if self.leaving:
            self.give_back()
        if not self._line:
            return commands
        started = self._start_next(now_ns)
        waiting = [PrepareLease(grant) for grant in fresh if grant.lease in self._line]
        return started + waiting + commands

    def _may_run(self, grant: Grant) -> bool:
        """It asks for something, and for no more than there is; what an honest home granted before
        it heard of less is given back too."""
        amounts = grant.needs.each()
        return (
            0 <= grant.start < grant.stop
            and min(amounts) >= 0
            and any(amounts)
            and self.capacity.fits(grant.needs)
        )

    def _start_next(self, now_ns: int) -> list[Command]:
        """Start what comes next in line, while it fits."""
        commands: list[Command] = []
        while self._line:
            lease, held = next(iter(self._line.items()))
            grant = held.grant
            runs = len(self._held) > len(self._line)
            if not self._free.fits(grant.needs) and (runs or self._strict):
                break
            del self._line[lease]
            held.queued, held.started_ns = False, now_ns
            self._free = self._free.minus(grant.needs)
            if held.stop < grant.stop:
                grant = msgspec.structs.replace(grant, stop=held.stop)
            commands.append(StartLease(grant))
        return commands

    def leave(self, why: str, now_ns: int, left_ns: int) -> list[Command]:
        """The site is taken away in `left_ns`: every lease ends in front of what has not begun, and
        none begins. What has begun may end until `leaves_ns`, see `hurry`. Told again, the shorter
        time counts. It stays so: another process may work here again."""
        leaves_ns = now_ns + max(0, left_ns - min(limits.EVICTION_REPORT_NS, left_ns // 4))
        if self.leaving:
            self.leaves_ns = min(self.leaves_ns, leaves_ns)
            return []
        self.resize(Amount())
        self.leaving, self.leaves_ns = why, leaves_ns
        self.give_back()
        commands: list[Command] = []
        for lease, held in self._held.items():
            held.cut_to = held.grant.start
            if not held.cancelled:
                commands.append(CutLease(lease, held.grant.start))
        return commands

    def hurry(self) -> list[Command]:
        """The site is about to be gone: what still runs is cancelled, while that can be told."""
        commands: list[Command] = []
        for lease, held in self._held.items():
            if not held.cancelled:
                held.cancelled = True
                commands.append(CancelLease(lease))
        return commands

    @property
    def left(self) -> bool:
        """It has been told to leave, nothing runs, and the home has all that did, durably."""
        return bool(self.leaving) and not self._held and not self._notes and not self._news

    def give_back(self) -> None:
        """Nothing that waits in line shall run."""
        for held in list(self._line.values()):
            self._drop_queued(held)

    def _cut_queued(self, held: _Held, stop: int) -> None:
        held.stop = max(stop, held.grant.start)
        self._news = True
        if held.stop == held.grant.start:
            self._drop_queued(held)

    def _drop_queued(self, held: _Held) -> None:
        """Nothing of it has run, and nothing will."""
        del self._line[held.grant.lease], self._held[held.grant.lease]
        self._note_end(held, EndNote(held.grant.lease, 0, 0))

    # --- from the engine ------------------------------------------------------------------------
    def segment(
        self, lease: LeaseId, start: int, stop: int, busy_ns: int, folded: bool = False
    ) -> None:
        """Results of these items are held here."""
        held = self._held[lease]
        held.busy_ns += busy_ns
        self._note(SegmentNote(lease, held.grant.job, start, stop, busy_ns, folded))

    def item_failed(self, lease: LeaseId, item: int, cause: Cause, busy_ns: int) -> None:
        held = self._held[lease]
        held.busy_ns += busy_ns
        self._note(FailureNote(lease, held.grant.job, item, cause, busy_ns))

    def cut(self, lease: LeaseId, stop: int) -> None:
        """The lease ends at `stop` now."""
        held = self._held.get(lease)
        if held is not None and stop < held.stop:
            held.stop = stop
            self._news = True

    def ended(self, lease: LeaseId, now_ns: int, lost: str = "") -> list[Command]:
        """The engine is done with a lease; what it is to start in its place."""
        held = self._held.pop(lease)
        self._free = self._free.plus(held.grant.needs)
        self._note_end(held, EndNote(lease, now_ns - held.started_ns, held.busy_ns, lost))
        return self._start_next(now_ns) if self._line else []

    def resize(self, capacity: Amount) -> None:
        """The site has this much from now on: nothing, if it is about to be taken away. What runs
        goes on, and may be more than that for a while; what waits in line for more is given
        back. One that leaves has nothing, whatever it is told."""
        if self.leaving:
            return
        self._free = self._free.plus(capacity).minus(self.capacity)
        self.capacity = capacity
        self._news = True
        for held in list(self._line.values()):
            if not capacity.fits(held.grant.needs):
                self._drop_queued(held)

    def builds(self, building: Mapping[str, str], failed: Mapping[str, str]) -> None:
        """These environments are being built here, by name, with words on how far they are, and
        these cannot be for now, and why: no lease that needs one of them shall come."""
        if (building, failed) != self._environments:
            self._environments = dict(building), dict(failed)
            self._news = True

    def waits(self, leases: Mapping[LeaseId, str]) -> None:
        """Of these, which have begun, nothing runs now; with words on what they wait for."""
        if leases != self._waits:
            self._waits = dict(leases)
            self._news = True

    def _note(self, note: Note) -> None:
        self._notes.append(note)
        self._news = True

    def _note_end(self, held: _Held, note: EndNote) -> None:
        self._note(note)
        grant = held.grant
        ended = Running(grant.lease, grant.job, grant.start, held.stop, held.stop)
        self._ended[self.last_note] = ended

    def lose(self, number: int, because: str) -> None:
        """What this note is about is here no longer: its lease is given up in its place."""
        at = number - self._first_note
        self._notes[at] = EndNote(self._notes[at].lease, 0, 0, because)
        self._news = True

    def cut_off(self, report: Report, last: int) -> Report:
        """The report without the notes behind this one, which come with the next. The leases whose
        ends these are show as running until then, or else they would be run again."""
        ended = [running for number, running in self._ended.items() if number > last]
        notes = self._notes[: last - report.first_note + 1]
        return msgspec.structs.replace(report, notes=notes, running=report.running + ended)

    def job_of(self, lease: LeaseId) -> JobId:
        return self._held[lease].grant.job

    def holds(self, lease: LeaseId) -> bool:
        return lease in self._held

    @property
    def used(self) -> Amount:
        """What the leases that run here take."""
        return self.capacity.minus(self._free)

    @property
    def running(self) -> list[Grant]:
        """The leases that run here, the latest first."""
        started = [held.grant for held in self._held.values() if not held.queued]
        return started[::-1]

    @property
    def last_note(self) -> int:
        """The number of the last note."""
        return self._first_note + len(self._notes) - 1

    @property
    def acknowledged(self) -> int:
        """The number of the last note that the home has durably."""
        return self._first_note - 1

    # --- to the home ----------------------------------------------------------------------------
    @property
    def has_news(self) -> bool:
        return self._news

    @property
    def report_due_ns(self) -> int:
        """When to report though nothing has happened."""
        return self._due_ns

    def report(self, now_ns: int, begun: Callable[[LeaseId], int]) -> Report:
        """Say everything that the home has not acknowledged. `begun` asks the engine."""
        self._news = False
        self._seq += 1
        self._due_ns = now_ns + max(self._every_ns, limits.REPEAT_NS)  # if no answer comes
        free = self._free
        for held in self._line.values():
            free = free.minus(held.grant.needs)
        running = [self._running(held, begun) for held in self._held.values()]
        return Report(
            self.site,
            self.incarnation,
            self._seq,
            self._orders_seen,
            self.capacity,
            free,
            self._first_note,
            list(self._notes),
            running,
            now_ns - self._followed_ns,
            *self._environments,
            self.leaving,
        )

    def _running(self, held: _Held, begun: Callable[[LeaseId], int]) -> Running:
        grant = held.grant
        at = grant.start if held.queued else min(max(begun(grant.lease), grant.start), held.stop)
        waits = self._waits.get(grant.lease, "")
        return Running(grant.lease, grant.job, grant.start, at, held.stop, held.queued, waits)
