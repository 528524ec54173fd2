"""What people see of jobs while their results are being used.

On a terminal: one live line for each job on stderr, drawn by rich, which is imported only then.
Anywhere else: a plain line every few seconds. Both end with one line that stays. Who calls `update`
and when is in `watcher`.

What programs print while a bar is live goes above it: sys.stdout and sys.stderr are wrapped for as
long, if they are that very terminal. Nothing here may make a job fail, so a stream that went away
ends the display and nothing else.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TextIO

from hanse.model.progress import Progress

REDRAW_S: Final = 0.1  # the eye reads no numbers that change faster
PLAIN_EVERY_S: Final = 3.0
PLAIN_SHARE: Final = 0.05  # and a job of hours gets a line each time it has grown by 5 %
SHORT_JOB_S: Final = 0.5
SHORT_JOBS_TOLD: Final = 10  # a program of a thousand tiny jobs is not worth a thousand lines


def describe(snapshot: Progress) -> str:
    """One line for people: how far, how fast, what failed, how long, how much longer."""
    ended = snapshot.state != "running"
    past = snapshot.done + snapshot.failed
    parts = [f"{past:,}"]
    if snapshot.total is not None:
        # Rounded down: 100 % means all of them.
        percent = 100 * past // snapshot.total if snapshot.total else 100
        parts = [f"{past:,}/{snapshot.total:,} ({percent} %)"]
    rate = snapshot.rate_per_s
    if ended:  # what counts in the end is the whole of it, not its last seconds
        ours = past - snapshot.restored
        rate = ours / snapshot.elapsed_s if snapshot.elapsed_s > 0 else 0.0
    if rate > 0:
        parts.append(f"{_number(rate)}/s")
    if snapshot.failed:
        parts.append(f"{snapshot.failed:,} failed")
    if snapshot.restored:
        parts.append(f"{snapshot.restored:,} of them by earlier runs")
    parts.append(duration(snapshot.elapsed_s))
    if not ended and snapshot.eta_s is not None:
        parts.append(f"{duration(snapshot.eta_s)} left")
    if ended and snapshot.state != "done":
        parts.append(snapshot.state)
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{max(seconds, 0.0) * 1e3:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


class Lines(Protocol):
    """A way to show jobs. Calls come one at a time."""

    def show(self, name: str, key: str, snapshot: Progress) -> None: ...
    def end(self, key: str, line: str | None) -> None: ...
    def text(self, stream: TextIO, text: str) -> None: ...
    def flush(self, stream: TextIO) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None:
        """The stream is gone: leave everything as it was found, and write nothing."""


class ProgressDisplay:
    """Shows jobs on a stream (stderr unless told otherwise). May be called from any thread."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._lock = threading.RLock()
        self._names: dict[str, str] = {}  # every job that was updated and has not finished
        self._drawn: dict[str, float] = {}  # when each was last drawn
        self._told = 0  # short jobs that got a last line of their own
        self._untold = 0  # and those that did not
        self._lines: Lines | None = self._choose()

    def _choose(self) -> Lines:
        if not is_terminal(self._stream) or os.environ.get("TERM") == "dumb":
            return PlainLines(self._stream)
        from hanse.client.bars import BarLines  # a pipe needs none of it

        return BarLines(self._stream, self.write_around, self.flush_around)

    def update(self, job_name: str, key: str, snapshot: Progress) -> None:
        """Show where a job is. Cheap enough to call often: most calls only look at the clock."""
        now = time.monotonic()
        if now - self._drawn.get(key, 0.0) < REDRAW_S:
            return
        with self._lock:
            self._names[key] = job_name
            self._drawn[key] = now
            if snapshot.state == "running":  # else its last line is due, and no other
                self._try(lambda lines: lines.show(job_name, key, snapshot))

    def finish(self, key: str, snapshot: Progress) -> None:
        """Show how a job ended; once for each job that was updated."""
        with self._lock:
            name = self._names.pop(key, None)
            self._drawn.pop(key, None)
            if name is None:
                return
            line: str | None = f"{name}: {describe(snapshot)}"
            if snapshot.elapsed_s < SHORT_JOB_S and not snapshot.failed:
                self._told += 1
                if self._told > SHORT_JOBS_TOLD:
                    self._untold += 1
                    line = None
            self._try(lambda lines: lines.end(key, line))

    def write_around(self, stream: TextIO, text: str) -> None:
        """Write what a program printed to its stream so that it does not meet a live line."""
        with self._lock:
            if self._lines is None or not same_terminal(stream, self._stream):
                stream.write(text)
            else:
                self._try(lambda lines: lines.text(stream, text))

    def flush_around(self, stream: TextIO) -> None:
        """The program wants what it printed to be seen now."""
        with self._lock:
            self._try(lambda lines: lines.flush(stream))
        stream.flush()

    def close(self) -> None:
        """Take live lines off the screen and give the streams back. May be called twice."""
        with self._lock:
            if self._untold:
                line, self._untold = f"and {self._untold:,} more short jobs", 0
                self._try(lambda lines: lines.end("", line))
            self._try(lambda lines: lines.close())
            self._names.clear()
            self._drawn.clear()

    def _try(self, act: Callable[[Lines], None]) -> None:
        """A display that cannot be written any more (a closed pipe) is no reason to fail a job."""
        if self._lines is None:
            return
        try:
            act(self._lines)
        except (OSError, ValueError):  # ValueError: the stream was closed
            lines, self._lines = self._lines, None
            lines.abandon()


class PlainLines:
    """Lines for a file, a pipe or a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next: dict[str, float] = {}  # the age at which each job gets its next line

    def show(self, name: str, key: str, snapshot: Progress) -> None:
        age = snapshot.elapsed_s
        if age >= self._next.setdefault(key, PLAIN_EVERY_S):
            self._next[key] = age + max(PLAIN_EVERY_S, age * PLAIN_SHARE)
            self._say(f"{name}: {describe(snapshot)}")

    def end(self, key: str, line: str | None) -> None:
        self._next.pop(key, None)
        if line is not None:
            self._say(line)

    def text(self, stream: TextIO, text: str) -> None:
        stream.write(text)

    def flush(self, stream: TextIO) -> None:
        pass  # nothing was held back

    def close(self) -> None:
        self._next.clear()

    def abandon(self) -> None:
        self._next.clear()

    def _say(self, line: str) -> None:
        # One write: lines of processes that share the pipe stay whole.
        self._stream.write(line + "\n")
        self._stream.flush()


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # no stream at all, or a closed one
        return False


def same_terminal(one: TextIO, other: TextIO) -> bool:
    """Whether what is written to the one appears where the other is drawn."""
    if one is other:
        return True
    try:
        return one.isatty() and os.path.sameopenfile(one.fileno(), other.fileno())
    except (AttributeError, OSError, ValueError):  # a stream without a descriptor
        return False
