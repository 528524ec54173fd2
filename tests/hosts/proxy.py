"""A TCP proxy that keeps what passes for a while, as a long way does. Standard library only.

    python -m hosts.proxy '[{"name": "far", "listen": "10.1.1.1", "to": "10.1.0.2", "port": 7437,
                             "round_trip_ms": 150}]'

Each direction takes half of the round trip; bytes stay in order and may follow each other as fast
as ever, up to 1,024 pieces on their way. What a client sends first comes one round trip later: that
is its handshake, which the kernel finished with the proxy instead of the far end.

Commands come as lines of JSON, and each is answered with one: ["hang", "far"] lets nothing through
and keeps connections, ["reset", "far"] ends all and refuses new ones, ["heal", "far"] undoes both,
["count", "far"] says how many connections there are. It ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from typing import Any

_PIECE = 1 << 16
_PIECES = 1024
_LINGER = struct.pack("ii", 1, 0)  # closing is a reset


class Route:
    """One way: who connects to it is connected to `to`."""

    def __init__(self, name: str, listen: str, to: str, port: int, round_trip_ms: float) -> None:
        self.name, self._listen, self._to, self._port = name, listen, to, port
        self._one_way_s = round_trip_ms / 2000
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        await asyncio.start_server(self._serve, self._listen, self._port, backlog=1024)

    def hang(self) -> None:
        self._flows.clear()

    def reset(self) -> None:
        self._refuses = True
        for writer in list(self._open):
            _break(writer)

    def heal(self) -> None:
        self._refuses = False
        self._flows.set()

    def count(self) -> int:
        return len(self._open) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _break(writer)
            return
        ends = {writer}
        try:
            there_reads, there_writes = await asyncio.open_connection(self._to, self._port)
            ends.add(there_writes)
            self._open |= ends
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, there_writes, 2 * self._one_way_s))
                both.create_task(self._carry(there_reads, writer, 0.0))
        except* OSError:
            for end in ends:
                _break(end)
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, extra_s: float
    ) -> None:
        """One direction, until its end has passed. Raises OSErrors if either side breaks."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)
        now_s = asyncio.get_running_loop().time
        not_before_s = now_s() + extra_s

        async def take() -> None:
            piece = b"first"
            while piece:
                piece = await reader.read(_PIECE)
                await way.put((max(now_s(), not_before_s) + self._one_way_s, piece))

        async def give() -> None:
            piece = b"first"
            while piece:
                due_s, piece = await way.get()
                await asyncio.sleep(due_s - now_s())
                await self._flows.wait()
                if piece:
                    writer.write(piece)
                    await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as direction:
            direction.create_task(take())
            direction.create_task(give())


def _break(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, and let the other side know by a reset."""
    with contextlib.suppress(OSError):
        there: Any = writer.get_extra_info("socket")
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    writer.transport.abort()


async def main(routes: list[dict[str, Any]]) -> None:
    known = {about["name"]: Route(**about) for about in routes}
    for route in known.values():
        await route.start()
    print(json.dumps("ready"), flush=True)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        verb, name = json.loads(line)
        answer = getattr(known[name], verb)()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
