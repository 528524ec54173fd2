"""Looks at the jobs of this process a few times a second and shows how far they are.

A thread that asks, and not calls from where results pass: those would cost every result something,
and a job that waits for one long item would stand still on the screen. It must not hold the job
itself, since a job that its user let go of is cancelled: it holds a function that tells how far.

The switch is the environment's HANSE_PROGRESS=1, which `hanse run` sets; in a notebook it is on
unless HANSE_PROGRESS=0. Tasks that use Hanse
themselves show nothing: their jobs are a part of one that is shown.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol

from hanse.client.job import in_notebook, watching
from hanse.client.progress import ProgressDisplay
from hanse.model.progress import Progress

LOOK_EVERY_S: Final = 0.1
STOP_S: Final = 1.0  # a terminal that was stopped (Ctrl-S) must not keep a program from its end


class Display(Protocol):
    """See `hanse.client.progress.ProgressDisplay`."""

    def update(self, job_name: str, key: str, snapshot: Progress) -> None: ...
    def finish(self, key: str, snapshot: Progress) -> None: ...
    def close(self) -> None: ...


class Watcher:
    """Shows the jobs that it was given on a display until they end."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[str, Callable[[], Progress]]] = {}  # by id; all not ended
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def watch(self, id: str, name: str, progress: Callable[[], Progress]) -> None:
        """Show this job from now on until it has ended. `progress` is called ten times a second."""
        with self._lock:
            if self._stop.is_set():
                return
            self._jobs[id] = name, progress
            self._news.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="hanse-progress", daemon=True
                )
                self._thread.start()

    def settle(self) -> None:
        """Show the last line of each job that has ended; what is printed next comes after it."""
        self._look()

    def close(self) -> None:
        """Show every job for the last time, and leave the screen to whoever writes next."""
        with self._lock:
            self._stop.set()
            thread, self._thread = self._thread, None
            self._news.set()
        if thread is not None:
            thread.join(STOP_S)
        self._look(last=True)
        self._display.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait()  # nothing to look at costs nothing
            self._look()
            self._stop.wait(LOOK_EVERY_S)

    def _look(self, last: bool = False) -> None:
        with self._lock:
            for id, (name, progress) in list(self._jobs.items()):
                snapshot = progress()
                self._display.update(name, id, snapshot)
                if last or snapshot.state != "running":
                    self._display.finish(id, snapshot)
                    del self._jobs[id]
            if not self._jobs and not self._stop.is_set():
                self._news.clear()


_ambient: tuple[int, Watcher] | None = None  # with the process that it belongs to


def ambient() -> Watcher | None:
    """The watcher that all clients of this process share, or None where nobody asked for one.

    One for all: live lines that know nothing of each other would overwrite each other.
    """
    global _ambient
    if not watching() or os.environ.get("HANSE_DEPTH", "0") != "0":
        return None
    if _ambient is None or _ambient[0] != os.getpid():
        if sys.stderr is None:  # a program without a console
            return None
        watcher = Watcher(_display())
        _ambient = os.getpid(), watcher
        atexit.register(_close, watcher, os.getpid())
    return _ambient[1]


def _display() -> Display:
    if not in_notebook():
        return ProgressDisplay()
    from hanse.client.notebook import NotebookDisplay

    return NotebookDisplay()


def watch(id: str, name: str, progress: Callable[[], Progress]) -> None:
    """Show how far a job is, if the user asked for that."""
    watcher = ambient()
    if watcher is not None:
        watcher.watch(id, name, progress)


def settle() -> None:
    """A job was used up: show its last line before the program's next word."""
    if _ambient is not None and _ambient[0] == os.getpid():
        _ambient[1].settle()


def close() -> None:
    """The program has ended, well or badly: clear the screen for what comes after it."""
    if _ambient is not None:
        _close(_ambient[1], _ambient[0])


def _close(watcher: Watcher, pid: int) -> None:
    if pid == os.getpid():  # a fork's screen is its parent's
        watcher.close()
