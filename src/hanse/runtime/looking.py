"""The part of a runtime that says what jobs cost, and would."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from hanse import limits
from hanse.core import quoting
from hanse.core.events import Timed
from hanse.core.home import Home
from hanse.ids import JobId
from hanse.model.account import Account
from hanse.model.aims import Aims
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.quote import Quote
from hanse.runtime.costs import Costs, explained
from hanse.runtime.loop import Loop


class Looking:
    """A part of `runtime.Runtime`, which has what is named here."""

    home: Home
    loop: Loop
    _costs: Costs
    ask: Callable[..., Any]
    explain: Callable[[JobId], list[str]]

    # --- for any thread -------------------------------------------------------------------------
    def cost(self, job: JobId) -> float | None:
        """See `runner.Runner`."""
        return self.ask(lambda: self._costs.spent(job, self.loop.now_ns()))  # type: ignore[no-any-return]

    def account(self, job: JobId) -> Account | None:
        """See `runner.Runner`."""
        return self.ask(lambda: self._costs.account(job, self.loop.now_ns()))  # type: ignore[no-any-return]

    def costs(self) -> dict[JobId, float]:
        """What those that run have cost so far, as far as that is counted."""
        return self.ask(lambda: self._costs.running(self.loop.now_ns()))  # type: ignore[no-any-return]

    def quote(
        self,
        spec: JobSpec,
        timed: Sequence[Timed],
        aims: Sequence[Aims],
        of: JobId | None = None,
        data: Sequence[Lies] = (),
    ) -> Quote:
        """See `runner.Runner`."""
        asked_ns = self.loop.now_ns()
        while of is not None and self.unsettled(asked_ns):
            time.sleep(limits.FULL_LOOK_NS / 1e9)
        return self.quoted(spec, timed, aims, of, data)

    def unsettled(self, asked_ns: int) -> bool:
        """Whether what is free is not yet known well enough to quote for a job that is here, and
        was asked about then. Not for long: a site that says nothing is as it was."""
        waited_ns = self.loop.now_ns() - asked_ns
        if waited_ns > limits.REPORT_EVERY_NS + limits.SECOND:
            return False
        return self.ask(lambda: quoting.unsettled(self.home, asked_ns))  # type: ignore[no-any-return]

    def quoted(
        self,
        spec: JobSpec,
        timed: Sequence[Timed],
        aims: Sequence[Aims],
        of: JobId | None = None,
        data: Sequence[Lies] = (),
    ) -> Quote:
        """As `quote`, by what is known now."""
        now_ns = self.loop.now_ns()
        asked = self.ask(lambda: quoting.ask(self.home, spec, timed, aims, now_ns, of, data))
        return quoting.answer(asked)

    # --- for the loop's thread ------------------------------------------------------------------
    def explained(self, job: JobId) -> str:
        """What the job waits for and its account, as another process is told."""
        return explained(self.explain(job), self._costs.account(job, self.loop.now_ns()))
