"""What a client needs of the place where its jobs run: this process's runtime, or a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from hanse.core.events import Event, Grow, Timed
    from hanse.ids import JobId
    from hanse.journal.port import Head
    from hanse.model.account import Account
    from hanse.model.aims import Aims
    from hanse.model.data import Lies
    from hanse.model.failure import Failure
    from hanse.model.job import JobSpec
    from hanse.model.quote import Quote
    from hanse.model.resources import Amount
    from hanse.payloads.payload import Payload
    from hanse.records.state import Records
    from hanse.runtime.source import Durable, DurableSource, NewProgram, Source

T = TypeVar("T")


class Posts(Protocol):
    def post(self, callback: Callable[[], None]) -> None:
        """Run the callback on the loop's thread soon."""


class Claims(Protocol):
    """Named jobs, as far as they are held for one program."""

    def create(self, head: Head, older: JobId | None, spec: JobSpec, program: NewProgram) -> int:
        """Make a new job and take it; `older` has had its name. Returns the run number. Raises
        NameTaken if another job has it by now, JobBusy, JournalError."""

    def claim(self, job: JobId) -> int:
        """Take a recorded job. Raises JobBusy, JournalError."""

    def unclaim(self, job: JobId, run: int) -> None:
        """Give a job back that nothing was begun with."""


class Runner(Protocol):
    """Methods may be called from any thread unless they say otherwise."""

    capacity: Amount
    place: str  # where jobs run, for people
    url: str  # of the node that does the work; empty: this program does
    keeps_inputs: bool  # inputs are kept elsewhere, so they may be read ahead of results
    initializer_failure: Failure | None

    @property
    def loop(self) -> Posts: ...
    @property
    def durables(self) -> Claims: ...

    def code(self, look: bool = True) -> str:
        """The name of the program's own modules as they are now, if they have to be sent to where
        its jobs run; else empty. Without `look`, as they were when the last one was imported.
        Raises UsageError if they are too many."""

    def show_prints(self, job: JobId, again: bool) -> None:
        """What the items of a job print comes to this program's stdout and stderr, from its
        beginning, or from now on if it ran before. Told before the job is submitted or watched."""

    def submit(self, job: JobId, spec: JobSpec, source: Source) -> None:
        """Start a job whose inputs and results pass through `source`."""

    def submit_durable(
        self, job: JobId, spec: JobSpec, source: DurableSource, durable: Durable
    ) -> None:
        """The same, or go on with a job of an earlier run, that `durables` has claimed."""

    def watch(self, job: JobId, source: DurableSource, first: int) -> bool:
        """Tell the source what is recorded of a job from entry `first` on, while others feed it.
        False if that cannot be done here, or if nobody runs it."""

    def records(self) -> Records:
        """Where named jobs are recorded. Raises JournalError if that cannot be used."""

    def leave(self, job: JobId, error: BaseException) -> None:
        """Stop caring for a durable job; whoever waits for it gets the error."""

    def grow(self, event: Grow, broken: Mapping[int, Failure] = {}) -> None:
        """Tell of further items; `broken` are those whose arguments cannot travel, and why."""

    def handle(self, event: Event) -> None:
        """The same as `tell`, at once. For the loop's thread."""

    def tell(self, event: Event) -> None:
        """Hand the home an event."""

    def refold(self, job: JobId, function: Payload, fingerprint: bytes) -> None:
        """The job's results are folded from now on."""

    def reasons(self, job: JobId) -> list[str]:
        """What the job waits for."""

    def cost(self, job: JobId) -> float | None:
        """What it has cost so far; None: that is not known any more, or not counted."""

    def account(self, job: JobId) -> Account | None:
        """The same by site, and what is expected; None: that is not known, or not counted."""

    def quote(
        self,
        spec: JobSpec,
        timed: Sequence[Timed],
        aims: Sequence[Aims],
        of: JobId | None = None,
        data: Sequence[Lies] = (),
    ) -> Quote:
        """See `hanse.core.quoting.quote`. Nothing is submitted."""

    def running(self, job: JobId) -> int:
        """How many of the job's items are out to sites."""

    def wanted(self, job: JobId) -> int:
        """How many of its items it takes to keep all slots busy; 0: that is not known. For the
        loop's thread."""

    def check_can_wait(self) -> None:
        """Raises UsageError on the loop's thread, which nothing may wait on."""

    def retire(self, then: Callable[[], None]) -> None:
        """Close as soon as no job is left, and then call back on the loop's thread."""

    def close(self, timeout_s: float = 10) -> None:
        """Let go of everything. May be called again."""
