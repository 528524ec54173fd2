"""What items at a site save for later attempts, on its way home beside reports: it may be large,
and nobody waits for it. One thread sends; what is newer takes the place of what waits, and if too
much waits, the oldest is lost."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from hanse import limits
from hanse.engines import port
from hanse.errors import HanseError, JournalUnavailable, NodeUnavailable
from hanse.ids import JobId

_logger = logging.getLogger("hanse")


class Saves:
    """
    Args:
        send: carries one to the home; raises HanseError.
    """

    def __init__(self, send: Callable[[JobId, port.Saved], None]) -> None:
        self._send = send
        self._waiting: OrderedDict[tuple[JobId, int], port.Saved] = OrderedDict()
        self._news = threading.Condition()
        self._sending = False
        self._over = False
        self._thread: threading.Thread | None = None

    def put(self, job: JobId, event: port.Saved) -> None:
        with self._news:
            self._waiting.pop((job, event.item), None)
            self._waiting[job, event.item] = event
            waits = sum(each.payload.nbytes for each in self._waiting.values())
            while waits > limits.CHECKPOINT_WAIT_BYTES and len(self._waiting) > 1:
                waits -= self._waiting.popitem(last=False)[1].payload.nbytes
            self._news.notify_all()
            if self._thread is None and not self._over:
                self._thread = threading.Thread(target=self._run, name="hanse-saves", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Wait until the home has all of them, or it has taken too long."""
        with self._news:
            self._news.wait_for(
                lambda: not self._waiting and not self._sending, limits.LINK_LEAVE_S
            )

    def close(self) -> None:
        """Send no more."""
        with self._news:
            self._over = True
            self._waiting.clear()
            self._news.notify_all()

    def _deliver(self, job: JobId, event: port.Saved) -> None:
        """Raises HanseError. The home may be away, or short of room, for a moment."""
        for _ in range(limits.SAVE_TRIES - 1):
            try:
                return self._send(job, event)
            except (NodeUnavailable, JournalUnavailable):
                with self._news:
                    if self._news.wait_for(lambda: self._over, limits.SAVE_AGAIN_NS / 1e9):
                        raise
        return self._send(job, event)

    def _run(self) -> None:
        while True:
            with self._news:
                self._sending = False
                self._news.notify_all()
                self._news.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    return
                (job, item), event = self._waiting.popitem(last=False)
                self._sending = True
            try:
                self._deliver(job, event)
            except HanseError as error:
                _logger.info("hanse: what item %d of %s saved is lost: %s", item, job, error)
