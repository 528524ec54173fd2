"""Main's view of one worker process: its sockets, and what it holds already."""

from __future__ import annotations

import collections
import socket
import sys
from pickle import dumps
from typing import TYPE_CHECKING, Any

from hanse.engines.local.frames import CONTROL, HEADER, MARK, Inbox, pieces, rights
from hanse.engines.local.pipes import Source
from hanse.engines.local.processes import kill_group
from hanse.engines.local.pythons import OWN, Python
from hanse.engines.port import Loop, Program, Work
from hanse.limits import FRAME_BYTES, FRAME_FILES
from hanse.payloads.files import File
from hanse.payloads.packing import pack
from hanse.payloads.payload import Payload
from hanse.payloads.references import PUT

if TYPE_CHECKING:
    from hanse.engines.local.execution import Execution

_BLOCKS = 4  # blocks that a worker keeps: the pieces of a block that was cut
_BLOCK_BYTES = 4 << 20  # of them; a larger one is an item alone, which cannot be cut
_PUTS = 16  # values that were put; a job seldom refers to more
_PUT_BYTES = 256 << 20  # of them; what is larger is sent with every work
_PROGRAMS = 64
_FUNCTIONS = 1024


class Held:
    """What a worker holds, by number, the longest unused first. Keeps the payload alive, so that
    its identity cannot become another's."""

    def __init__(self, most: int, most_bytes: int = 1 << 62) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._numbers: collections.OrderedDict[Any, tuple[int, Any, int]] = (
            collections.OrderedDict()
        )
        self._next = self._bytes = 0

    def number(self, key: Any, value: Any, nbytes: int = 0) -> tuple[int, bool]:
        """The number of a thing in that worker, and whether it is there already."""
        if key in self._numbers:
            self._numbers.move_to_end(key)
            return self._numbers[key][0], True
        self._next += 1
        self._bytes += nbytes
        self._numbers[key] = self._next, value, nbytes
        return self._next, False

    @property
    def full(self) -> bool:
        """Whether it holds too much."""
        return len(self._numbers) > self._most or self._bytes > self._most_bytes

    def surplus(self) -> list[tuple[int, Any]]:
        """What the worker shall forget after this work."""
        gone = []
        while self._numbers and self.full:
            number, value, nbytes = self._numbers.popitem(last=False)[1]
            self._bytes -= nbytes
            gone.append((number, value))
        return gone


class Process:
    def __init__(self, number: int, slot: int, loop: Loop, python: Python = OWN) -> None:
        self.number = number
        self.slot = slot
        self.python = python
        self._loop = loop
        self.pid = 0  # unknown until the nursery tells
        self.proved = False  # it has ended a run
        self.leaving = False  # it was asked to go
        self.dead = False
        self.doomed = False  # kill it as soon as its pid is known
        self.killed_for = ""  # "timeout", "loading", "memory" or "garbled"
        self.garbled = ""  # what is wrong with what its socket brought; nothing more is read
        self.execution: Execution | None = None
        self.items = 0  # done of programs that limit them
        self.output = Source()
        self.sock, self._their_sock = socket.socketpair()
        self.control, self._their_control = socket.socketpair()
        self.sock.setblocking(False)
        self.inbox = Inbox(self.sock, FRAME_BYTES, FRAME_FILES)
        self._outgoing: collections.deque[tuple[memoryview, list[int], Any]] = collections.deque()
        self._initializers: dict[int, tuple[int, Payload]] = {}  # by id: number, kept alive
        self._programs, self._functions = Held(_PROGRAMS), Held(_FUNCTIONS)
        self._blocks, self._puts = Held(_BLOCKS, _BLOCK_BYTES), Held(_PUTS, _PUT_BYTES)
        self.path: list[str] = []  # its sys.path, as far as main knows
        self.code: str | None = None  # see Program.code; None: it has had no work
        self._authkey = b""  # that it was given

    def their_ends(self) -> list[int]:
        """The descriptors that the worker gets."""
        return [self._their_sock.fileno(), self._their_control.fileno(), *self.output.writes]

    def given_away(self) -> None:
        """The nursery has copies of the worker's ends: close ours."""
        self._their_sock.close()
        self._their_control.close()
        import os

        for fd in self.output.writes:
            os.close(fd)
        self.output.writes = []

    # --- sending ----------------------------------------------------------------------------------
    def send_work(
        self, run: int, work: Work, start: int, stop: int, omit: frozenset[int], careful_until: int
    ) -> None:
        """Send what this worker needs to run the items from `start` to `stop`."""
        files: list[File] = []
        key = work.program.key
        program = self._program(work.program, files)
        functions = {
            number: pack(payload, files)
            for number, payload in work.functions.items()
            if not self._functions.number(number, number)[1]
        }
        blocks = self._some_blocks(work, start, stop, files)
        values = self._values(work, files) if work.values else {}
        saved = {
            item: pack(payload, files)
            for item, payload in work.saved.items()
            if start <= item < stop
        }
        self._send(
            (
                run,
                start,
                stop,
                program,
                functions,
                blocks,
                values,
                dict(work.attempts),
                work.skip,
                omit,
                careful_until,
                self._forget(key),
                self._new_path(work.program.code),
                dict(work.links),
                work.token,
                self._new_authkey() if work.program.family else None,
                saved,
                work.loss_ns,
            ),
            files,
        )

    def _forget(self, program: int) -> tuple[list[int], ...] | None:
        """Blocks, programs, functions and put values that the worker shall forget after a work."""
        held = self._blocks, self._programs, self._functions, self._puts
        if not any(some.full for some in held):
            return None
        return (
            [number for number, _ in self._blocks.surplus()],
            [value for _, value in self._programs.surplus() if value != program],
            [value for _, value in self._functions.surplus()],
            [number for number, _ in self._puts.surplus()],
        )

    def _new_path(self, code: str) -> list[str] | None:
        """Where to import from, if it is not what the worker has: the user may import from new
        places."""
        path = self.python.path()
        if code:
            path = [code, *path]
        if self.path == path:
            return None
        self.path = path
        return self.path

    def _new_authkey(self) -> bytes | None:
        """What multiprocessing's children are trusted by, if the worker has another. A secret."""
        if "multiprocessing.connection" not in sys.modules or self.python is not OWN:
            return None  # nobody can be asked with it yet
        from multiprocessing.process import current_process

        key = bytes(current_process().authkey)
        if key == self._authkey:
            return None
        self._authkey = key
        return key

    def _values(self, work: Work, files: list[File]) -> dict[tuple[str, int], Any]:
        """Results as they are; of values that were put their number, and None if the worker holds
        them."""
        values: dict[tuple[str, int], Any] = {}
        for at, payload in work.values.items():
            if at[0] == PUT:
                key = at, id(payload)
                number, there = self._puts.number(key, payload, payload.nbytes)
                values[at] = number, None if there else pack(payload, files)
            else:
                values[at] = pack(payload, files)
        return values

    def _program(self, program: Program, files: list[File]) -> Any:
        if self._programs.number(program.key, program.key)[1]:
            return program.key
        initializer = self._initializer(program.initializer, files)
        payloads = [pack(one, files) if one else None for one in (program.function, program.fold)]
        careful = program.timeout_ns is not None or program.memory_bytes is not None
        return (
            program.key,
            program.job,
            program.star,
            program.each,
            careful,
            program.memory_bytes,
            program.logged,
            program.trace,
            program.trace_every,
            *payloads,
            initializer,
        )

    def _initializer(self, payload: Payload | None, files: list[File]) -> Any:
        """Its number in that worker and, the first time, itself: programs share one."""
        if payload is None:
            return None
        known = self._initializers.get(id(payload))
        if known is not None:
            return known[0], None
        number = len(self._initializers)
        self._initializers[id(payload)] = number, payload
        return number, pack(payload, files)

    def _some_blocks(self, work: Work, start: int, stop: int, files: list[File]) -> list[Any]:
        """The blocks of the range; None in place of those that the worker holds."""
        blocks = []
        for block in work.blocks:
            payload: Payload = block.payload
            if block.start >= stop or block.start + payload.count <= start:
                continue
            key = (work.program.key, id(payload))
            number, there = self._blocks.number(key, payload, payload.nbytes)
            blocks.append((number, block.start, None if there else pack(payload, files)))
        return blocks

    def _send(self, message: Any, files: list[File]) -> None:
        body = dumps(message, 5)
        if not files and not self._outgoing:
            self._send_at_once(HEADER.pack(MARK, len(body), 0) + body)
            return
        for data, fds in pieces(body, [file.fd for file in files]):
            self._outgoing.append((memoryview(data), fds, files))
        self.flush()

    def _send_at_once(self, data: bytes) -> None:
        """What most works are: one small frame, and nothing before it."""
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is dead: the nursery tells
        if sent < len(data):
            self._outgoing.append((memoryview(data)[sent:], [], []))
            self.flush()

    def flush(self) -> None:
        """Send as much as the socket takes, and the rest when it is ready."""
        waiting = self._outgoing
        try:
            while waiting:
                data, fds, files = waiting[0]
                sent = self.sock.sendmsg([data], rights(fds)) if fds else self.sock.send(data)
                if sent == len(data):
                    waiting.popleft()
                else:
                    waiting[0] = data[sent:], [], files
        except BlockingIOError:
            self._loop.watch(self.sock.fileno(), self.on_readable, self._on_writable)
        except OSError:
            waiting.clear()  # it is dead: the nursery tells

    def on_readable(self) -> None:
        """Set by the engine."""

    def _on_writable(self) -> None:
        self._loop.watch(self.sock.fileno(), self.on_readable)
        self.flush()

    def cut(self, run: int, stop: int) -> None:
        try:
            self.control.send(CONTROL.pack(run, stop))
        except OSError:
            pass  # dead

    # --- ending -----------------------------------------------------------------------------------
    def leave(self) -> None:
        """Let it go when it has nothing to do."""
        self.leaving = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def kill(self) -> None:
        """Kill it with its group; the nursery kills what left the group."""
        if self.dead:
            return
        self.doomed = True
        if self.pid:
            kill_group(self.pid)

    def close(self) -> None:
        """Close the sockets. The pipes are closed by whoever reads them last."""
        self.dead = True
        if self.sock.fileno() >= 0:
            self._loop.unwatch(self.sock.fileno())
        for sock in (self.sock, self.control, self._their_sock, self._their_control):
            sock.close()
        self.inbox.close()
        self._outgoing.clear()
