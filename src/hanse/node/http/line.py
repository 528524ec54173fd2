"""One connection of HTTP, with bounds for whoever is on it: nobody has shown a token yet.

uvicorn and its parser take a request line, headers and trailers of any length, for as long as they
come; here they have a size and a deadline.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hanse import limits
from hanse.errors import HanseError
from hanse.node.http.peers import Connections
from hanse.node.http.problems import HEADERS

if TYPE_CHECKING:
    import uvicorn

    from hanse.node.identity import Identity

_logger = logging.getLogger("hanse")


def _refusal(status: str) -> bytes:
    """An answer to what is no request, as all others have it, without a body."""
    headers = {**HEADERS, "content-length": "0", "connection": "close"}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


_TOO_LONG = _refusal("431 Request Header Fields Too Large")
_UNREADABLE = _refusal("400 Bad Request")
_PIECE = 16 * limits.KIB  # a head is looked at after each


class Line(HttpToolsProtocol):
    """Ends a connection whose head (or trailer) is too long, or too long on its way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moved = False  # the parser got somewhere: a head ended, a part of a body came
        self._stuck_bytes = 0  # came since then
        self._in_body = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:  # it would hold all of this for 75 s
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def data_received(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.transport.is_closing():
            piece = data[at:] if self._in_body else data[at : at + _PIECE]
            at += len(piece)
            self._moved = False
            super().data_received(piece)
            self._stuck_bytes = 0 if self._moved else self._stuck_bytes + len(piece)
            if self._stuck_bytes > limits.HEAD_BYTES and not self.transport.is_closing():
                if self.cycle is None or self.cycle.response_complete:
                    self.transport.write(_TOO_LONG)
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self.transport.write(_UNREADABLE)
        self.transport.close()

    # --- what the parser says -------------------------------------------------------------------
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect()

    def on_headers_complete(self) -> None:
        self._moved = self._in_body = True
        self._came()
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._moved = True

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved, self._in_body = True, False
        self._came()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body:  # refused before all of it came: the rest has to come soon
            self._expect()

    # --- the deadline ---------------------------------------------------------------------------
    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(limits.HEAD_S, self._late)

    def _came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        # Otherwise an answer is still on its way to somebody who pipelines: the connection ends
        # with that, or when the next head is late.


class Listening(socket.socket):
    """A socket that has at most so many connections: the descriptors that are left are for jobs."""

    connections = Connections(limits.NODE_LINES, limits.NODE_LINES_EACH)

    def bound(self, most: int) -> None:
        """Have no more connections than that, and of one address no more than a quarter."""
        most = min(most, limits.NODE_LINES)
        self.connections = Connections(most, min(most // 4, limits.NODE_LINES_EACH))

    def accept(self) -> tuple[socket.socket, Any]:
        line, peer = super().accept()
        if not self.connections.enter(line, peer[0]):
            line.close()
            raise ConnectionAbortedError("there are too many connections")
        return line, peer


class _Loop(asyncio.SelectorEventLoop):
    """Bounds how long TLS may take to be agreed upon, which the server leaves at a minute."""

    async def create_server(self, *args: Any, **more: Any) -> asyncio.Server:
        if more.get("ssl") is not None:
            more.setdefault("ssl_handshake_timeout", limits.HANDSHAKE_S)
        return await super().create_server(*args, **more)


def serve(
    server: uvicorn.Server, listening: Listening, renewed: Callable[[], Identity | None]
) -> None:
    """Run the server until it shall exit.

    Args:
        renewed: looks whether the certificate grows old, makes it anew then, and returns what to
            show from then on; nothing without TLS.
    """
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(_serve(server, listening, renewed))


async def _serve(
    server: uvicorn.Server, listening: Listening, renewed: Callable[[], Identity | None]
) -> None:
    renewing = asyncio.create_task(_renew(server, renewed))
    try:
        await server.serve([listening])
    finally:
        renewing.cancel()


async def _renew(server: uvicorn.Server, renewed: Callable[[], Identity | None]) -> None:
    """New connections get the new certificate; clients trust its authority, which stays."""
    while True:
        await asyncio.sleep(limits.RENEW_S)
        try:
            found = await asyncio.to_thread(renewed)
            if found is not None and server.config.ssl is not None:
                server.config.ssl.load_cert_chain(found.chain, found.key)
        except (HanseError, OSError) as error:
            _logger.error("hanse: the node's certificate cannot be made anew: %s", error)


def raise_descriptors() -> int:
    """As many descriptors as this user may have; returns how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):  # some systems have a smaller limit that they do not tell
            pass
    return soft if soft != resource.RLIM_INFINITY else 1 << 30
