"""A slot of the site: an actor that runs one work at a time on the machine that Ray chose for it.

It is a local engine with one worker, so that all a worker does (stream, cut, cancel, limit, tell
who crashed) is written once. Every call brings commands, and is answered once there is something to
say; the driver always has a call waiting here. Calls may overtake each other and are put in order
by their numbers.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from hanse import limits
from hanse.engines.local.engine import LocalEngine
from hanse.engines.local.sandbox import Sandbox
from hanse.engines.port import Ended, Event, Printed
from hanse.engines.ray.actors_loop import ActorsLoop
from hanse.engines.ray.ferry import Ferry, Landing, Place
from hanse.engines.ray.leftovers import end_detached, programs_below
from hanse.engines.ray.messages import (
    Begin,
    Command,
    Reader,
    Said,
    Shorten,
    Shown,
    Stop,
    Writer,
    Written,
)
from hanse.engines.ray.passage import Door, Passage, contents, files
from hanse.home import home_directory
from hanse.ids import LeaseId

_LOOK_S, _SWEEP_S = 0.4, 2.0  # that Ray may take to answer while something is cancelled
_WAITING = 2  # calls that are kept: one is answered while the next is under way

# Number, what is said, the contents of its files.
Reply = tuple[int, bytes, list[Any]]


class Actor:
    """
    Args:
        sandbox: whether its worker is kept in one.
    """

    def __init__(self, sandbox: bool = False) -> None:
        self._sandboxed = sandbox
        self._engine: LocalEngine | None = None
        self._reader = Reader(Command)
        self._said: list[Said] = []
        self._calls: collections.deque[asyncio.Future[None]] = collections.deque()
        self._early: dict[int, tuple[bytes, tuple[Any, ...]]] = {}
        self._door = Door()
        self._landing: Landing | None = None
        self._passage: Passage | Ferry | None = None
        self._next = self._replies = 0
        self._flow = threading.Condition()
        self._printed = 0  # characters that are on their way
        self._most_printed: float = limits.RAY_OUTPUT
        self._own_path = list(sys.path)
        self._codes: tempfile.TemporaryDirectory[str] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._programs: set[str] = set()  # of Ray, that run here and are being cancelled

    async def machine(self) -> tuple[str, str, Place]:
        """Where it is: Ray's id of the machine, its door there, and where others may land."""
        import ray

        loop = asyncio.get_running_loop()
        loop.add_reader(self._door.sock, self._knocked, loop)

        def landed(out: socket.socket, back: socket.socket) -> None:
            loop.call_soon_threadsafe(self._landed, loop, out, back)

        self._landing = Landing(ray.util.get_node_ip_address(), landed)
        loop.add_reader(self._landing.sock, self._landing.open)
        return str(ray.get_runtime_context().get_node_id()), self._door.name, self._landing.place

    async def talk(self, number: int, commands: bytes, *given: Any) -> Reply:
        """Take commands with the contents of their files, and say what there is to say, sooner or
        later. Where there is a way beside Ray, both go there, and calls only wait for the end."""
        self._early[number] = commands, given
        self._follow_in_order()
        if not self._said or self._passage is not None:
            if len(self._calls) >= _WAITING:
                self._calls.popleft().set_result(None)
            call = asyncio.get_running_loop().create_future()
            self._calls.append(call)
            await call
        return self._reply()

    async def stop(self) -> Reply:
        """End the worker with all its children; what is left to say."""
        if self._engine is not None:
            self._programs |= await _told(programs_below, _LOOK_S)
            with self._flow:
                self._most_printed = math.inf  # it is little: what the pipes hold
                self._flow.notify_all()
            self._engine.close()
            await self._sweep()
        await asyncio.sleep(0)  # what was posted by the output thread
        while self._calls:
            self._calls.popleft().set_result(None)
        if self._codes is not None:
            self._codes.cleanup()
        return self._reply()

    # --- saying -----------------------------------------------------------------------------------
    def _speak(self) -> tuple[int, bytes, Writer]:
        """The next reply, with its number."""
        said, self._said = self._said, []
        number, self._replies = self._replies, self._replies + 1
        writer = Writer()
        return number, writer.write(said) if said else b"", writer

    def _reply(self) -> Reply:
        number, data, writer = self._speak()
        return number, data, contents([file.fd for file in writer.files])

    def _say(self, said: Said) -> None:
        if not self._said and (self._calls or self._passage is not None):
            # Not at once: the engine may have more to say in this turn.
            asyncio.get_running_loop().call_soon(self._answer)
        self._said.append(said)

    def _answer(self) -> None:
        if self._said and self._passage is not None:
            number, data, writer = self._speak()
            with contextlib.suppress(OSError):  # the driver is gone: Ray will end this
                self._passage.send(number, data, [file.fd for file in writer.files])
        elif self._said and self._calls:
            self._calls.popleft().set_result(None)

    def _print(self, piece: Printed | Written) -> None:
        """In the output thread, which waits while too much is on its way."""
        with self._flow:
            self._flow.wait_for(lambda: self._printed < self._most_printed)
            self._printed += len(piece.text)
        self._loop.post(lambda: self._say(piece))

    # --- following --------------------------------------------------------------------------------
    def _knocked(self, loop: asyncio.AbstractEventLoop) -> None:
        passage = self._door.open()
        if passage is not None and self._passage is None:
            self._passage = passage
            loop.add_reader(passage.sock, self._arrived, loop, passage)
            self._stop_landing(loop)
            self._answer()  # what waited for a call

    def _landed(
        self, loop: asyncio.AbstractEventLoop, out: socket.socket, back: socket.socket
    ) -> None:
        """The driver came from another machine; when it is gone, so is this actor soon."""
        self._stop_landing(loop)

        def moved() -> None:
            loop.call_soon_threadsafe(self._follow_in_order)

        self._passage = Ferry(out, back, moved, lost=lambda: None)
        self._answer()

    def _stop_landing(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._landing is not None:
            loop.remove_reader(self._landing.sock)
            self._landing.close()
            self._landing = None

    def _arrived(self, loop: asyncio.AbstractEventLoop, passage: Passage) -> None:
        if not passage.read():
            loop.remove_reader(passage.sock)
        self._follow_in_order()

    def _follow_in_order(self) -> None:
        while True:
            if (called := self._early.pop(self._next, None)) is not None:
                commands, fds = called[0], files(called[1])
            elif self._passage is not None and (came := self._passage.take(self._next)):
                commands, fds = came
            else:
                return
            self._next += 1
            if commands:
                self._follow(commands, fds)

    def _follow(self, commands: bytes, fds: list[int]) -> None:
        for command in self._reader.read(commands, fds):
            match command:
                case Begin():
                    self._begin(command)
                case Shorten(run, stop):
                    self._running().cut(LeaseId(run), stop)
                case Stop(run):
                    stopping = asyncio.ensure_future(self._cancel(LeaseId(run)))
                    self._stopping.add(stopping)
                    stopping.add_done_callback(self._stopping.discard)
                case Shown(size):
                    with self._flow:
                        self._printed -= size
                        self._flow.notify_all()

    async def _cancel(self, run: LeaseId) -> None:
        """End a run, and hear first which programs of Ray are in it."""
        self._programs |= await _told(programs_below, _LOOK_S)
        self._running().cancel(run)

    async def _sweep(self) -> None:
        programs, self._programs = self._programs, set()
        if programs:
            await _told(partial(end_detached, programs), _SWEEP_S)

    async def _end_swept(self, ended: Ended) -> None:
        await self._sweep()
        self._say(ended)

    def _emit(self, event: Event) -> None:
        if isinstance(event, Ended) and self._programs:
            stopping = asyncio.ensure_future(self._end_swept(event))
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
        else:
            self._say(event)

    def _running(self) -> LocalEngine:
        if self._engine is None:
            _show_cluster()
            self._loop = ActorsLoop(asyncio.get_running_loop())
            self._engine = LocalEngine(
                self._loop,
                self._emit,
                forward=lambda stream, text: self._print(Written(stream, text)),
                printed=self._print,
                max_idle=1,
                sandbox=self._sandbox() if self._sandboxed else None,
            )
        return self._engine

    def _sandbox(self) -> Sandbox:
        """Around the worker: it sees nothing of Ray, nor of this machine's secrets."""
        hidden = [str(home_directory())]
        if key := os.environ.get("RAY_TLS_SERVER_KEY"):
            hidden.append(str(Path(key).parents[1]))  # where the node, or `hanse join`, keeps all
        return Sandbox(hidden, shown=[str(self._code_directory())])

    def _begin(self, begin: Begin) -> None:
        if begin.path is not None:
            told = [path for path in begin.path if path not in self._own_path]
            sys.path[:] = [*told, *self._own_path]
        work = begin.work
        if work.program.code:
            code = self._code(work.program.code, begin.code)
            program = msgspec.structs.replace(work.program, code=code)
            work = msgspec.structs.replace(work, program=program)
        self._running().start(work)
        self._reader.forget(begin.forget)

    def _code(self, name: str, files: dict[str, bytes] | None) -> str:
        """The directory with these modules here; written when they come."""
        root = self._code_directory() / name.strip("/").replace("/", "-")
        for file, data in (files or {}).items():
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return str(root)

    def _code_directory(self) -> Path:
        if self._codes is None:
            self._codes = tempfile.TemporaryDirectory(prefix="hanse-code-", dir=_session())
        return Path(self._codes.name)


async def _told(ask: Callable[[], set[str] | None], timeout_s: float) -> set[str]:
    """What Ray says to that, if it does."""
    with contextlib.suppress(Exception):
        return await asyncio.wait_for(asyncio.to_thread(ask), timeout_s) or set()
    return set()


def _show_cluster() -> None:
    """A program that an item runs finds this cluster by `ray.init()`, as a driver of its own: what
    Ray told this process about itself is not for it."""
    import ray

    for name in ("RAY_JOB_ID", "RAY_RAYLET_PID", "RAY_CLIENT_MODE", "PYTHONBREAKPOINT"):
        os.environ.pop(name, None)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address


def _session() -> str | None:
    """Ray's directory of this start of the cluster, which goes with it."""
    from ray._private import worker

    node = worker._global_node
    return str(node.get_session_dir_path()) if node is not None else None
