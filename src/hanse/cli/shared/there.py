"""A node's jobs, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hanse.cli.shared import bill
from hanse.cli.shared.asking import wait_until
from hanse.errors import NodeUnavailable, NoSuchJob
from hanse.remote.logs import read_log
from hanse.remote.records import NodeHead, RemoteRecords
from hanse.wire import api

if TYPE_CHECKING:
    from hanse.cli.shared.side import Lost
    from hanse.ids import JobId
    from hanse.journal.port import Head, Holder
    from hanse.records.logs import Piece
    from hanse.remote.dial import Dial


class There(RemoteRecords):
    """See `Side`."""

    def __init__(self, dial: Dial) -> None:
        super().__init__(dial)
        self._dial = dial
        self.where = f" on {dial.url}"

    def close(self) -> None:
        self._dial.close()

    def holder(self, head: Head) -> Holder | None:
        return head.holder if isinstance(head, NodeHead) else None

    def look(self, job: JobId) -> tuple[Head | None, Holder | None]:
        found = self.journal.find(job)
        return found, found.holder if found is not None else None

    def explain(self, head: Head) -> str | None:
        told = self._dial.ask("GET", f"/v1/jobs/{head.id}/progress", api.Progress)
        account = bill.document(told.account)
        return json.dumps({"lines": told.lines, "running": told.running, "account": account})

    def log(self, head: Head, item: int | None, follow: bool, lost: Lost) -> Iterator[Piece]:
        return read_log(self._dial, head.id, item, follow, lost)

    # --- changing -------------------------------------------------------------------------------
    def cancel(self, head: Head) -> None:
        self._dial.ask("POST", f"/v1/jobs/{head.id}/cancel", type(None), api.CancelRange())
        if not wait_until(lambda: self._is_over(head.id)):
            raise NodeUnavailable(
                f"{self._dial.url} has not ended job {head.id} yet; it will when it can"
            )

    def _is_over(self, job: JobId) -> bool:
        head = self.journal.find(job)
        return head is None or head.ended_s is not None

    def remove(self, jobs: Sequence[JobId]) -> tuple[int, str]:
        freed, why_not = 0, ""
        for job in jobs:
            try:
                gone = self._dial.ask("DELETE", f"/v1/jobs/{job}", api.Removed)
            except NoSuchJob:
                continue  # somebody was quicker
            freed, why_not = freed + gone.bytes, why_not or gone.why_not
        return freed, why_not
