"""One work on its way through workers: how far it is, and who failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hanse.engines.port import End, Timer, Work

if TYPE_CHECKING:
    from hanse.engines.local.process import Process


class Execution:
    """A work that runs. It outlives its worker: what was not reported runs on the next one."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.lease = work.lease
        self.run = 0  # number of the current try
        self.position = work.start  # everything before it is reported
        self.stop = work.stop
        self.begin = work.start  # where the current worker began
        self.until = work.stop  # how far the current worker runs
        self.omit: set[int] = set()  # reported as failed although items before them are not
        self.careful_until = work.start  # items before this run one by one
        self.cuts: list[int] = []  # asked and not answered
        self.cancelled = False
        self.starts_failed = 0  # in a row, without any progress
        self.process: Process | None = None
        self.timer: Timer | None = None
        self.memory_before: int | None = None
        self.memory_seen = 0  # the most that main saw of the worker in this try

    def advance(self) -> None:
        """Step over items whose failure is reported already."""
        while self.position in self.omit:
            self.omit.discard(self.position)
            self.position += 1

    @property
    def end(self) -> End | None:
        """How it has ended, if no item of it is to run any more."""
        if self.cancelled:
            return End.CANCELLED
        return End.DONE if self.position >= self.stop else None

    def reported(self, stop: int) -> None:
        """Everything before `stop` is reported."""
        self.position = stop
        self.starts_failed = 0
        self.advance()

    def quiet(self) -> None:
        """Cancel the timer that looks at time and memory."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
