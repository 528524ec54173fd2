"""A worker: takes one work at a time from its socket, runs it, streams results back.

The main thread owns the work socket and waits in `recv`, so a work costs no hop between threads.
A second thread listens on the control socket: cuts come there, and its end means that main is gone.
"""

from __future__ import annotations

import _socket
import _thread
import os
import sys
import time
from _pickle import dumps
from select import POLLIN, poll

from hanse.engines.local import current, frames, printing
from hanse.engines.local.processes import KILL, data_bytes, die_with_parent
from hanse.engines.local.programs import LoadFailed, Store
from hanse.engines.local.running import Runner
from hanse.limits import FLUSH_NS
from hanse.payloads.packing import unpack
from hanse.payloads.pickling import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hanse.engines.local.programs import Loaded
    from hanse.engines.local.slots import Board

_AWAKE_NS = 1_000_000_000  # the control thread looks around this long after the last work
_SLACK = 32 << 20  # thread stacks and the like, beside the memory= of an item


class Worker:
    def __init__(
        self, work: int, control: int, notes: int, board: Board, slot: int, config: dict[str, Any]
    ) -> None:
        self._path: list[str] = config["path"]  # main's sys.path, as it was last told
        self._sock: Any = _socket.socket(fileno=work)
        self._control: Any = _socket.socket(fileno=control)
        self._inbox = frames.Inbox(self._sock)
        self._store = Store()
        self._runner = Runner(board.memory, slot, self._send)
        self._streams = printing.Streams(self._runner, notes)
        self._runner.ring = self._streams.ring
        self._asleep = False
        self._wake_read, self._wake_write = os.pipe()
        self._limited = False
        self._traced = False
        saver = self._runner.saver
        current.provide(self._runner.current, lambda: self._runner.token, saver)

    def _send(self, message: Any, files: list[Any]) -> None:
        body = dumps(message, 5)
        try:
            frames.send(self._sock, body, [file.fd for file in files])
        except OSError:
            _vanish()  # nobody is there to work for

    # --- main thread ------------------------------------------------------------------------------
    def serve(self) -> None:
        """Run works until main closes the socket."""
        _thread.start_new_thread(self._listen, ())
        while (some := self._inbox.read()) is not None:
            for body, fds in some:
                self._work(loads(body), fds)

    def _work(self, message: tuple[Any, ...], fds: list[int]) -> None:
        (
            run,
            start,
            stop,
            packed,
            functions,
            blocks,
            values,
            attempts,
            skip,
            omit,
            careful_until,
            forget,
            path,
            links,
            token,
            authkey,
            saved,
            loss_ns,
        ) = message
        runner, store = self._runner, self._store
        if path is not None:
            self._follow(path)
        if authkey is not None:
            from multiprocessing.process import current_process

            current_process().authkey = authkey
        program = store.program(packed, fds)
        if program.trace or self._traced:
            self._trace(program)
        runner.begin(run, start, stop, program, attempts, careful_until, links, token)
        if self._asleep:  # looked at after `run` is set, as the other thread does the reverse
            self._asleep = False
            os.write(self._wake_write, b"\0")
        try:
            store.add(functions, blocks, values, fds)
            kept = {item: unpack(one, fds) for item, one in saved.items()}
            runner.saver.begin(program.job, kept, loss_ns)
            with store.providing(runner.own.find if runner.own else None):
                inputs = store.inputs(program, blocks)
                if program.memory_bytes or self._limited:
                    self._limit(program.memory_bytes)
                for at, some in inputs:
                    runner.block(at, some, skip, omit)
        except LoadFailed as failed:
            runner.fail_all(failed.cause, failed.error)
        self._streams.settle()
        runner.flush(end=True)
        runner.saver.end()
        if forget is not None:
            store.forget(*forget)

    def _trace(self, program: Loaded) -> None:
        """What the items of this work do hangs below their spans, or below none again."""
        from hanse.engines.local import tracing  # most programs need none of it

        tracing.begin(program.trace, program.trace_every)
        self._traced = bool(program.trace)

    def _follow(self, path: list[str]) -> None:
        """Import from where main does now; what was added here stays, at the end."""
        own = [one for one in sys.path if one not in self._path]
        self._path = path
        sys.path[:] = path + [one for one in own if one not in path]
        importlib = sys.modules.get("importlib")
        if importlib is not None:
            importlib.invalidate_caches()

    def _limit(self, memory_bytes: int | None) -> None:
        """A backstop: a sudden huge allocation raises MemoryError before the machine suffers."""
        try:
            import resource

            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            soft = data_bytes() + memory_bytes + _SLACK if memory_bytes else hard
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
            self._limited = memory_bytes is not None
        except (ImportError, OSError, ValueError):
            pass  # main looks at resident memory in any case

    # --- control thread ---------------------------------------------------------------------------
    def _listen(self) -> None:
        """Hear cuts; stream results of a run whose current item takes long."""
        watcher = poll()
        watcher.register(self._control.fileno(), POLLIN)
        watcher.register(self._wake_read, POLLIN)
        active, first = time.monotonic_ns(), True
        while True:
            busy = self._runner.run != 0
            now = time.monotonic_ns()
            active = now if busy else active
            self._asleep = now - active > _AWAKE_NS
            if self._runner.run:
                self._asleep = False
            ready = watcher.poll(None if self._asleep else FLUSH_NS // 1_000_000)
            for fd, _ in ready:
                if fd == self._wake_read:
                    os.read(fd, 64)
                    active = time.monotonic_ns()
                else:
                    self._hear()
            if not ready and busy:
                self._runner.stream()
            if first and not ready:
                first = False
                die_with_parent()  # not before, because ctypes takes 6 ms to import

    def _hear(self) -> None:
        data = self._control.recv(frames.CONTROL.size, _socket.MSG_WAITALL)
        if len(data) < frames.CONTROL.size:
            _vanish()
        self._runner.cut(*frames.CONTROL.unpack(data))


def _vanish() -> None:
    """End this process and its group at once: main is gone."""
    os.killpg(0, KILL)


def main(
    work: int, control: int, notes: int, board: Board, slot: int, config: dict[str, Any]
) -> None:
    """Be a worker, in a process that the nursery has just forked."""
    worker = Worker(work, control, notes, board, slot, config)
    worker.serve()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    printing.flush()
    os._exit(0)
