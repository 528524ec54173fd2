"""What a client sends to its node, in order, again and again until the node has it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from hanse import limits
from hanse.errors import JournalUnavailable, NodeUnavailable

_logger = logging.getLogger("hanse")

Send = Callable[[], None]


class Outbox:
    """One thread that sends. A request that fails because the node cannot be reached is sent again
    until it gets through; so each must be one that may come twice."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._queue: deque[tuple[Send, Callable[[Exception], None]]] = deque()
        self._news = threading.Condition()
        self._closing = False
        self._busy = False
        self._given = 0
        self._dealt_with = 0  # of these: the node has it, or has said what is against it
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="hanse-outbox", daemon=True)
        self._thread.start()

    def send(self, send: Send, failed: Callable[[Exception], None]) -> None:
        """Send this after all that was given before. `failed` gets what the node says against it,
        in the outbox's thread."""
        with self._news:
            self._queue.append((send, failed))
            self._given += 1
            self._news.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until the node has all that was given before; whether it does."""
        with self._news:
            given = self._given
            self._news.wait_for(lambda: self._closing or self._dealt_with >= given, timeout_s)
            return not self._closing and self._dealt_with >= given

    def close(self, timeout_s: float) -> bool:
        """Send what waits, as long as something of it gets through in such a time; whether all
        did."""
        with self._news:
            done, left = False, len(self._queue) + 1
            while not done and len(self._queue) < left:
                left = len(self._queue)
                done = self._news.wait_for(lambda: not self._queue and not self._busy, timeout_s)
            self._closing = True
            self._queue.clear()
            self._news.notify_all()
        return done

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._queue or self._closing)
                if self._closing:
                    return
                send, failed = self._queue.popleft()
                self._busy = True
            try:
                self._patiently(send)
            except Exception as error:  # noqa: BLE001 - whoever waits for it must hear of it
                failed(error)
            with self._news:
                self._busy = False
                self._dealt_with += 1
                self._news.notify_all()

    def _patiently(self, send: Send) -> None:
        wait_ns = limits.REDIAL_NS
        while True:
            try:
                send()
            except (NodeUnavailable, JournalUnavailable) as error:
                if not self.trouble:
                    _logger.warning("hanse: %s; trying again until it is back", error)
                self.trouble = str(error)
                with self._news:
                    if self._news.wait_for(lambda: self._closing, wait_ns / 1e9):
                        raise
                wait_ns = min(2 * wait_ns, limits.REDIAL_MAX_NS)
            else:
                if self.trouble:
                    _logger.warning("hanse: %s is back", self._where)
                    self.trouble = ""
                return
