"""Live lines on a terminal, drawn by rich, and the program's own prints kept clear of them.

rich is imported when the first bar is drawn: a job that is over before that needs none. rich's own
wrapping of stdout is not used, since it re-flows text, and sends a redirected stdout to the screen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from hanse.client.progress import describe, same_terminal
from hanse.model.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LIVE_AFTER_S: Final = 0.3  # a bar that only flashes up tells nobody anything
BARS: Final = 8  # more would push the program's own output off the screen
NAME_CHARS: Final = 32
HELD_CHARS: Final = 1 << 16  # a print without a newline waits for the rest up to here


class BarLines:
    """One bar for each job, as long as the job runs, and a plain line when it has ended."""

    def __init__(
        self,
        stream: TextIO,
        write_around: Callable[[TextIO, str], None],
        flush_around: Callable[[TextIO], None],
    ) -> None:
        self._stream = stream
        self._write_around = write_around
        self._flush_around = flush_around
        self._bars: Bars | None = None  # while any bar is on the screen
        self._tasks: dict[str, TaskID] = {}
        self._held: dict[int, str] = {}  # by stream: the start of a line that is not ended yet
        self._wrapped: dict[str, Above] = {}  # by its name in sys

    def show(self, name: str, key: str, snapshot: Progress) -> None:
        if key not in self._tasks:
            if snapshot.elapsed_s < LIVE_AFTER_S or len(self._tasks) >= BARS:
                return
            self._tasks[key] = self._live().add_task(_short(name), total=None, text="")
        self._live().update(
            self._tasks[key],
            completed=snapshot.done + snapshot.failed,
            total=snapshot.total,
            text=describe(snapshot),
        )
        self._live().refresh()

    def end(self, key: str, line: str | None) -> None:
        task = self._tasks.pop(key, None)
        if task is not None and self._bars is not None:
            self._bars.remove_task(task)
        if line is not None and self._held:
            self._print("".join(text + "\n" for text in self._held.values()))
            self._held.clear()
        if not self._tasks:
            self.close()
        if line is not None:
            self._print(line + "\n")

    def text(self, stream: TextIO, text: str) -> None:
        if self._bars is None:
            stream.write(text)
            return
        # A line that is not ended yet would be overdrawn by the bar: it waits for its rest.
        whole = self._held.pop(id(stream), "") + text
        cut = whole.rfind("\n") + 1
        if len(whole) - cut > HELD_CHARS:
            cut = len(whole)
        if rest := whole[cut:]:
            self._held[id(stream)] = rest
        if cut:
            self._print(whole[:cut])

    def flush(self, stream: TextIO) -> None:
        # A question to the user, perhaps: it must be read now, so its line is ended for it.
        if text := self._held.pop(id(stream), ""):
            self._print(text + "\n")

    def close(self) -> None:
        bars, held = self._bars, self._held
        self.abandon()
        if bars is not None:
            bars.stop()
        for text in held.values():
            self._print(text)

    def abandon(self) -> None:
        for name, above in self._wrapped.items():
            if getattr(sys, name) is above:  # else somebody redirected it meanwhile
                setattr(sys, name, above.stream)
        self._bars, self._wrapped, self._tasks, self._held = None, {}, {}, {}

    def _live(self) -> Bars:
        if self._bars is None:
            self._bars = _rich_bars(self._stream)
            self._bars.start()
            # rich hides the cursor; a program that is killed now could not give it back.
            self._bars.console.show_cursor(True)
            self._wrap()
        return self._bars

    def _wrap(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and same_terminal(stream, self._stream):
                stream.flush()
                self._wrapped[name] = above = Above(stream, self._write_around, self._flush_around)
                setattr(sys, name, above)

    def _print(self, text: str) -> None:
        if self._bars is None:
            self._stream.write(text)
            self._stream.flush()
        else:
            # crop would cut long lines at the edge of the screen.
            self._bars.console.print(_Raw(text), end="", crop=False)


class Above:
    """Stands in for sys.stdout or sys.stderr: what is written appears above the bars."""

    def __init__(
        self,
        stream: TextIO,
        write_around: Callable[[TextIO, str], None],
        flush_around: Callable[[TextIO], None],
    ) -> None:
        self.stream = stream
        self._write_around = write_around
        self._flush_around = flush_around
        self._pid = os.getpid()

    def write(self, text: str) -> int:
        if os.getpid() != self._pid:  # a fork: the bars, and their lock, are its parent's
            return self.stream.write(text)
        self._write_around(self.stream, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        if os.getpid() == self._pid:
            self._flush_around(self.stream)
        else:
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Raw:
    """Text that reaches the terminal as it is: its own colours, no re-flow."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        yield Segment(self._text)


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"


def _rich_bars(stream: TextIO) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream),
        auto_refresh=False,  # drawn when there is news: no thread of its own
        transient=True,  # the line that stays is the plain one
        redirect_stdout=False,
        redirect_stderr=False,
    )
