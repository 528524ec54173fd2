"""Connections of people without a token have bounds: in bytes, in time, in number."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys

import pytest
from starlette.requests import Request
from system.nodes import Node

from hanse import limits
from hanse.node.http.app import table
from hanse.node.http.call import Call
from hanse.wire.api import NodeInfo

BEGUN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there").start()
    yield started
    started.close()


def rest(line):
    """What comes until the other side ends the connection."""
    got = b""
    try:
        while piece := line.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def push(line, piece, times):
    """Whether the other side took so much."""
    try:
        for _ in range(times):
            line.sendall(piece)
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"GET /", b"a" * 4096),
        (BEGUN, b"X-A: " + b"b" * 4096 + b"\r\n"),
        (BEGUN + b"X-A: ", b"b" * 4096),
        (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"b" * 4096),
        (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n1;", b"b" * 4096),
    ],
    ids=["a path", "many headers", "one header", "a trailer", "a chunk's extension"],
)
def test_a_head_without_end_is_cut_off(node, begun, more):
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as line:
        line.sendall(begun)
        push(line, more, 2000)  # 8 MB: far more than sockets hold
        assert not push(line, more, 100)


def test_a_large_head_is_told_so(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as line:
        line.sendall(BEGUN + b"X-A: " + b"b" * (5 * limits.HEAD_BYTES // 4))
        assert rest(line).split()[1:2] in ([b"431"], [])  # a reset may overtake the words


def test_a_head_that_does_not_come_is_not_waited_for(node):
    lines = [socket.create_connection(("127.0.0.1", node.port), timeout=30) for _ in range(3)]
    lines[1].sendall(BEGUN)
    lines[2].sendall(BEGUN + b"\r\n" + BEGUN)
    assert [b"200 OK" in rest(line) for line in lines] == [False, False, True]
    for line in lines:
        line.close()


def test_a_body_that_was_refused_is_not_waited_for(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as line:
        line.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nx")
        assert b" 401 " in rest(line)


PROGRAM = """
import socket
from hanse.node.http.line import Listening
with Listening() as listening:
    Listening.most = 2
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    def dial():
        return socket.create_connection(listening.getsockname())
    ours = [dial() for _ in range(3)]
    taken = [listening.accept()[0] for _ in range(2)]
    try:
        listening.accept()
    except ConnectionAbortedError:
        print("refused")
    taken.pop().close()
    ours.append(dial())
    listening.accept()
    print("taken")
"""


def test_there_are_so_many_connections_and_no_more():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["refused", "taken"], ran.stderr


def test_a_node_takes_as_many_descriptors_as_it_may(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    node = Node(tmp_path / "there")
    try:
        node.start()
        assert resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        node.close()


def test_whether_it_is_ready_is_looked_at_once_for_all_who_ask():
    looks = []

    class Board:
        def __getattr__(self, name):
            return self

        def heads(self, limit):
            looks.append(limit)

    info = NodeInfo(node="", host="", version="", protocol=1, python="", capacity={})
    (ready,) = [each.handler for each in table(info, b"", None) if each.path == "/readyz"]
    request = Request({"type": "http", "headers": []})

    async def ask():
        call = Call(request, Board(), None, None)
        return await asyncio.gather(*(ready(call) for _ in range(20)))

    assert {answer.body for answer in asyncio.run(ask())} == {b'"ready"'}
    assert len(looks) == 1
