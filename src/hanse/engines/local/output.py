"""What workers print, brought to main's stdout and stderr by a thread of its own.

Never by the loop's thread: main's stdout may block. A worker that prints faster than main can show
waits in its pipe, so a gigabyte of output costs no memory. The last lines are kept for errors.
"""

from __future__ import annotations

import collections
import os
import selectors
import sys
import threading
from collections.abc import Callable

from hanse.engines.local.pipes import Owner, Source
from hanse.engines.port import Printed

Forward = Callable[[str, str], None]
OnPrinted = Callable[[Printed], None]


def forward_here(stream: str, text: str) -> None:
    """Print to this process's own stdout or stderr, whatever that is now."""
    target = getattr(sys, stream)
    if target is not None:
        target.write(text)
        target.flush()


class Output:
    """The thread. It starts at once: a program that waits for its calls while the interpreter
    ends could not start it any more when one of them prints."""

    def __init__(self, forward: Forward | None, printed: OnPrinted | None = None) -> None:
        self._forward = forward or forward_here
        self._printed = printed
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

    def own(self, source: Source, owner: Owner | None) -> None:
        """A run begins on that worker; without an owner, one whose output is not kept."""
        if owner is not None:
            source.known(owner)
        changes, source.latest = not source.is_of(owner), owner
        if source.taken and changes:
            self._command(lambda: self._pass_on(source))
        elif changes or source.owner is None or owner is None or source.owner.job == owner.job:
            source.owner = owner  # else the thread has not come to it yet

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
            text, data = source.read(fd)
        except BlockingIOError:
            return False
        self._tell(source, stream, data)
        if text is None:
            self._selector.unregister(fd)
            return False
        try:
            self._forward(stream, text)
        except Exception:  # noqa: BLE001 - a closed stdout must not stop the reading
            pass
        return True

    def _tell(self, source: Source, stream: str, data: bytes) -> None:
        if self._printed is None:
            return
        for told in source.told(stream, data):
            try:
                self._printed(told)
            except Exception:  # noqa: BLE001 - who keeps it must not stop the reading
                pass

    def _drain(self, source: Source) -> None:
        for fd, stream in source.reads:
            while fd in self._selector.get_map() and self._read(source, fd, stream):
                pass

    def _pass_on(self, source: Source) -> None:
        """What was written until now is the last owner's."""
        self._drain(source)
        source.passed_on()

    def _finish(self, source: Source, done: Callable[[], None]) -> None:
        self._drain(source)
        for fd, stream in source.reads:
            self._tell(source, stream, b"")
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        source.close()
        done()

    def _stop(self) -> None:
        self._stopped = True
