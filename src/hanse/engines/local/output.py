"""What workers print, brought to main's stdout and stderr by a thread of its own.

Never by the loop's thread: main's stdout may block. A worker that prints faster than main can show
waits in its pipe, so a gigabyte of output costs no memory. The last lines are kept for errors.
"""

from __future__ import annotations

import codecs
import collections
import os
import select
import selectors
import sys
import threading
from collections.abc import Callable

from hanse.engines.local.printing import tail
from hanse.limits import OUTPUT_TAIL_BYTES

Forward = Callable[[str, str], None]
_READ = 64 * 1024


def forward_here(stream: str, text: str) -> None:
    """Print to this process's own stdout or stderr, whatever that is now."""
    target = getattr(sys, stream)
    if target is not None:
        target.write(text)
        target.flush()


class Source:
    """The two pipes of one worker."""

    def __init__(self) -> None:
        self.reads: list[tuple[int, str]] = []
        self.writes: list[int] = []
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._tail = ""
        self.taken = False  # the thread reads it
        for stream in ("stdout", "stderr"):
            read, write = os.pipe()
            os.set_blocking(read, False)
            self.reads.append((read, stream))
            self.writes.append(write)
            self._decoders[read] = codecs.getincrementaldecoder("utf-8")("replace")

    def waits(self) -> bool:
        """Is there anything to read now?"""
        watcher = select.poll()
        for fd, _ in self.reads:
            watcher.register(fd, select.POLLIN)
        return any(event & select.POLLIN for _, event in watcher.poll(0))

    def read(self, fd: int) -> str | None:
        """Text that came, or None at the end. Raises BlockingIOError if there is none yet."""
        data = os.read(fd, _READ)
        text = self._decoders[fd].decode(data, final=not data)
        if text:
            self._tail = (self._tail + text)[-OUTPUT_TAIL_BYTES:]
        return text if data else None

    def tail(self) -> str:
        return tail(self._tail)

    def close(self) -> None:
        for fd, _ in self.reads:
            os.close(fd)
        self.reads = []


class Output:
    """The thread. It starts at once: a program that waits for its calls while the interpreter
    ends could not start it any more when one of them prints."""

    def __init__(self, forward: Forward | None) -> None:
        self._forward = forward or forward_here
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._thread: threading.Thread | None = None
        self._wake: tuple[int, int] = (-1, -1)
        self._selector: selectors.BaseSelector
        self._stopped = False
        self._start()

    # --- loop's thread ----------------------------------------------------------------------------
    def take(self, source: Source) -> None:
        """Let the thread read these pipes from now on."""
        source.taken = True
        self._command(lambda: self._add(source))

    def finish(self, source: Source, done: Callable[[], None]) -> None:
        """Forward what is left in pipes whose worker ended, then call `done` in the thread."""
        self._command(lambda: self._finish(source, done))

    def stop(self, timeout_s: float) -> None:
        """Forward all that was written, and end."""
        if self._thread is None:
            return
        self._command(self._stop)
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self.abandon()

    def abandon(self) -> None:
        """Close the descriptors; in a forked child there is no thread any more."""
        if self._thread is not None:
            self._thread = None
            self._selector.close()
            for fd in self._wake:
                os.close(fd)

    def _start(self) -> None:
        self._wake = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="hanse-output", daemon=True)
        self._thread.start()

    def _command(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        os.write(self._wake[1], b"\0")

    # --- the thread -------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake[0], 1)
                    self._commands.popleft()()
                elif key.fd in self._selector.get_map():
                    self._read(key.data[0], key.fd, key.data[1])

    def _add(self, source: Source) -> None:
        for fd, stream in source.reads:
            self._selector.register(fd, selectors.EVENT_READ, (source, stream))

    def _read(self, source: Source, fd: int, stream: str) -> bool:
        """Forward one piece; false if there is none now."""
        try:
            text = source.read(fd)
        except BlockingIOError:
            return False
        if text is None:
            self._selector.unregister(fd)
            return False
        try:
            self._forward(stream, text)
        except Exception:  # noqa: BLE001 - a closed stdout must not stop the reading
            pass
        return True

    def _finish(self, source: Source, done: Callable[[], None]) -> None:
        for fd, stream in source.reads:
            while fd in self._selector.get_map() and self._read(source, fd, stream):
                pass
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        source.close()
        done()

    def _stop(self) -> None:
        self._stopped = True
