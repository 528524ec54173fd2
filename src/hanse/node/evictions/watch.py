"""Looks, in threads of its own, whether this machine is about to be taken away; says so once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from hanse.node.evictions.notice import Notice
from hanse.node.evictions.sources import Away, Source

_logger = logging.getLogger("hanse")


class Watch:
    """
    Args:
        sources: who is asked.
        tell: gets the first notice that any of them gives, in a thread of the watch's, once.
    """

    def __init__(self, sources: Sequence[Source], tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._over = threading.Event()
        self._lock = threading.Lock()
        for source in sources:
            threading.Thread(
                target=self._look, args=(source,), name="hanse-evictions", daemon=True
            ).start()

    def notice(self, found: Notice) -> None:
        """Tell of it, unless one was told before. May be called from any thread."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
        _logger.warning(
            "hanse: this machine is about to be taken away, in %.0f s: %s",
            found.left_s, found.reason,
        )  # fmt: skip
        self._tell(found)

    def close(self) -> None:
        """Nothing is told from here on."""
        with self._lock:
            self._over.set()

    def _look(self, source: Source) -> None:
        away = ""
        while not self._over.is_set():
            try:
                found, trouble = source.look(time.time()), ""
            except Away as error:
                found, trouble = None, str(error)
            if bool(trouble) is not bool(away):
                words = f"cannot be seen: {trouble}" if trouble else "are seen again"
                _logger.info("hanse: evictions by %s %s", source.name, words)
            away = trouble
            if found is not None:
                self.notice(found)
            self._over.wait(source.every_s)
