"""Between machines large bodies travel squeezed; bombs are refused; what broke off is read on."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading

import psutil
import pytest
from system.nodes import Node

from hanse import limits
from hanse.client.connecting import connect
from hanse.payloads.parcel import wrap
from hanse.remote import address
from hanse.remote.dial import PARCEL, Dial
from hanse.remote.records import RemoteBlobs
from hanse.wire.squeeze import expand, squeeze

FAR = "127.0.0.2"  # of this machine, but not what stands for it: a node there is reached as if far


class Wire:
    """A listener in front of a node that counts bytes, and can cut what runs through it."""

    def __init__(self, port: int) -> None:
        self._there = (FAR, port)
        self.up = self.down = 0
        self.cut_at = 1 << 60  # bytes down; the line then breaks, once
        self._listening = socket.create_server((FAR, 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(line,), daemon=True).start()

    def _join(self, line: socket.socket) -> None:
        with line, socket.create_connection(self._there) as there:
            up = threading.Thread(target=self._carry, args=(line, there, "up"))
            up.start()
            self._carry(there, line, "down")
            up.join()

    def _carry(self, source, sink, way) -> None:
        try:
            while piece := source.recv(65536):
                setattr(self, way, getattr(self, way) + len(piece))
                if self.down > self.cut_at:
                    self.cut_at = 1 << 60
                    break
                sink.sendall(piece)
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there", "--listen", f"{FAR}:0").start()
    yield started
    started.close()


@pytest.fixture
def wire(node):
    made = Wire(node.port)
    yield made
    made.close()


def through(node, wire):
    """The node's address, by way of the wire."""
    return address.Address(f"https://{FAR}:{wire.port}", node.address.fingerprint,
                           node.address.secret)  # fmt: skip


def twice(text):
    return text + text


def noise(size):
    return os.urandom(size)


def test_large_regular_inputs_and_results_take_a_fraction_of_the_wire(node, wire):
    values = [str(i) * 1_000_000 for i in range(20)]
    size = sum(map(len, values))
    with connect(address.encode(through(node, wire))) as client:
        assert list(client.map(twice, values)) == [value * 2 for value in values]
    assert wire.up < size / 20
    assert wire.down < size / 20


def test_what_does_not_get_smaller_travels_as_it_is_and_is_right(node, wire):
    values = [os.urandom(300_000) for _ in range(5)]
    with connect(address.encode(through(node, wire))) as client:
        assert list(client.map(twice, values)) == [value * 2 for value in values]
        assert [len(found) for found in client.map(noise, [100_000] * 3)] == [100_000] * 3


def ask(node, method, path, body=b"", **headers):
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(FAR, node.port, timeout=30, context=context)
    told = {"authorization": f"Bearer {node.address.secret}", "content-type": PARCEL}
    try:
        connection.request(method, path, body or None, told | headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def bomb(size):
    """Zeros that say in their label what they are."""
    return squeeze(b"".join(wrap({"again": True})) + bytes(size))


@pytest.mark.parametrize(
    "body",
    [bomb(1 << 28), squeeze(bytes(1 << 28)), squeeze(b"\xff" * (1 << 28)), bomb(0)[:-1],
     bomb(0) + b"x", b"", b"no frame", squeeze(squeeze(b"".join(wrap({"again": True}))))],
    ids=["more than it says", "zeros", "a long label", "cut short", "more behind", "nothing",
         "no frame", "squeezed twice"],
)  # fmt: skip
def test_bombs_and_broken_frames_get_a_clear_no_and_take_no_memory(node, body):
    process = psutil.Process(node.process.pid)
    before = process.memory_info().rss
    for path in ("/v1/jobs/j-0123456789ab/take", "/v1/jobs", "/v1/code"):
        headers = {"content-encoding": "zstd"}
        status, _, answer = ask(node, "POST", path, body, **headers)
        assert (status, json.loads(answer)["status"]) == (400, 400), answer
    assert process.memory_info().rss < before + 64 * limits.MIB


def test_another_encoding_is_refused_with_the_one_that_is_taken(node):
    for encoding in ("gzip", "br", "zstd, gzip", "x" * 1000):
        headers = {"content-encoding": encoding}
        status, told, body = ask(node, "POST", "/v1/jobs", b"x", **headers)
        assert (status, told["accept-encoding"]) == (415, "zstd")
        assert json.loads(body)["code"] == "unknown-encoding"


SIZE = 3_210_987


@pytest.fixture
def blob(node):
    """The name of one that does not get smaller, so that it takes as many bytes on the wire."""
    with node.connect() as client:
        client.map(noise, [SIZE]).join()
    files = [path for path in (node.home / "node" / "blobs").rglob("*") if path.is_file()]
    return next(path.name for path in files if 0 <= path.stat().st_size - SIZE < 1000)


def test_a_blob_whose_line_breaks_is_read_on_from_there(node, wire, blob):
    dial = Dial(through(node, wire))
    wire.cut_at = 1_000_000
    got = RemoteBlobs(dial).get(blob)
    assert got.size >= SIZE
    assert wire.cut_at == 1 << 60  # it did break
    assert wire.down < 1.5 * got.size
    os.close(got.fd)
    dial.close()


def test_a_range_of_a_blob_is_of_its_plain_bytes(node, blob):
    path, squeezed = f"/v1/blobs/{blob}", {"accept-encoding": "zstd"}
    status, _, whole = ask(node, "GET", path)
    assert status == 200
    headers = {"range": "bytes=1000-"} | squeezed
    status, told, rest = ask(node, "GET", path, **headers)
    assert (status, rest) == (206, whole[1000:])
    assert told["content-range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
    assert "content-encoding" not in told
    headers = {"range": f"bytes={len(whole)}-"}
    assert ask(node, "GET", path, **headers)[0] == 416
    for odd in ("bytes=5-2", "bytes=-5", "lines=1-", "bytes=0-1,5-6", "bytes=" + "9" * 100 + "-"):
        headers = {"range": odd}
        assert ask(node, "GET", path, **headers)[2] == whole


def test_only_who_asks_for_squeezed_answers_gets_them(node):
    with node.connect() as client:
        for at in range(60):
            client.map(abs, [at], name=f"a name that is long enough to count {at}").join()
    status, told, plain = ask(node, "GET", "/v1/jobs")
    assert (status, told.get("content-encoding")) == (200, None)
    headers = {"accept-encoding": "gzip, zstd"}
    status, told, squeezed = ask(node, "GET", "/v1/jobs", **headers)
    assert (status, told["content-encoding"]) == (200, "zstd")
    assert json.loads(expand(squeezed, 1 << 30)) == json.loads(plain)
    assert len(squeezed) < len(plain) / 3
