"""This machine's own records, as the page shows them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from hanse import __version__
from hanse.cli.explain import explained
from hanse.cli.shared.here import Here
from hanse.wire.api import Progress

if TYPE_CHECKING:
    from hanse.ids import JobId
    from hanse.journal.port import Head
    from hanse.node.dash.sight import Out
    from hanse.records.state import State
    from hanse.wire.api import MachineInfo, SiteSeen


class OfRecords:
    """See `node.dash.sight.Sight`. Who runs a job is seen by its lock; how many of its items are
    out its program alone knows."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._here = Here(state)

    def about(self) -> dict[str, Any]:
        name = socket.gethostname()
        return {"kind": "records", "name": name, "version": __version__,
                "where": self.state.journal.where}  # fmt: skip

    def is_run(self, head: Head) -> bool:
        return self._here.holder(head) is not None

    def leased(self) -> dict[JobId, int]:
        return {}

    def progress(self, job: JobId) -> Progress:
        head, holder = self._here.look(job)
        if head is None:
            return Progress(running=0, lines=["The job is not known here any more."])
        return Progress(running=0, lines=explained(self._here, head, holder)["lines"])

    def sites(self) -> list[SiteSeen]:
        return []

    def machines(self) -> list[MachineInfo]:
        return []

    def leases(self, job: JobId) -> list[Out]:
        return []

    def costs(self) -> dict[JobId, float]:
        return {}
