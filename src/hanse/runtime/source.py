"""What a runtime needs from whoever submits a job: its inputs, and an ear for its results.

The core knows items as numbers. Behind the numbers stands a `Source`, which the client makes: it
turns a grant into work for the engine and takes what was committed. All of it is called on the
loop's thread.
"""

from __future__ import annotations

from typing import Protocol

from hanse.core.messages import Grant
from hanse.engines.port import Work
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.payloads.payload import Payload


class Source(Protocol):
    def work(self, grant: Grant) -> Work:
        """The work that the grant stands for."""

    def committed(self, start: int, stop: int, payload: Payload, first: int | None) -> None:
        """The items `start` to `stop` are done. Their results are in the payload from its value
        number `first` on; with None the payload holds one value, the fold of them all."""

    def failed(self, start: int, stop: int, failure: Failure) -> None:
        """These items failed for good."""

    def ended(self, state: JobState, error: BaseException | None) -> None:
        """The job is over; nothing more will come. `error`: the runtime broke under it."""
