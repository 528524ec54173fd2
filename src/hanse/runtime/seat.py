"""A site's side of its talk with one home: the agent, and the engine that it keeps busy.

It decides nothing. What the engine says becomes the agent's notes, with their values beside; what
the home orders becomes the engine's work. Everything here runs on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from hanse.core.agent import Agent, CancelLease, Command, CutLease, PrepareLease, StartLease
from hanse.core.messages import Grant, Orders, Report
from hanse.engines import port
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.model.resources import Amount
from hanse.runtime.loop import Loop, Timer


class Upstream(Protocol):
    """The home, as a site sees it."""

    def may_report(self) -> bool:
        """Whether it can take a report now; if not, it calls `Seat.go_on` when it can."""

    def report(self, report: Report) -> None:
        """Carry this there, with the values of its notes; it may be lost."""

    def prepare(self, grant: Grant) -> None:
        """This lease starts soon: what it needs may be fetched."""

    def work(self, grant: Grant, have: Callable[[port.Work | None, str], None]) -> None:
        """Call back, now or later, with the work that a grant stands for. None: it cannot be had,
        for the reason that comes with it, or because it is not wanted any more."""


class Values(Protocol):
    """Takes the values of notes, each just before the agent makes the note."""

    def segment(self, segment: port.Segment) -> None: ...
    def failed(self, job: JobId, event: port.ItemFailed) -> None: ...
    def saved(self, job: JobId, event: port.Saved) -> None:
        """What an item keeps for a later attempt: no note's value, and it may be lost."""


class _Fetched:
    """A lease that has begun, and whose work is on its way."""

    __slots__ = ("cancelled", "stop")

    def __init__(self, stop: int) -> None:
        self.stop = stop
        self.cancelled = False


class Seat:
    """
    Attributes:
        reported: the values of notes that the home has not decided on.
        changed: called when what runs here for this home may take more or less.
    """

    engine: port.Engine
    changed: Callable[[], None] | None = None

    def __init__(self, loop: Loop, agent: Agent, upstream: Upstream, reported: Values) -> None:
        self.agent = agent
        self.reported = reported
        self._fetched: dict[LeaseId, _Fetched] = {}
        self._loop = loop
        self._upstream = upstream
        self._pumping = False
        self.held_back = False  # no reports for now
        self._timer: Timer | None = None

    # --- to the home ----------------------------------------------------------------------------
    def pump_soon(self) -> None:
        """Report once for all that this turn of the loop brings."""
        if self.agent.has_news and not self._pumping:
            self._pumping = True
            self._loop.post(self.pump)

    def pump(self) -> None:
        self._pumping = False
        if not self._upstream.may_report():
            self.held_back = True
        elif not self.held_back:
            self._upstream.report(self.agent.report(self._loop.now_ns(), self._begun))
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self.agent.report_due_ns, self.pump)

    def hold_back(self, until_ns: int) -> None:
        """Report nothing before that, so that no other lease comes."""
        self.held_back = True
        self._loop.call_at(until_ns, self.go_on)

    def go_on(self) -> None:
        """Report, if that was held back."""
        if self.held_back:
            self.held_back = False
            self.pump()

    # --- from the home --------------------------------------------------------------------------
    def ordered(self, orders: Orders) -> None:
        self._do(self.agent.follow(orders, self._loop.now_ns()))

    def resize(self, capacity: Amount) -> None:
        """This much is the home's from now on. What runs beyond that ends after its present item,
        the latest lease first."""
        self.agent.resize(capacity)
        over = self.agent.used
        for grant in self.agent.running:
            if capacity.fits(over):
                break
            over = over.minus(grant.needs)
            if grant.lease not in self._fetched:
                self.engine.cut(grant.lease, self.engine.begun(grant.lease))
        self.pump_soon()

    def leave(self, why: str, left_ns: int) -> None:
        """This machine is taken away in so long: what has not begun is given back now, the rest
        ends by itself, or shortly before."""
        for lease in list(self._fetched):  # nothing of these has begun
            del self._fetched[lease]
            self._do(self.agent.ended(lease, self._loop.now_ns()))
        self._do(self.agent.leave(why, self._loop.now_ns(), left_ns))
        self.pump_soon()
        self._loop.call_at(self.agent.leaves_ns, self._hurry)

    def _hurry(self) -> None:
        self._do(self.agent.hurry())

    def close(self) -> None:
        """Give back all that the home has granted so far. What it grants later is run."""
        self.agent.give_back()
        for fetched in self._fetched.values():
            fetched.cancelled = True
        self.engine.close()
        self.pump_soon()

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case StartLease(grant):
                    self._fetched[grant.lease] = _Fetched(grant.stop)
                    self._upstream.work(grant, partial(self._start, grant))
                case PrepareLease(grant):
                    self._upstream.prepare(grant)
                case CutLease(lease, stop) if lease in self._fetched:
                    self._fetched[lease].stop = stop
                case CutLease(lease, stop):
                    self.engine.cut(lease, stop)
                case CancelLease(lease) if lease in self._fetched:
                    self._fetched[lease].cancelled = True
                case CancelLease(lease):
                    self.engine.cancel(lease)
        if commands and self.changed is not None:
            self.changed()

    def _start(self, grant: Grant, work: port.Work | None, because: str) -> None:
        """The work of a lease is here, or cannot be had."""
        asked = self._fetched.pop(grant.lease, None)
        if asked is None:
            return  # it was given back
        if work is None or asked.cancelled or asked.stop <= grant.start:
            self._do(self.agent.ended(grant.lease, self._loop.now_ns(), because))
            self.pump_soon()
            return
        self.engine.start(work)
        if asked.stop < work.stop:
            self.engine.cut(grant.lease, asked.stop)

    def _begun(self, lease: LeaseId) -> int:
        return 0 if lease in self._fetched else self.engine.begun(lease)

    # --- from the engine ------------------------------------------------------------------------
    def engine_says(self, event: port.Event) -> None:
        """The engine's events become the agent's notes; payloads and details stay here."""
        agent = self.agent
        if type(event) is port.Segment:  # what comes most often
            self.reported.segment(event)
            agent.segment(event.lease, event.start, event.stop, event.busy_ns, event.folded)
            self.pump_soon()
            return
        match event:
            case port.ItemFailed(lease, item, failure, busy_ns):
                if failure.cause is not Cause.DEPENDENCY:  # else it will run, or is told why not
                    self.reported.failed(agent.job_of(lease), event)
                agent.item_failed(lease, item, failure.cause, busy_ns)
            case port.Saved(lease):
                self.reported.saved(agent.job_of(lease), event)
            case port.Ended(lease, end, because):
                lost = because or "lost" if end is port.End.LOST else ""
                self._do(agent.ended(lease, self._loop.now_ns(), lost))
                if self.changed is not None:
                    self.changed()
            case port.Cut(lease, stop):
                agent.cut(lease, stop)
            case port.Building(environments, failed):
                agent.builds(environments, failed)
            case port.Waiting(works):
                agent.waits(works)
        self.pump_soon()
