"""What items print, brought to whoever keeps or shows it in a thread of its own: both may block."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial

from hanse.engines.local.output import Forward, OnPrinted, forward_here
from hanse.engines.port import Printed

_STOP_S = 2.0


class Paper:
    """How much may wait is bounded by the actors, which wait to be told that it was taken."""

    def __init__(self, forward: Forward | None, printed: OnPrinted | None) -> None:
        self._forward = forward or forward_here
        self._printed = printed
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hanse-output", daemon=True)
        self._thread.start()

    def show(self, stream: str, text: str) -> None:
        self._tasks.put(partial(self._forward, stream, text))

    def keep(self, piece: Printed) -> None:
        if self._printed is not None:
            self._tasks.put(partial(self._printed, piece))

    def then(self, callback: Callable[[], object]) -> None:
        """Call back in the thread, after all that was printed before."""
        self._tasks.put(callback)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            with contextlib.suppress(Exception):  # a closed stdout must not stop the rest
                task()

    def stop(self) -> None:
        """Bring what is left, and end."""
        self._tasks.put(None)
        self._thread.join(_STOP_S)
