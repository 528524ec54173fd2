"""What a job is, as far as scheduling goes. The code and the data are payloads, elsewhere."""

from __future__ import annotations

import enum

import msgspec

from hanse.model.aims import Aims
from hanse.model.fit import Requires
from hanse.model.resources import ONE_CPU, Amount


class JobState(enum.StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self is not JobState.RUNNING


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a job asks of its home. Never changes once the job is submitted."""

    name: str
    needs: Amount = msgspec.field(default=ONE_CPU)  # of one item while it runs
    retries: int = 0  # further attempts of an item that raised, timed out or ran out of memory
    fail_fast: bool = True  # the first item that fails for good ends the job
    weight: int = 1  # share of a site beside other jobs
    total: int | None = None  # how many items will come, where that is known
    requires: Requires = Requires()  # of the Python that runs it
    durable: bool = False  # its facts are recorded, and acknowledged only then
    aims: Aims | None = None  # what it asks of the places where it runs; None: nothing

    @property
    def function(self) -> str:
        """What it calls, by name."""
        return self.requires.function or self.name
