"""What other threads tell a stream that waits."""

from __future__ import annotations

import asyncio

from hanse import limits


class News:
    """Made in the server's loop, where all but `tell` belongs."""

    def __init__(self) -> None:
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tell(self) -> None:
        """There is something to look at. For any thread."""
        try:
            self._loop.call_soon_threadsafe(self._came.set)
        except RuntimeError:
            pass  # the server has stopped

    def looked(self) -> None:
        """Said before looking: what is told from here on is news."""
        self._came.clear()

    async def wait(self, patience_ns: int = limits.HEARTBEAT_NS) -> bool:
        """False: nothing was told in that time."""
        try:
            await asyncio.wait_for(self._came.wait(), patience_ns / 1e9)
        except TimeoutError:
            return False
        return True
