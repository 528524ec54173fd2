"""The workers that live: made through the nursery, watched, buried, replaced."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hanse import limits
from hanse.engines.local import plain, slots
from hanse.engines.local.frames import BORN, DIED
from hanse.engines.local.output import Output
from hanse.engines.local.pipes import Owner
from hanse.engines.local.process import Process
from hanse.engines.local.processes import family, kill_group
from hanse.engines.local.pythons import OWN, Python
from hanse.engines.local.spawning import Early, Spawner
from hanse.engines.port import Loop
from hanse.errors import EngineError

if TYPE_CHECKING:
    from hanse.engines.local.sandbox import Sandbox

_SPAWNERS_LOST = 3  # nurseries that may die in a row before a worker lives
_LATE_NS = limits.SECOND  # how long the nursery may take to say that a worker is dead
_OUTPUT_NS = 300 * limits.MS  # a death is told after this even if main's stdout blocks

OnFrames = Callable[[Process, int, list[Any], list[int]], None]
OnDead = Callable[[Process, int | None, str], None]


class Pool:
    """Workers, and for each Python that they run in a nursery that forks them."""

    def __init__(
        self,
        loop: Loop,
        output: Output,
        on_frames: OnFrames,
        on_dead: OnDead,
        early: Early | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._loop = loop
        self._sandbox = sandbox
        self._output = output
        self._on_frames = on_frames
        self._on_dead = on_dead
        self._processes: dict[int, Process] = {}
        self._ending: set[Process] = set()  # dead, their last output on its way
        self._free_slots: list[int] = []
        self._slots = self._numbers = 0
        self._spawners: dict[str, Spawner] = {}  # by the key of their Python
        self._unused: set[str] = set()  # keys of those that end with their last worker
        spawner = early.take() if early else None
        self._board_fd = early.board if early and spawner else slots.make()
        self.board = slots.Board(self._board_fd)
        if spawner is not None:
            self._watch(spawner)
            spawner.ready()
        self._lost_in_a_row = 0
        self.last_words = "not one was started"

    def pids(self) -> list[int]:
        found = [process.pid for process in self._processes.values() if process.pid]
        return [*found, *(spawner.process.pid for spawner in self._spawners.values())]

    # --- making workers ---------------------------------------------------------------------------
    def prepare(self, python: Python = OWN) -> Spawner:
        """Start the nursery ahead of the first work."""
        self._unused.discard(python.key)
        spawner = self._spawners.get(python.key)
        if spawner is None:
            if self._lost_in_a_row >= _SPAWNERS_LOST:
                raise EngineError(
                    f"the process that starts workers ended {_SPAWNERS_LOST} times in a row; "
                    f"the last: {self.last_words}"
                )
            spawner = Spawner(self._board_fd, python=python, sandbox=self._sandbox)
            self._watch(spawner)
        return spawner

    def _watch(self, spawner: Spawner) -> None:
        self._spawners[spawner.python.key] = spawner
        self._loop.watch(spawner.sock.fileno(), lambda: self._on_news(spawner))

    def spawn(self, python: Python = OWN) -> Process:
        """A new worker; works can be sent to it at once, before it lives. Raises EngineError."""
        spawner = self.prepare(python)
        self._numbers += 1
        process = Process(self._numbers, self._slot(), self._loop, python)
        process.path = spawner.path
        self._processes[process.number] = process
        with contextlib.suppress(OSError):  # the nursery is dead: its end of the socket tells
            spawner.fork(process.number, process.slot, process.their_ends())
        process.given_away()
        process.on_readable = lambda: self._read(process)  # type: ignore[method-assign]
        self._loop.watch(process.sock.fileno(), process.on_readable)
        for fd, _ in process.output.reads:
            self._loop.watch(fd, lambda: self._take_output(process))
        self._loop.call_at(
            self._loop.now_ns() + limits.WORKER_START_NS, lambda: self._must_live(process)
        )
        return process

    def _slot(self) -> int:
        slot = self._free_slots.pop() if self._free_slots else self._slots
        if slot == slots.SLOTS:
            raise EngineError(f"more than {slots.SLOTS} workers on one machine")
        self._slots = max(self._slots, slot + 1)
        self.board.clear(slot)
        return slot

    def _must_live(self, process: Process) -> None:
        if not process.pid and not process.dead:
            self.last_words = f"no sign of life for {limits.WORKER_START_NS // limits.SECOND} s"
            self._nursery_lost(process.python.key)

    # --- hearing ----------------------------------------------------------------------------------
    def _read(self, process: Process) -> None:
        if not self._read_once(process):
            self._loop.unwatch(process.sock.fileno())
            process.kill()  # it has ended, or closed a socket that is not its own
            self._loop.call_at(self._loop.now_ns() + _LATE_NS, lambda: self._late(process))

    def _read_once(self, process: Process) -> bool:
        """Handle what is there; false once there will be nothing more."""
        try:
            return self._hear_frames(process)
        except BlockingIOError:
            return True
        except OSError:
            return False
        except plain.Garbled as error:
            process.garbled = str(error)[:200]
            process.killed_for = process.killed_for or "garbled"
            return False

    def _hear_frames(self, process: Process) -> bool:
        try:
            frames = process.inbox.read()
        except ValueError as error:
            raise plain.Garbled(str(error)) from error
        for body, fds in frames or ():
            try:
                self._on_frames(process, *plain.read(body), fds)
            finally:
                while fds:  # nothing took them
                    os.close(fds.pop())
        return frames is not None

    def _late(self, process: Process) -> None:
        if not process.dead:
            self._bury(process, None)

    def _take_output(self, process: Process) -> None:
        """The worker prints: from now on the output thread reads its pipes."""
        if process.output.taken:
            return  # both pipes were ready in one step of the loop
        for fd, _ in process.output.reads:
            self._loop.unwatch(fd)
        self._output.take(process.output)

    def own_output(self, process: Process, owner: Owner | None) -> None:
        """What the worker prints from now on is this run's; None: nobody keeps it."""
        output = process.output
        if not output.taken and not output.is_of(owner) and output.waits():
            self._take_output(process)  # it is the run's before
        self._output.own(output, owner)

    def _on_news(self, spawner: Spawner) -> None:
        key = spawner.python.key
        try:
            for kind, number, value in spawner.news():
                process = self._processes.get(number)
                if process is not None and process.python.key == key:
                    self._hear(process, kind, value)
        except EOFError:
            self._nursery_lost(key)

    def _hear(self, process: Process, kind: int, value: int) -> None:
        if kind == BORN:
            self._lost_in_a_row = 0
            process.pid = self._spawners[process.python.key].pid(value)
            if process.doomed:
                process.kill()
        elif kind == DIED:
            self._bury(process, value)
        else:
            self.last_words = f"a worker cannot be forked: {os.strerror(value or errno.EAGAIN)}"
            self._bury(process, None)

    # --- burying ----------------------------------------------------------------------------------
    def _bury(self, process: Process, status: int | None) -> None:
        """Handle what the worker still said, wait for its last output, then report it dead."""
        if process.dead or process.number not in self._processes:
            return
        self._drain(process)
        del self._processes[process.number]
        process.close()
        if process.garbled:
            self.last_words = f"killed, as its socket brought garbage: {process.garbled}"
        elif status is not None:
            self.last_words = _words(status)
        self._end_unused(process.python.key)
        self._ending.add(process)
        output = process.output
        if not output.taken and output.waits():
            self._take_output(process)
        if not output.taken:
            for fd, _ in output.reads:
                self._loop.unwatch(fd)
            output.close()
            self._dead(process, status)
            return
        self._output.finish(output, lambda: self._loop.post(lambda: self._dead(process, status)))
        self._loop.call_at(self._loop.now_ns() + _OUTPUT_NS, lambda: self._dead(process, status))

    def _drain(self, process: Process) -> None:
        """All frames that the worker sent before it ended."""
        try:
            while not process.garbled and self._hear_frames(process):
                pass
        except (OSError, plain.Garbled):
            pass

    def _dead(self, process: Process, status: int | None) -> None:
        if process in self._ending:
            self._ending.discard(process)
            self._on_dead(process, status, process.output.tail())
            self._free_slots.append(process.slot)

    def _nursery_lost(self, key: str) -> None:
        """The nursery is dead: its workers cannot be trusted to end, so all are replaced."""
        spawner = self._spawners.pop(key, None)
        if spawner is None:
            return
        self._lost_in_a_row += 1
        self._loop.unwatch(spawner.sock.fileno())
        self.last_words = spawner.words() or "the process that starts workers was killed"
        spawner.bury()
        lost = [process for process in self._processes.values() if process.python.key == key]
        for process in lost:
            if process.pid:
                for pid in family(process.pid):
                    kill_group(pid)
        for process in lost:
            self._bury(process, None)

    def unused(self, key: str) -> None:
        """End the nursery of this Python once its last worker has gone, unless it is asked for
        another."""
        self._unused.add(key)
        self._end_unused(key)

    def _end_unused(self, key: str) -> None:
        if key not in self._unused:
            return
        if not any(process.python.key == key for process in self._processes.values()):
            self._unused.discard(key)
            spawner = self._spawners.pop(key, None)
            if spawner is not None:
                self._loop.unwatch(spawner.sock.fileno())
                spawner.bury()

    # --- the end ----------------------------------------------------------------------------------
    def close(self, leaving: list[Process]) -> None:
        """End all workers, forward what they printed, close everything."""
        processes = list(self._processes.values())
        for process in leaving:
            process.leave()
        for spawner in self._spawners.values():
            self._loop.unwatch(spawner.sock.fileno())
            spawner.ask_to_end([process.number for process in leaving])
        for spawner in self._spawners.values():
            spawner.end(self._kill_all, 2.0)
        self._spawners.clear()
        for process in processes:
            process.close()
            for fd, _ in process.output.reads:
                self._loop.unwatch(fd)
            if not process.output.taken and process.output.waits():
                self._output.take(process.output)
            if process.output.taken:
                self._output.finish(process.output, lambda: None)
            else:
                process.output.close()
        self._processes.clear()
        self._output.stop(2.0)
        self.board.memory.close()
        os.close(self._board_fd)

    def _kill_all(self) -> None:
        for process in self._processes.values():
            process.kill()

    def abandon(self) -> None:
        """Close our descriptors in a forked child, and touch no process."""
        for spawner in self._spawners.values():
            spawner.abandon()
        for process in self._processes.values():
            for sock in (process.sock, process.control):
                sock.close()
        self._processes.clear()


def _words(status: int) -> str:
    from hanse.engines.local.crashes import signal_name

    if os.WIFSIGNALED(status):
        return f"ended by {signal_name(os.WTERMSIG(status))}"
    return f"ended with exit code {os.waitstatus_to_exitcode(status)}"
