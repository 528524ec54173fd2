"""What a runtime needs from whoever submits a job: its inputs, and an ear for its results.

The core knows items as numbers. Behind the numbers stands a `Source`, which the client makes: it
turns a grant into work for the engine and takes what was committed. All of it is called on the
loop's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from hanse.core.events import Fact, Timed
from hanse.core.messages import Grant
from hanse.engines.port import Program, Work
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.payloads.payload import Payload

if TYPE_CHECKING:
    from hanse.journal.port import Head
    from hanse.records.program import ProgramRecord
    from hanse.records.record import JobRecord, Kept
    from hanse.runtime.outcome import Outcome


class Source(Protocol):
    program: Program

    def work(self, grant: Grant) -> Work:
        """The work that the grant stands for."""

    def grown(self, size: int) -> Payload:
        """The inputs that came last, when the job grew to this size; for who records or sends
        them."""

    def committed(
        self, start: int, stop: int, payload: Payload | Kept, first: int | None, kept: Kept | None
    ) -> None:
        """The items `start` to `stop` are done. Their results are in the payload from its value
        number `first` on; with None the payload holds one value, the fold of them all. `kept` is
        where the same payload can be read again, if the job is durable."""

    def failed(self, start: int, stop: int, failure: Failure) -> None:
        """These items failed for good."""

    def ended(self, state: JobState, error: BaseException | None) -> None:
        """The job is over; nothing more will come. `error`: the runtime broke under it."""

    def why(self) -> list[str]:
        """What the client's side of the job waits for, in words."""


class DurableSource(Source, Protocol):
    """A source whose job is recorded."""

    def decided(self, start: int, stop: int, payload: Payload, first: int | None) -> None:
        """The items are done, though that is not recorded yet: items that wait for them may run."""

    def written(self, outcome: Outcome) -> None:
        """This is durable, with its entry; the next call, if its fact says more, is about the same.
        They come in their order, each once."""

    fold_print: bytes  # what folds results now: its fingerprint, as it is recorded


class NewProgram(msgspec.Struct, frozen=True, eq=False):
    """What a new job calls, to be recorded."""

    told: ProgramRecord
    function: Payload | None
    initializer: Payload | None = None


class Durable(msgspec.Struct, frozen=True, eq=False):
    """What makes a job durable: its place in the journal, which this process holds.

    A new job has a `program` to record and no facts; one that is resumed has them, and is open
    again (see `core.events.Resume`) if `again` is set."""

    head: Head
    run: int
    program: NewProgram | None = None
    facts: Sequence[Fact] = ()
    again: bool = False
    timed: Sequence[Timed] = ()  # segments of earlier runs

    @classmethod
    def of(cls, record: JobRecord, run: int, again: bool) -> Durable:
        """Of a job that goes on from its record."""
        return cls(record.head, run, None, record.facts, again, list(record.timed))
