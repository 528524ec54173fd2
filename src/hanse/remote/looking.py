"""The part of a client that asks a node how its jobs are, and what they would cost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hanse.core.events import Timed
from hanse.errors import HanseError, NoSuchJob
from hanse.ids import JobId
from hanse.model.account import Account
from hanse.model.aims import Aims
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.quote import Quote
from hanse.remote.dial import Dial
from hanse.remote.outbox import Outbox
from hanse.remote.records import NodeHead
from hanse.wire import api

_logger = logging.getLogger("hanse")
_FLUSH_S = 10.0  # for what was told just now to reach a node that answers


class Looking:
    """A part of `remote.runtime`'s, which has what is named here."""

    _dial: Dial
    _outbox: Outbox

    def _progress(self, job: JobId) -> api.Progress:
        def ask() -> api.Progress:
            return self._dial.ask("GET", f"/v1/jobs/{job}/progress", api.Progress)

        try:
            return ask()
        except NoSuchJob:
            if not self._outbox.flush(_FLUSH_S):
                raise
            return ask()  # it was only being made

    def _say_why(self, job: JobId, name: str) -> bool:
        """Nothing has come of the job for a while: if no site takes it, whoever waits is told, and
        need not be again."""
        try:
            head = self._head(job)
        except HanseError:
            return False  # it ended just now, or its node did
        if not head.nowhere:
            return False
        called = f"{name} ({job})" if name else job
        _logger.warning("hanse: %s runs nowhere: %s", called, head.nowhere)
        return True

    def reasons(self, job: JobId) -> list[str]:
        if self._outbox.trouble:
            return [f"{self._outbox.trouble}; it is tried again."]
        return self._progress(job).lines

    def cost(self, job: JobId) -> float | None:
        return self._progress(job).cost

    def account(self, job: JobId) -> Account | None:
        return self._progress(job).account

    def quote(
        self,
        spec: JobSpec,
        timed: Sequence[Timed],
        aims: Sequence[Aims],
        of: JobId | None = None,
        data: Sequence[Lies] = (),
    ) -> Quote:
        about = api.AskQuote(spec=spec, timed=list(timed), aims=list(aims), of=of, data=list(data))
        return self._dial.ask("POST", "/v1/quote", Quote, about)

    def running(self, job: JobId) -> int:
        try:
            return self._head(job).running
        except HanseError:
            return 0

    def _head(self, job: JobId) -> NodeHead:
        """It is told at once, where `_progress` waits for a turn and is reckoned."""
        return self._dial.ask("GET", f"/v1/jobs/{job}", NodeHead)

    def wanted(self, job: JobId) -> int:
        return 0  # what is sent to a node waits there, however much it is
