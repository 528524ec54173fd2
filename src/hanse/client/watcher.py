"""Looks at the jobs of this process a few times a second and shows how far they are.

A thread that asks, and not calls from where results pass: those would cost every result something,
and a job that waits for one long item would stand still on the screen. Jobs are held weakly, since
a job that its user let go of is cancelled.

The switch is the environment's HANSE_PROGRESS=1, which `hanse run` sets. Tasks that use Hanse
themselves show nothing: their jobs are a part of one that is shown.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from typing import Final, Protocol

from hanse.client.progress import ProgressDisplay
from hanse.model.progress import Progress

LOOK_EVERY_S: Final = 0.1
STOP_S: Final = 1.0  # a terminal that was stopped (Ctrl-S) must not keep a program from its end


class Watched(Protocol):
    """What is asked of a job."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    def progress(self) -> Progress: ...


class Watcher:
    """Shows the jobs that it was given on a display until they end."""

    def __init__(self, display: ProgressDisplay) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[str, weakref.ref[Watched]]] = {}  # by id: name, job
        self._last: dict[str, Progress] = {}  # for jobs that are let go of
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def watch(self, job: Watched) -> None:
        """Show this job from now on."""
        with self._lock:
            if self._stop.is_set():
                return
            self._jobs[job.id] = job.name, weakref.ref(job)
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
            for key, (name, reference) in list(self._jobs.items()):
                job = reference()
                snapshot = job.progress() if job is not None else self._last.get(key)
                if snapshot is None:
                    del self._jobs[key]  # let go of before it was ever seen
                    continue
                self._last[key] = snapshot
                self._display.update(name, key, snapshot)
                if last or job is None or snapshot.state != "running":
                    self._display.finish(key, snapshot)
                    del self._jobs[key], self._last[key]
            if not self._jobs and not self._stop.is_set():
                self._news.clear()


_ambient: tuple[int, Watcher] | None = None  # with the process that it belongs to


def ambient() -> Watcher | None:
    """The watcher that all clients of this process share, or None where nobody asked for one.

    One for all: live lines that know nothing of each other would overwrite each other.
    """
    global _ambient
    if os.environ.get("HANSE_PROGRESS") != "1" or os.environ.get("HANSE_DEPTH", "0") != "0":
        return None
    if _ambient is None or _ambient[0] != os.getpid():
        if sys.stderr is None:  # a program without a console
            return None
        watcher = Watcher(ProgressDisplay())
        _ambient = os.getpid(), watcher
        atexit.register(_close, watcher, os.getpid())
    return _ambient[1]


def watch(job: Watched) -> None:
    """Show how far a job is, if the user asked for that."""
    watcher = ambient()
    if watcher is not None:
        watcher.watch(job)


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
