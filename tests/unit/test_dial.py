"""Requests to a node that answers oddly."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import msgspec
import numpy as np
import pytest

from hanse import limits
from hanse.errors import NodeError, NodeUnavailable
from hanse.payloads.parcel import wrap
from hanse.payloads.payload import dump_each
from hanse.remote.address import Address
from hanse.remote.dial import Dial
from hanse.wire.squeeze import ENCODING, Expander


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[int]] = set()

    def do_GET(self) -> None:
        self.connections.add(self.client_address[1])
        data = msgspec.msgpack.encode("x" * int(self.path.rpartition("/")[2]))
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("transfer-encoding", "chunked")
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        elif self.path.startswith("/broken"):
            self.send_header("content-length", str(len(data) + 5))
            self.close_connection = True
        else:
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_PUT(self) -> None:
        self.connections.add(self.client_address[1])
        digest, came = sha256(), 0
        encoded = self.headers.get("content-encoding")
        expander = Expander() if encoded is not None else None
        for piece in self.body():
            for plain in [piece] if expander is None else expander.feed(piece):
                digest.update(plain)
                came += len(plain)
        data = msgspec.msgpack.encode([digest.hexdigest(), came, encoded])
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.send_header("accept-encoding", ENCODING)
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding") != "chunked":
            yield from self.read(int(self.headers["content-length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield from self.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def read(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            yield piece

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def dial() -> Iterator[Dial]:
    Handler.connections = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        made = Dial(Address(f"http://127.0.0.1:{server.server_port}", "", "s" * 64))
        yield made
        made.close()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("way", ["plain", "chunked"])
def test_an_answer_is_as_long_as_is_right_and_its_connection_serves_again(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(limits, "ANSWER_BYTES", 1000)
    for _ in range(3):
        assert dial.ask("GET", f"/{way}/900", str) == "x" * 900
    assert len(Handler.connections) == 1
    with pytest.raises(NodeError, match="more than 1,000"):
        dial.ask("GET", f"/{way}/1000000", str)
    assert dial.ask("GET", f"/{way}/900", str) == "x" * 900


def test_an_answer_that_breaks_off_is_no_answer(dial: Dial) -> None:
    with pytest.raises(NodeUnavailable):
        dial.ask("GET", "/broken/10", str)


@pytest.mark.parametrize("squeezes", [False, True])
@pytest.mark.parametrize("size", [100, 60 * limits.MIB])
def test_a_body_arrives_whole_and_is_in_memory_once(dial: Dial, squeezes: bool, size: int) -> None:
    dial._squeezes = squeezes  # it is on this machine, where it would not
    payload = dump_each([np.arange(size // 8)])
    whole = sha256()
    for part in wrap("about", [payload]):
        whole.update(part)
    dial.ask("PUT", "/", list)  # says what it takes
    tracemalloc.start()
    digest, came, encoded = dial.ask("PUT", "/", list, "about", [payload])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert digest == whole.hexdigest()
    assert came > size
    assert encoded == (ENCODING if squeezes and size > 100 else None)
    assert peak < 16 * limits.MIB
