"""The works that grants stand for: what is granted here by number is run there with its inputs.

On the loop's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from hanse import limits
from hanse.core.home import Home
from hanse.core.messages import Grant
from hanse.engines import port
from hanse.errors import HanseError, InternalError, JournalUnavailable
from hanse.ids import JobId
from hanse.runtime.checkpoints import Checkpoints
from hanse.runtime.loop import Loop
from hanse.runtime.source import Source

if TYPE_CHECKING:
    from hanse.payloads.payload import Payload
    from hanse.runtime.checkpoints import Within

_logger = logging.getLogger("hanse")


class HeldBack(Protocol):
    """Whoever asks for works."""

    def hold_back(self, until_ns: int) -> None: ...


class Works:
    """
    Args:
        sources: of the jobs that run here.
        lose: ends a durable job here, but not in its record.
    """

    def __init__(
        self,
        home: Home,
        loop: Loop,
        sources: Mapping[JobId, Source],
        checkpoints: Checkpoints,
        lose: Callable[[JobId, BaseException], None],
    ) -> None:
        self._home = home
        self._loop = loop
        self._sources = sources
        self._checkpoints = checkpoints
        self._lose = lose
        self._unreadable: dict[JobId, int] = {}  # since when their inputs cannot be read

    def give(
        self, grant: Grant, seat: HeldBack, have: Callable[[port.Work | None, str], None]
    ) -> None:
        """Call back with the work and what its items have saved, which may have to be read."""
        work = self.of(grant, seat)
        if work is None:
            have(None, "")
            return

        def begin(saved: dict[int, Payload]) -> None:
            work.saved = saved
            have(work, "")

        self._checkpoints.read(grant.job, self.saved(grant), begin)

    def saved(self, grant: Grant) -> Within:
        """Which items of a lease have saved something."""
        return self._checkpoints.within(grant.job, grant.start, grant.stop)

    def of(self, grant: Grant, seat: HeldBack | None = None) -> port.Work | None:
        """The work, without what its items have saved; None if it cannot be had now. `seat`: it
        asks for no other one for a while, if so."""
        source = self._sources.get(grant.job)
        work = None
        try:
            work = source.work(grant) if source is not None else None
            self._unreadable.pop(grant.job, None)
            if work is not None:
                work.loss_ns = self._home.loss_ns(grant.lease)
        except JournalUnavailable as error:
            self._wait_for_inputs(grant.job, error, seat)
        except HanseError as error:  # recorded inputs that are damaged
            self._lose(grant.job, error)
        except Exception as error:  # results that a site sent may be anything: it costs this job
            _logger.exception("hanse: a lease of job %s", grant.job)
            self._lose(grant.job, InternalError(f"a lease cannot be put together: {error}"))
        return work

    def forget(self, job: JobId) -> None:
        """It has ended here."""
        self._unreadable.pop(job, None)

    def _wait_for_inputs(
        self, job: JobId, error: JournalUnavailable, seat: HeldBack | None
    ) -> None:
        """Recorded inputs cannot be read now. The lease is given back: ask for no other at once."""
        now = self._loop.now_ns()
        if now - self._unreadable.setdefault(job, now) > limits.JOURNAL_PATIENCE_NS:
            self._lose(job, error)
        elif seat is not None:
            seat.hold_back(now + limits.JOURNAL_RETRY_NS)
