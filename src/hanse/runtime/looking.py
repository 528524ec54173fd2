"""The part of a runtime that says what jobs wait for and cost, and would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from hanse import limits
from hanse.core import quoting, reckoning
from hanse.core.events import Timed
from hanse.core.home import Home
from hanse.core.reckoning import Expected, Question
from hanse.core.why import nowhere
from hanse.ids import JobId
from hanse.model.account import Account
from hanse.model.aims import Aims
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.quote import Quote
from hanse.runtime.costs import Costs, explained
from hanse.runtime.loop import Loop

_NOWHERE_S = 2.0  # for a home that is busy
_TURN_NS = 5 * limits.MS  # of its loop, for those who look: leases and reports wait meanwhile


class Looking:
    """A part of `runtime.Runtime`, which has what is named here."""

    home: Home
    loop: Loop
    _costs: Costs
    _foreseeing: threading.Lock  # one at a time: those who wait for the same find it then
    _thread: threading.Thread
    ask: Callable[..., Any]
    explain: Callable[[JobId], list[str]]

    # --- for any thread -------------------------------------------------------------------------
    def cost(self, job: JobId) -> float | None:
        """See `runner.Runner`."""
        return self.ask(lambda: self._costs.spent(job, self.loop.now_ns()))  # type: ignore[no-any-return]

    def account(self, job: JobId) -> Account | None:
        """See `runner.Runner`."""
        self.foresee(job)
        return self.ask(lambda: self._costs.account(job, self.loop.now_ns()))  # type: ignore[no-any-return]

    def reasons(self, job: JobId) -> list[str]:
        """What a job waits for."""
        self.foresee(job)
        return self.ask(lambda: self.explain(job))  # type: ignore[no-any-return]

    def foresee(self, job: JobId) -> None:
        """Reckon what is expected of the job here, if that may take seconds: leases and reports
        wait for the loop's thread, where it is only to be looked up then."""
        if threading.current_thread() is self._thread:
            return
        if self.ask(lambda: self._unforeseen(job)) is None:
            return  # most jobs, and these do not wait for what is reckoned of another one
        with self._foreseeing:
            asked = self.ask(lambda: self._unforeseen(job))
            if asked is not None:
                told = reckoning.foreseen(asked)
                self.ask(lambda: self._foreseen(job, told))

    def costs(self) -> dict[JobId, float]:
        """What those that run have cost so far, as far as that is counted."""
        return self.ask(lambda: self._costs.running(self.loop.now_ns()))  # type: ignore[no-any-return]

    def nowhere(self, jobs: Sequence[JobId]) -> dict[JobId, str]:
        """Those of these jobs of which nothing runs, as no site takes them, and why; only some of
        them if the home has no time to say: whoever asks wants to know other things, too."""
        found: dict[JobId, str] = {}
        until_s = time.monotonic() + _NOWHERE_S
        at = 0
        while at < len(jobs) and (left_s := until_s - time.monotonic()) > 0:
            try:
                some, at = self.ask(partial(self._nowhere, jobs, at), left_s)
            except TimeoutError:
                break
            found |= some
        return found

    def quote(
        self,
        spec: JobSpec,
        timed: Sequence[Timed],
        aims: Sequence[Aims],
        of: JobId | None = None,
        data: Sequence[Lies] = (),
    ) -> Quote:
        """See `runner.Runner`."""
        for pause_s in self.settling(of):
            time.sleep(pause_s)
        return self.quoted(spec, timed, aims, of, data)

    def settling(self, of: JobId | None) -> Iterator[float]:
        """The pauses, in seconds, after which what is free is known well enough to quote for a job
        that is here: whoever asks makes them, in a thread or on a loop."""
        asked_ns = self.loop.now_ns()
        while of is not None and self._unsettled(asked_ns):
            yield limits.FULL_LOOK_NS / 1e9

    def _unsettled(self, asked_ns: int) -> bool:
        """Not for long: a site that says nothing is as it was."""
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

    def _nowhere(self, jobs: Sequence[JobId], at: int) -> tuple[dict[JobId, str], int]:
        """The same of the jobs from there on, as many as one turn has time for but one at least;
        and where to go on."""
        found: dict[JobId, str] = {}
        begun_ns = now_ns = self.loop.now_ns()
        while at < len(jobs) and now_ns - begun_ns <= _TURN_NS:
            job = self.home.jobs.get(jobs[at])
            if job is not None and (why := nowhere(self.home, job, now_ns)):
                found[jobs[at]] = why
            at, now_ns = at + 1, self.loop.now_ns()
        return found, at

    def _unforeseen(self, job: JobId) -> Question | None:
        known = self.home.jobs.get(job)
        if known is None or known.state.ended:
            return None
        return reckoning.unforeseen(self.home, known, self.loop.now_ns())

    def _foreseen(self, job: JobId, told: Expected) -> None:
        known = self.home.jobs.get(job)
        if known is not None and known.place is not None:
            known.place.told = self.loop.now_ns(), told
