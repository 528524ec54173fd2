"""A small event loop on one thread: descriptors, timers, and callbacks from other threads.

asyncio would do the same, at 30 ms of import and some 20 us more per wake: as much as the whole
budget of an embedded first result. A node runs its HTTP server on asyncio beside it.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import itertools
import os
import select
import threading
import time
from collections.abc import Callable

Callback = Callable[[], None]
_Watch = tuple[Callback | None, Callback | None]  # on readable, on writable
_POLLING = getattr(select, "epoll", select.poll)  # `selectors` would do, at 3 us a wake
_READ, _WRITE = select.POLLIN, select.POLLOUT  # epoll's are the same
_IN_SECONDS = hasattr(select, "epoll")


class Timer:
    """A callback that waits for its time."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """Runs callbacks one by one until `stop`. All methods but `post` are for its own thread."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._poller = _POLLING()
        self._timers: list[tuple[int, int, Timer]] = []
        self._count = itertools.count()
        self._posted: collections.deque[Callback] = collections.deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._watches: dict[int, _Watch] = {}
        self.watch(self._wake_read, self._drain)
        self._sleeping = False
        self._stopped = False
        self._finished = False
        self._draining = threading.Lock()
        self._thread: threading.Thread | None = None

    now_ns = staticmethod(time.monotonic_ns)

    # --- for any thread -------------------------------------------------------------------------
    def post(self, callback: Callback) -> None:
        """Run the callback on the loop's thread soon, after those posted before it."""
        self._posted.append(callback)
        if self._finished:  # nobody else will: what is posted sees that the runtime is closed
            self._run_posted()
        elif self._sleeping:
            self._sleeping = False
            self._wake()

    def _wake(self) -> None:
        # A full pipe wakes as well; a closed one has nobody to wake.
        try:
            os.write(self._wake_write, b"\0")
        except OSError:
            pass

    # --- for the loop's thread ------------------------------------------------------------------
    def call_at(self, when_ns: int, callback: Callback) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (when_ns, next(self._count), timer))
        return timer

    def watch(
        self, fd: int, on_readable: Callback | None, on_writable: Callback | None = None
    ) -> None:
        known = fd in self._watches
        self._watches[fd] = (on_readable, on_writable)
        mask = (_READ if on_readable is not None else 0) | (_WRITE if on_writable else 0)
        if known:
            self._poller.modify(fd, mask)
        else:
            self._poller.register(fd, mask)

    def unwatch(self, fd: int) -> None:
        if self._watches.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._poller.unregister(fd)

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Run until `stop` is called from a callback, then close."""
        self._thread = threading.current_thread()
        try:
            while not self._stopped:
                self._step()
        except BaseException as error:  # noqa: BLE001 - whatever it is, who waits must hear of it
            self._on_error(error)
        finally:
            self._finished = True
            self._run_posted()
            if hasattr(self._poller, "close"):
                self._poller.close()
            os.close(self._wake_read)
            wake, self._wake_write = self._wake_write, -1
            os.close(wake)

    def _step(self) -> None:
        watches = self._watches
        ready = [(fd, mask, watches.get(fd)) for fd, mask in self._ready()]
        for fd, mask, watch in ready:
            if watch is None:
                continue
            # An earlier callback of this step may have closed the descriptor, and its number may
            # be another's by now. What is neither (an error, a hangup) wakes both.
            on_readable, on_writable = watch
            if on_readable and mask & ~_WRITE and watches.get(fd) is watch:
                self._call(on_readable)
            if on_writable and mask & ~_READ and watches.get(fd) is watch:
                self._call(on_writable)
        for _ in range(len(self._posted)):
            self._call(self._posted.popleft())
        now = self.now_ns()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                self._call(timer.callback)

    def _ready(self) -> list[tuple[int, int]]:
        self._sleeping = True
        try:
            # A callback may have been posted just before `_sleeping` was set: look again.
            return self._poller.poll(0 if self._posted else self._timeout())
        finally:
            self._sleeping = False

    def _timeout(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        left_ns = max(0, self._timers[0][0] - self.now_ns())
        return left_ns / 1e9 if _IN_SECONDS else left_ns / 1e6

    def _run_posted(self) -> None:
        """After the end: one thread at a time, for all of them."""
        while self._posted and self._draining.acquire(blocking=False):
            try:
                while self._posted:
                    self._call(self._posted.popleft())
            finally:
                self._draining.release()

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except BaseException as error:  # noqa: BLE001 - one bad callback must not end the others
            self._on_error(error)

    def _drain(self) -> None:
        try:
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass
