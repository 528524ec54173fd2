"""What a node does when its machine is taken away: from the first word of it to its end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hanse import limits
from hanse.node.evictions.notice import Notice
from hanse.node.evictions.sources import choose
from hanse.node.evictions.watch import Watch
from hanse.node.links import Links
from hanse.runtime.runtime import Runtime

_LOOK_S = 0.1


class Leaving:
    """
    Args:
        kind: who is asked, see `sources.choose`; "": as the labels say.
        file: that tells so by being there, if any.
        notice_s: what is left if nobody says.
    """

    def __init__(
        self, runtime: Runtime, links: Links, labels: Sequence[str], kind: str, file: Path | None,
        notice_s: float,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._links = links
        self._kind = kind or ("auto" if "spot" in labels else "off")
        self._notice_s = notice_s
        self._watch = Watch(choose(self._kind, file, notice_s), self._told)

    def close(self) -> None:
        self._watch.close()

    def _told(self, found: Notice) -> None:
        left_ns = int(found.left_s * limits.SECOND)

        def begin() -> None:
            self._links.evict(found.reason, left_ns)
            self._runtime.own.leave(found.reason, left_ns)

        self._runtime.loop.post(begin)

    # --- a signal that means it -------------------------------------------------------------------
    def mind(self, server: Any) -> None:
        """Where SIGTERM says that the machine goes, the first one does not end this server at once:
        it ends when nothing runs here any more, or the time is over."""
        if self._kind != "sigterm":
            return
        ends = server.handle_exit

        def handle(number: int, frame: FrameType | None) -> None:
            if number != signal.SIGTERM:
                ends(number, frame)
                return
            signal.signal(number, ends)
            threading.Thread(target=self._go, args=(server,), daemon=True).start()

        server.handle_exit = handle

    def _go(self, server: Any) -> None:
        until_s = time.monotonic() + self._notice_s
        self._watch.notice(Notice("SIGTERM", "it was sent SIGTERM", self._notice_s))
        while time.monotonic() < until_s and not self._gone():
            time.sleep(_LOOK_S)
        server.should_exit = True

    def _gone(self) -> bool:
        try:
            return self._runtime.ask(lambda: self._runtime.own.agent.left and self._links.left)
        except TimeoutError:  # the loop is busy
            return False
