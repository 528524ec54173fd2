"""A fact with the values that it is about, on its way to the journal and to clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hanse.core.events import Fact, JobResumed, JobSpent, JobSubmitted

if TYPE_CHECKING:
    from hanse.journal.port import Entry
    from hanse.model.failure import Failure
    from hanse.model.usage import Usage
    from hanse.payloads.payload import Payload
    from hanse.records.record import Kept
    from hanse.runtime.source import NewProgram


class Outcome(msgspec.Struct, eq=False):
    fact: Fact
    payload: Payload | None = None
    first: int | None = 0  # the number of the first value that counts; None: a fold
    fold: bytes = b""  # what folded it, if that matters
    failure: Failure | None = None
    usage: Usage | None = None
    program: NewProgram | None = None  # instead of a payload
    kept: Kept | None = None  # where the payload is, once it is recorded
    recorded: bool = False
    site: str = ""  # whose report it comes from; empty: nobody's
    at_ns: int = 0  # when it was decided, since 1970
    since_ns: int | None = None  # when the lease that it comes of was granted, if that is known
    busy_ns: int = 0  # spent in the items of a segment
    entry: Entry | None = None  # as it was recorded

    @property
    def dated_ns(self) -> int:
        """When the fact was decided, of one that says a moment; else 0."""
        return self.at_ns if isinstance(self.fact, JobSubmitted | JobResumed | JobSpent) else 0

    @property
    def nbytes(self) -> int:
        """About what it takes while it waits."""
        return self.payload.nbytes if self.payload is not None else 256
