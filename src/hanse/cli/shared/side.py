"""What commands about jobs need of the place where the jobs are: this machine, or a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hanse.errors import NodeUnavailable
    from hanse.ids import JobId
    from hanse.journal.port import Head, Holder, Journal
    from hanse.records.logs import Piece
    from hanse.records.state import Blobs

    Lost = Callable[[NodeUnavailable], None]


class Side(Protocol):
    """Its journal and blobs are for reading (see `hanse.records.state.Records`). Methods wait, and
    raise JournalError; those of a node also NodeUnavailable and NotAllowed."""

    where: str  # behind "there is no such job": empty, or which node that is said of

    @property
    def journal(self) -> Journal: ...
    @property
    def blobs(self) -> Blobs: ...
    def code_directory(self, code: str) -> str:
        """See `hanse.records.state.Records`."""

    def holder(self, head: Head) -> Holder | None:
        """Who ran the job when its head was read. Costs no request to a node."""

    def look(self, job: JobId) -> tuple[Head | None, Holder | None]:
        """A job's head, and who runs it: what somebody wrote who let go of it is in the head."""

    def explain(self, head: Head) -> str | None:
        """What a job that is run waits for, as told by whoever runs it; None if they are silent."""

    def cancel(self, head: Head) -> None:
        """Cancel a job, and wait until it has ended. Raises JournalUnavailable, NodeUnavailable if
        that takes too long; it is cancelled later then."""

    def log(self, head: Head, item: int | None, follow: bool, lost: Lost) -> Iterator[Piece]:
        """What its items printed; with `follow`, until the job is not run any more. `lost` is told
        of a node that cannot be reached, and is tried again."""

    def remove(self, jobs: Sequence[JobId]) -> tuple[int, str]:
        """Forget jobs: how many bytes of blobs went with them, and why not all did. Raises
        JobBusy."""
