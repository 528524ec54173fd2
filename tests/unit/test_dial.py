"""Requests to a node that answers oddly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import msgspec
import pytest

from hanse import limits
from hanse.errors import NodeError, NodeUnavailable
from hanse.remote.address import Address
from hanse.remote.dial import Dial


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
