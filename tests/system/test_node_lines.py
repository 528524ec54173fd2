"""Connections of people without a token have bounds: in bytes, in time, in number."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import ssl
import struct
import subprocess
import sys
import weakref

import pytest
import uvicorn
from starlette.requests import Request
from system.command import SRC
from system.nodes import Node, routes
from system.real import until
from uvicorn.server import ServerState

from hanse import limits
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.http.line import Line
from hanse.remote.dial import Dial
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
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as line:
        line.sendall(begun)
        push(line, more, 2000)  # 8 MB: far more than sockets hold
        assert not push(line, more, 100)


def test_a_large_head_is_told_so(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as line:
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
    listening.bound(2)
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


def test_a_connection_that_was_reset_leaves_nothing_behind():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def reset():
        config = uvicorn.Config(app, http=Line, lifespan="off", log_config=None)
        config.load()
        lines = []

        def line():
            made = Line(config=config, server_state=ServerState(), app_state={})
            lines.append(weakref.ref(made))
            return made

        server = await asyncio.get_running_loop().create_server(line, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(BEGUN + b"\r\n")
        assert b"200 OK" in await reader.readline()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        async with asyncio.timeout(20):
            while lines[0]() is not None:
                await asyncio.sleep(0.01)
                gc.collect()
        server.close()

    asyncio.run(reset())


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A node on TLS that waits for a second where others wait for longer."""
    program = (
        "import sys; from hanse import limits; limits.HANDSHAKE_S = limits.RENEW_S = 1.0;"
        f"sys.path.insert(1, {str(SRC)!r}); from hanse.cli.main import main; main()"
    )
    node = Node(tmp_path_factory.mktemp("hasty") / "there", "--listen", "127.0.0.2:0")
    node.program = (sys.executable, "-c", program)
    yield node.start()
    node.close()


def test_tls_that_is_not_agreed_upon_is_not_waited_for(hasty):
    with socket.create_connection(("127.0.0.2", hasty.port), timeout=30) as line:
        assert rest(line) == b""
    with socket.create_connection(("127.0.0.2", hasty.port), timeout=30) as line:
        line.sendall(b"\x16\x03\x01\x02\x00")  # a greeting begins, and does not go on
        assert rest(line) == b""
    assert hasty.dial().ask("GET", "/healthz", str) == "ok"


def shown(node):
    """The certificate that new connections get."""
    return ssl.get_server_certificate(("127.0.0.2", node.port))


def test_a_certificate_that_grows_old_is_made_anew_while_the_node_runs(hasty):
    first, token = shown(hasty), hasty.address
    (hasty.home / "node" / "node.pem").unlink()  # as good as old
    until(lambda: shown(hasty) != first)
    dial = Dial(token)
    assert dial.ask("GET", "/healthz", str) == "ok"
    dial.close()


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
    (ready,) = [each.handler for each in routes(info) if each.path == "/readyz"]
    request = Request({"type": "http", "headers": []})

    async def ask():
        call = Call(request, Board(), None, None, Bodies(0, 0))
        return await asyncio.gather(*(ready(call) for _ in range(20)))

    assert {answer.body for answer in asyncio.run(ask())} == {b'"ready"'}
    assert len(looks) == 1
