"""A site's side of its talk with one home: the agent, and the engine that it keeps busy.

It decides nothing. What the engine says becomes the agent's notes, with their values beside; what
the home orders becomes the engine's work. Everything here runs on the loop's thread.
"""

from __future__ import annotations

from typing import Protocol

from hanse.core.agent import Agent, CancelLease, Command, CutLease, StartLease
from hanse.core.messages import Grant, Orders, Report
from hanse.engines import port
from hanse.model.failure import Cause
from hanse.runtime.loop import Loop, Timer
from hanse.runtime.reported import Reported


class Upstream(Protocol):
    """The home, as a site sees it."""

    def may_report(self) -> bool:
        """Whether it can take a report now; if not, it calls `Seat.go_on` when it can."""

    def report(self, report: Report) -> None:
        """Carry this there, with the values of its notes; it may be lost."""

    def work(self, grant: Grant) -> port.Work | None:
        """The work that a grant stands for. None: it cannot be had, and the lease is given back."""


class Seat:
    """
    Attributes:
        reported: the values of notes that the home has not decided on.
    """

    engine: port.Engine

    def __init__(self, loop: Loop, agent: Agent, upstream: Upstream, reported: Reported) -> None:
        self.agent = agent
        self.reported = reported
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
            self._upstream.report(self.agent.report(self._loop.now_ns(), self.engine.begun))
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

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case StartLease(grant):
                    work = self._upstream.work(grant)
                    if work is not None:
                        self.engine.start(work)
                    else:
                        self._do(self.agent.ended(grant.lease, self._loop.now_ns()))
                case CutLease(lease, stop):
                    self.engine.cut(lease, stop)
                case CancelLease(lease):
                    self.engine.cancel(lease)

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
            case port.Ended(lease, end, because):
                lost = because or "lost" if end is port.End.LOST else ""
                self._do(agent.ended(lease, self._loop.now_ns(), lost))
            case port.Cut(lease, stop):
                agent.cut(lease, stop)
        self.pump_soon()
