"""The loop of an actor: what an engine may ask of a loop, on the asyncio loop that Ray runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from hanse.engines.port import Timer


class ActorsLoop:
    """See `hanse.engines.port.Loop`."""

    now_ns = staticmethod(time.monotonic_ns)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self._loop.call_later(max(0, when_ns - self.now_ns()) / 1e9, callback)

    def post(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback)

    def watch(
        self,
        fd: int,
        on_readable: Callable[[], None] | None,
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        if on_readable is not None:
            self._loop.add_reader(fd, on_readable)
        else:
            self._loop.remove_reader(fd)
        if on_writable is not None:
            self._loop.add_writer(fd, on_writable)
        else:
            self._loop.remove_writer(fd)

    def unwatch(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
