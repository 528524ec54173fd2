"""This machine's own records, and the programs that hold jobs of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hanse.cli.shared.asking import ask, wait_until
from hanse.errors import JournalUnavailable

if TYPE_CHECKING:
    from hanse.blobs.store import BlobStore
    from hanse.cli.shared.side import Lost
    from hanse.ids import JobId
    from hanse.journal.port import Head, Holder, Journal
    from hanse.records.logs import Piece
    from hanse.records.state import State


class Here:
    """See `Side`."""

    where = ""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def journal(self) -> Journal:
        return self._state.journal

    @property
    def blobs(self) -> BlobStore:
        return self._state.blobs

    def code_directory(self, code: str) -> str:
        return self._state.code_directory(code)

    def holder(self, head: Head) -> Holder | None:
        """Asked only of jobs that may be running."""
        return self.journal.holder(head.id) if head.state == "running" else None

    def look(self, job: JobId) -> tuple[Head | None, Holder | None]:
        holder = self.journal.holder(job)
        return self.journal.find(job), holder

    def explain(self, head: Head) -> str | None:
        return ask(self._state, head.id, "explain")

    def log(self, head: Head, item: int | None, follow: bool, lost: Lost) -> Iterator[Piece]:
        from hanse.records.logs import log_path, read_log

        path = log_path(self._state.home, head.id)
        return read_log(path, item, follow, lambda: self.journal.holder(head.id) is None)

    # --- changing -------------------------------------------------------------------------------
    def cancel(self, head: Head) -> None:
        if self.journal.holder(head.id) is not None:
            self._ask_to_cancel(head)
        found = self.journal.find(head.id)
        if found is not None and found.ended_s is None:  # its program is gone, and did not do it
            from hanse.cli.shared.lookup import record_of
            from hanse.records.ending import cancel as cancel_record

            record_of(self, head)  # of which something must be there
            cancel_record(self._state, head)

    def _ask_to_cancel(self, head: Head) -> None:
        answer = ask(self._state, head.id, "cancel")
        # What it did is recorded a bit later.
        ended = answer is not None and wait_until(lambda: self._is_over(head.id))
        holder = self.journal.holder(head.id)
        if not ended and holder is not None:
            but = "does not answer" if answer is None else "has not ended it yet"
            raise JournalUnavailable(
                f"process {holder.pid} on {holder.host}, which runs job {head.id}, {but}; it will "
                "cancel the job when it can. If it hangs, end that process"
            )

    def _is_over(self, job: JobId) -> bool:
        head, holder = self.look(job)
        return holder is None or head is None or head.ended_s is not None

    def remove(self, jobs: Sequence[JobId]) -> tuple[int, str]:
        from hanse.records.gc import remove

        for job in jobs:
            remove(self._state, job)
        try:
            return self.blobs.collect(self.journal.blobs).bytes, ""
        except JournalUnavailable as error:  # a program that writes now holds that up
            return 0, str(error)
