"""The nursery: a small process that forks workers, buries them, and outlives nobody.

Main has threads, so it must not fork itself. The nursery has one thread and none of the user's
modules. It adopts what workers leave behind (as a subreaper), and when main is gone, however it
went, it kills everything and goes too.

It never looks for garbage: it makes none, and imports take a sixth less time. Workers do, but not
among what they were born with, whose pages they would then have to copy.
"""

from __future__ import annotations

# The enums of `signal` take 4 ms to import.
import _signal as signal  # type: ignore[import-not-found]
import _socket
import gc
import os
import sys
import time
from select import POLLIN, poll

from hanse.engines.local import worker
from hanse.engines.local.frames import BORN, DIED, NEWS, UNBORN, Inbox
from hanse.engines.local.processes import kill_group, orphans
from hanse.engines.local.slots import Board
from hanse.payloads.pickling import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GRACE_S = 0.5  # for workers that were asked to leave
_IDLE_MS = 3  # a first call of what workers can import asks for one within a ms or two

# What cloudpickle needs, in pieces of 3 to 7 ms: between two of them a request is answered.
_BY_VALUE = ("inspect", "typing", "logging", "cloudpickle")


class Nursery:
    def __init__(self, sock: Any, config: dict[str, Any], inbox: Inbox) -> None:
        self._sock = sock
        self._config = config
        self._inbox = inbox
        self._board = Board(config["board"])
        self._workers: dict[int, int] = {}  # pid: worker
        self._leaving: set[int] = set()  # numbers of workers
        self._main = config["main"]
        self._wake, wake = os.pipe()
        for fd in (self._wake, wake):
            os.set_blocking(fd, False)
        self._signals = wake
        _reset_signals()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self._reaper = self._warm = False
        self._imports: list[str] = []  # still to come while main asks for nothing
        self._idle_ms = 0  # how long it must ask for nothing before

    def serve(self, frames: list[tuple[Any, list[int]]]) -> None:
        """Fork and bury until main is gone."""
        watcher = poll()
        watcher.register(self._sock.fileno(), POLLIN)
        watcher.register(self._wake, POLLIN)
        while True:
            for body, fds in frames:
                self._command(loads(body), fds)
            frames = []
            ready = watcher.poll(self._idle_ms if self._imports else 1000)
            if not ready and self._imports:
                self._import_next()
            elif not ready:
                self._warm_up()
                self._bury()  # whatever became of the signal
            for fd, _ in ready:
                if fd == self._wake:
                    self._bury()
                else:
                    more = self._inbox.read()
                    if more is None:
                        return
                    frames = more
            # A forked child of main may hold our socket open. A sandbox sees to that itself.
            if self._main and os.getppid() != self._main:
                return

    def _command(self, command: tuple[Any, ...], fds: list[int]) -> None:
        if command[0] == "fork":
            self._imports = []  # the worker needs the core
            self._fork(command[1], command[2], fds)
            self._become_reaper()
        elif command[0] == "ready":
            if not self._config["by_value"]:  # else it has begun already
                self.prepare(_IDLE_MS)
        else:
            self._leaving = set(command[1])

    def _fork(self, number: int, slot: int, fds: list[int]) -> None:
        gc.freeze()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(UNBORN, number, error.errno or 0)
        else:
            if pid == 0:
                self._child(slot, fds)
            self._workers[pid] = number
            self._tell(BORN, number, pid)
        for fd in fds:
            os.close(fd)

    def _child(self, slot: int, fds: list[int]) -> None:
        try:
            gc.enable()
            os.setsid()
            signal.set_wakeup_fd(-1)
            for changed in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
                signal.signal(changed, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            work, control, out, err, notes = fds
            os.dup2(out, 1)
            os.dup2(err, 2)
            for fd in (out, err, self._sock.detach(), self._wake, self._signals):
                os.close(fd)
            worker.main(work, control, notes, self._board, slot, self._config)
        except BaseException:  # noqa: BLE001 - nothing may climb out of a fork
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _become_reaper(self) -> None:
        """Adopt orphans; after the first fork, because ctypes takes 6 ms to import."""
        if not self._reaper:
            self._reaper = True
            from hanse.engines.local.processes import become_subreaper

            become_subreaper()

    def prepare(self, idle_ms: int) -> None:
        """Functions may come by value. Import cloudpickle, once for all workers, while main asks
        for none of them; not before it has asked for nothing so long."""
        self._imports, self._idle_ms = list(_BY_VALUE), idle_ms

    def prepare_at_once(self) -> None:
        """Functions will come by value: import cloudpickle before any worker."""
        self.prepare(0)
        while self._imports:
            self._import_next()

    def _import_next(self) -> None:
        self._idle_ms = 0
        try:
            __import__(self._imports.pop(0))
        except Exception:  # noqa: BLE001 - a module of the user's may have that name
            pass  # or it may need what `site` adds; the worker tries again with that

    def _warm_up(self) -> None:
        """Import with idle time what most workers need, so that later ones are born with it."""
        if self._reaper and not self._warm:
            self._warm = True
            self._imports = ["traceback", *_BY_VALUE]

    def _tell(self, kind: int, number: int, value: int) -> None:
        try:
            self._sock.sendall(NEWS.pack(kind, number, value))
        except OSError:
            pass  # main is gone: the next read says so

    def _bury(self) -> None:
        """Take leave of every child that ended, and kill what it left behind."""
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            pass
        dead = []
        while (pid := _ended()) is not None:
            number = self._workers.get(pid)
            if number is not None:
                kill_group(pid)  # before it is reaped, so the number cannot be another's yet
                del self._workers[pid]
            status = os.waitpid(pid, 0)[1]
            if number is not None:
                dead.append((number, status))
        self._sweep()
        for number, status in dead:
            self._tell(DIED, number, status)

    def _sweep(self) -> bool:
        """Kill adopted orphans; true if there were any."""
        found = [pid for pid in orphans() if pid not in self._workers]
        for pid in found:
            kill_group(pid)
        return bool(found)

    def end(self) -> None:
        """Kill every worker, its group and its orphans."""
        deadline = time.monotonic() + _GRACE_S
        while self._leaving.intersection(self._workers.values()) and time.monotonic() < deadline:
            for pid, number in self._workers.items():
                if number not in self._leaving:
                    kill_group(pid)
            self._bury()
            time.sleep(0.001)
        for pid in self._workers:
            kill_group(pid)
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            self._bury()
            if not self._workers and not self._sweep():
                return
            time.sleep(0.001)


def _reset_signals() -> None:
    """Block and ignore nothing that main's thread happened to block or ignore; workers inherit it.

    Python itself ignores two signals, whose errors it raises."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        ours = number in (signal.SIGPIPE, signal.SIGXFSZ)
        if not ours and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _ended() -> int | None:
    """A child that has ended and is not reaped yet."""
    try:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return info.si_pid if info else None


def main(fd: int) -> None:
    """Run a nursery on a socket to main."""
    sock = _socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    inbox = Inbox(sock)
    frames: list[tuple[Any, list[int]]] = []
    while not frames:
        more = inbox.read()
        if more is None:
            return
        frames = more
    body, fds = frames.pop(0)
    config = loads(body)
    config["board"] = fds[0]
    sys.path[:] = config["path"]
    sys.argv[:] = config["argv"]
    sys.prefix, sys.exec_prefix = config["prefix"]
    nursery = Nursery(sock, config, inbox)
    if config["cloudpickle"]:
        nursery.prepare_at_once()
    elif config["by_value"]:
        nursery.prepare(0)
    elif not config["early"]:
        nursery.prepare(_IDLE_MS)
    try:
        nursery.serve(frames)
    finally:
        nursery.end()
        os._exit(0)
