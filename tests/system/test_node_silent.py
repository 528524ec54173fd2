"""Who begins to send and falls silent, or hardly sends, does not keep its room."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from system.real import until

from hanse.limits import MIB
from hanse.node.audit import Audit
from hanse.node.daemon import server_for
from hanse.node.http.app import Route
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.http.line import Listening, serve
from hanse.node.tokens import Right, Role, Tokens
from hanse.payloads.parcel import wrap
from hanse.payloads.payload import dump_each


class Server:
    """A node's server with one route, which takes bodies; in a thread here."""

    def __init__(self, directory: Path, bodies: Bodies) -> None:
        self.bodies = bodies
        self.tokens, audit = Tokens(directory / "tokens.json"), Audit(directory / "audit.log")
        self.secret = self.tokens.create(Role.SUBMIT, "ann", None)[1]
        route = Route("PUT", "/take", Right.SUBMIT, self.take)
        self._server: Any = server_for(
            None, self.tokens, audit, None, ["127.0.0.1"], [route], bodies
        )
        self._socket = Listening(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(
            target=serve, args=(self._server, self._socket, lambda: None)
        )
        self._thread.start()
        until(lambda: self._server.started)

    async def take(self, call: Call) -> Response:
        _, payloads = await call.parcel(object)
        return call.answer(payloads[0].nbytes)

    def send(self, nbytes: int, less: int = 0) -> socket.socket:
        """A request with all but so many of its last bytes."""
        body = b"".join(wrap(None, [dump_each([bytes(nbytes)])]))
        head = [
            "PUT /take HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(body)}",
            f"Authorization: Bearer {self.secret}", "", "",
        ]  # fmt: skip
        line = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        line.sendall("\r\n".join(head).encode() + body[: len(body) - less])
        return line

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, Bodies(8 * MIB, 32 * MIB, wait_s=60, silent_s=2))
    yield made
    made.close()


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, Bodies(8 * MIB, 32 * MIB, wait_s=60, grace_s=0.5, rate=1000))
    yield made
    made.close()


class Dripping:
    """Sends a byte now and then, until the line is cut."""

    def __init__(self, line: socket.socket) -> None:
        self.sent = 0
        self._line = line
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            try:
                self._line.sendall(b"x")
            except OSError:
                return
            self.sent += 1

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


def answer(line: socket.socket) -> bytes:
    """All of it: the server ends the connection."""
    found = b""
    while piece := line.recv(65536):
        found += piece
    return found


def test_a_body_that_falls_silent_is_given_up_and_its_room_is_anothers(server: Server) -> None:
    with closing(server.send(6 * MIB, less=1)) as silent:
        until(lambda: server.bodies._held)  # it came first
        with closing(server.send(6 * MIB)) as later:
            assert later.recv(65536).startswith(b"HTTP/1.1 200 ")
        refused = answer(silent)
        assert refused.startswith(b"HTTP/1.1 500 ")
        assert b"nothing more came" in refused


def test_a_body_that_drips_gives_its_room_to_who_waits_for_it(hurried: Server) -> None:
    line = hurried.send(6 * MIB, less=MIB)
    with closing(line), closing(Dripping(line)):
        until(lambda: hurried.bodies._held)  # it came first
        with closing(hurried.send(6 * MIB)) as later:
            assert later.recv(65536).startswith(b"HTTP/1.1 200 ")
        refused = line.recv(65536)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refused.lower()


def test_a_body_that_drips_in_nobodys_way_goes_on(hurried: Server) -> None:
    line = hurried.send(6 * MIB, less=MIB)
    with closing(line), closing(Dripping(line)) as dripping:
        until(lambda: dripping.sent > 30)  # 1.5 s at least, far behind by now
        with closing(hurried.send(MIB)) as beside:
            assert beside.recv(65536).startswith(b"HTTP/1.1 200 ")
        dripping.close()
        line.sendall(bytes(MIB - dripping.sent))
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
