"""What items at a site save for later attempts, on its way home beside reports: it may be large.
What is newer takes the place of what waits, and if too much waits, the oldest is lost.

A home takes what an item saves under a lease that it knows, and no other. So one thing waits for a
save: that its lease has ended, or the item failed, is said after it, within bounds; else an item
that saves at its very end would start elsewhere without that.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hanse import limits
from hanse.engines import port
from hanse.errors import BadLink, HanseError, JournalUnavailable, NodeUnavailable
from hanse.ids import JobId, LeaseId

_logger = logging.getLogger("hanse")
_AWAY = (NodeUnavailable, JournalUnavailable, BadLink)  # one that comes back waits for our hello


class _Waiting(NamedTuple):
    event: port.Saved
    since_s: float  # or long ago: nobody needs it

    def of(self, lease: LeaseId, start: int, stop: int) -> bool:
        return self.event.lease == lease and start <= self.event.item < stop


def patience_s(leaving: bool, left_ns: int) -> float:
    """How long the end of an item's lease waits for what the item saved last: behind that the home
    takes it no more.

    Args:
        leaving: the machine is being taken away, and what still runs is cancelled in `left_ns`.
    """
    if not leaving:
        return limits.LINK_SAVE_S
    return min(limits.LINK_SAVE_S, max(limits.LINK_SAVE_LEAVING_S, left_ns / limits.SECOND))


class Saves:
    """
    Args:
        send: carries one to the home; raises HanseError.
        sent: called in a thread of its own after each, whether it arrived or was lost.
    """

    def __init__(
        self, send: Callable[[JobId, port.Saved], None], sent: Callable[[], None] = lambda: None
    ) -> None:
        self._send = send
        self._sent = sent
        self._waiting: OrderedDict[tuple[JobId, int], _Waiting] = OrderedDict()
        self._news = threading.Condition()
        self._sending: _Waiting | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def put(self, job: JobId, event: port.Saved) -> None:
        with self._news:
            before = self._waiting.pop((job, event.item), None)
            since_s = time.monotonic() if before is None else before.since_s
            self._waiting[job, event.item] = _Waiting(event, since_s)
            self._bound()
            self._news.notify_all()
            if self._thread is None and not self._over:
                self._thread = threading.Thread(target=self._run, name="hanse-saves", daemon=True)
                self._thread.start()

    def _bound(self) -> None:
        waits = sum(each.event.payload.nbytes for each in self._waiting.values())
        while waits > limits.CHECKPOINT_WAIT_BYTES and len(self._waiting) > 1:
            waits -= self._waiting.popitem(last=False)[1].event.payload.nbytes

    def done(self, lease: LeaseId, start: int, stop: int) -> None:
        """These items have ended well, and need nothing any more."""
        if not self._waiting and self._sending is None:  # mostly
            return
        with self._news:
            for key, each in list(self._waiting.items()):
                if each.of(lease, start, stop):
                    del self._waiting[key]
            sending = self._sending
            if sending is not None and sending.of(lease, start, stop):
                self._sending = sending._replace(since_s=-math.inf)

    def items(self, within_s: float) -> set[tuple[LeaseId, int]]:
        """Those, with their leases, of which the home does not have a save yet that has waited no
        longer than this."""
        now_s = time.monotonic()
        with self._news:
            return {
                (each.event.lease, each.event.item)
                for each in self._under_way()
                if now_s - each.since_s < within_s
            }

    def _under_way(self) -> Iterator[_Waiting]:
        yield from self._waiting.values()
        if self._sending is not None:
            yield self._sending

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
            except _AWAY:
                with self._news:
                    if self._news.wait_for(lambda: self._over, limits.SAVE_AGAIN_NS / 1e9):
                        raise
        return self._send(job, event)

    def _run(self) -> None:
        while True:
            with self._news:
                self._sending = None
                self._news.notify_all()
                self._news.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    return
                (job, item), self._sending = self._waiting.popitem(last=False)
                event = self._sending.event
            try:
                self._deliver(job, event)
            except HanseError as error:
                _logger.info("hanse: what item %d of %s saved is lost: %s", item, job, error)
            with self._news:
                self._sending = None
            self._sent()
