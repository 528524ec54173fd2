"""stdout and stderr in a worker: line-buffered, with the current item's last lines kept.

Everything goes on to main through a pipe. The ring only serves errors: a raised exception carries
what its own item printed, and nothing of the item before. Of programs whose output is kept, each
write is noted beforehand (see `attributing`); what others print costs nothing more.
"""

from __future__ import annotations

import io
import os
import sys
from select import POLLOUT, poll

from hanse.engines.local import attributing
from hanse.limits import OUTPUT_TAIL_BYTES, OUTPUT_TAIL_LINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hanse.engines.local.running import Runner

_PATIENCE_MS = 1000  # for main to read notes; then they are dropped until it does


def tail(text: str) -> str:
    """The last lines of a text, within the bounds."""
    return "".join(text[-OUTPUT_TAIL_BYTES:].splitlines(keepends=True)[-OUTPUT_TAIL_LINES:])


class Ring:
    """The last output of the item that runs."""

    def __init__(self, current: Callable[[], int]) -> None:
        self._current = current
        self._item = -1
        self._parts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        item = self._current()
        if item != self._item:
            self._item, self._parts, self._size = item, [], 0
        self._parts.append(text[-OUTPUT_TAIL_BYTES:])
        self._size += len(self._parts[-1])
        if self._size > 4 * OUTPUT_TAIL_BYTES:
            kept = "".join(self._parts)[-OUTPUT_TAIL_BYTES:]
            self._parts, self._size = [kept], len(kept)

    def of(self, item: int) -> str:
        return tail("".join(self._parts)) if item == self._item else ""


class _Noter:
    """The worker's end of the pipe for notes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()
        self._deaf = False  # main did not read for long
        self._room = poll()
        self._room.register(fd, POLLOUT)
        os.set_blocking(fd, False)

    def note(self, fd: int, who: attributing.Who, data: Any) -> None:
        """Note a write. Never fails, and never waits for ever: the write itself may go elsewhere,
        and then nobody reads."""
        if os.getpid() != self._pid:
            return  # a forked child: the descriptor may be something else there
        with memoryview(data).cast("B") as view:
            noted = attributing.note(fd, who, bytes(view[: attributing.BEGINNING]), len(view))
        try:
            try:
                os.write(self._fd, noted)
            except BlockingIOError:
                if self._deaf or not self._room.poll(_PATIENCE_MS):
                    self._deaf = True
                    return
                os.write(self._fd, noted)
            self._deaf = False
        except OSError:
            pass  # closed by the task


class _Raw(io.FileIO):
    """A descriptor whose writes are noted."""

    noter: _Noter
    current: Callable[[], attributing.Who | None]
    who: attributing.Who | None = None  # of the text that waits
    waits = False  # text may wait in a buffer

    def write(self, data: Any) -> int:
        who = self.who if self.waits else self.current()
        if who is not None:
            with memoryview(data).cast("B") as view, view[: attributing.WRITE_BYTES] as part:
                self.noter.note(self.fileno(), who, part)
                return super().write(part)  # who called writes the rest, with a note of its own
        return super().write(data)


class _Tee(io.TextIOWrapper):
    ring: Ring
    under: _Raw

    def write(self, text: str) -> int:
        self.ring.add(text)
        under = self.under
        who = under.current()
        if under.waits and who != under.who:
            self.flush()  # the part of a line of another item
        under.who, under.waits = who, True
        count = super().write(text)
        under.waits = "\n" not in text and "\r" not in text
        return count

    def settle(self) -> None:
        """Write what waits: the part of a line."""
        if self.under.waits:
            try:
                self.flush()
            except (OSError, ValueError):
                pass  # closed by the task, or nobody reads any more
            self.under.waits = False


class Streams:
    """stdout and stderr of this process, replaced."""

    def __init__(self, runner: Runner, notes: int) -> None:
        self.ring = Ring(runner.running)
        self._tees = []
        noter = _Noter(notes)
        for name, fd in (("stdout", 1), ("stderr", 2)):
            raw = _Raw(fd, "wb", closefd=False)
            raw.noter, raw.current = noter, runner.printing
            tee = _Tee(
                io.BufferedWriter(raw),
                encoding="utf-8",
                errors="backslashreplace",
                line_buffering=True,
            )
            tee.ring, tee.under = self.ring, raw
            self._tees.append(tee)
            setattr(sys, name, tee)
            setattr(sys, f"__{name}__", tee)

    def settle(self) -> None:
        """Write what the run has printed and did not end with a newline."""
        for tee in self._tees:
            tee.settle()


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # closed by the task, or nobody reads any more
