"""A node lets nobody in without a token, and keeps its secrets."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from pathlib import Path

import psutil
import pytest
from system.nodes import Node, routes

import hanse
from hanse.errors import NotAllowed
from hanse.payloads.parcel import wrap
from hanse.remote import address

ROUTES = routes()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
JOB = "j-0123456789ab"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there").start()
    yield started
    started.close()


def ask(node, method, path, *, secret="", body=b"", **headers):
    """Status and body of one request, made by hand."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    told = {"authorization": f"Bearer {secret}"} if secret else {}
    try:
        connection.request(method, path, body or None, told | headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def token(node, role):
    ran = node.command("token", "create", "--role", role, "--for", role, "--quiet")
    return address.decode(ran.stdout).secret


def real(path):
    zeros = "0" * 64
    return path.format(
        job=JOB, seq=0, blob=zeros, code=zeros, node="n-" + zeros[:12], link="l-" + zeros[:8],
        file="app.js",
    )  # fmt: skip


def test_no_route_and_no_method_lets_anybody_in_without_a_token(node):
    for path in sorted({each.path for each in ROUTES}):
        open_to_all = [each.method for each in ROUTES if each.path == path and each.right is None]
        for method in METHODS:
            if method in open_to_all:
                continue
            status, body = ask(node, method, real(path))
            assert status in (400, 401, 405, 501), (method, path, status, body)


@pytest.mark.parametrize("role", ["read", "link", "submit"])
def test_a_role_opens_what_it_says_and_no_more(node, role):
    secret = token(node, role)
    may = {"read": {"read"}, "link": {"link"}, "submit": {"read", "submit"}}[role]
    for each in ROUTES:
        if each.right is not None:
            status, _ = ask(node, each.method, real(each.path), secret=secret)
            assert (status == 403) == (each.right not in may), (each, status)


def test_a_revoked_token_is_refused_from_the_next_request_on(node):
    ran = node.command("token", "create", "--role", "read", "--for", "x", "--json")
    made = json.loads(ran.stdout)
    secret = address.decode(made["token"]).secret
    assert ask(node, "GET", "/v1/node", secret=secret)[0] == 200
    node.command("token", "revoke", made["id"])
    assert ask(node, "GET", "/v1/node", secret=secret)[0] == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7437", "127.0.0.1.evil.example", ""]
)
def test_another_host_name_is_refused(node, host):
    secret = node.address.secret
    assert ask(node, "GET", "/v1/node", secret=secret, host=host)[0] in (400, 421)


def test_a_page_of_another_site_changes_nothing(node):
    secret, origin = node.address.secret, "https://evil.example"
    status, _ = ask(node, "POST", "/v1/jobs", secret=secret, body=b"x", origin=origin)
    assert status == 403


@pytest.mark.parametrize(
    "path",
    ["/v1/blobs/../../../etc/passwd", "/v1/blobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
     "/v1/blobs/" + "A" * 64, "/v1/blobs/" + "0" * 63, "/v1/jobs/..%5c..%5cx",
     "/v1/jobs/%00", "/v1/find?job=" + "x" * 5000, "/v1/jobs?limit=-1", "/v1/jobs?limit=1e9",
     "/v1/jobs/j-0/entries?first=99999999999999999999999", "/v1/jobs/j-0/payloads?entries=x",
     "//v1/node", "/v1/node/", "/docs/", "/v1"],
)  # fmt: skip
def test_path_tricks_and_odd_numbers_get_a_clear_no(node, path):
    status, body = ask(node, "GET", path, secret=node.address.secret)
    assert 400 <= status < 500, (path, status, body)
    if status != 404 or body.startswith(b"{"):
        assert json.loads(body)["code"]


BROKEN = {
    "nothing": b"",
    "no parcel": b"hello, world",
    "a label that is too long": b"\xff\xff\xff\xff",
    "cut short": b"".join(wrap({"again": True}))[:-1],
    "more than it says": b"".join(wrap({"again": True})) + b"x",
    "an unknown field": b"".join(wrap({"again": True, "sudo": 1})),
    "a wrong type": b"".join(wrap({"again": "yes"})),
    "nested without end": (100_000).to_bytes(4, "big") + b"\x91" * 100_000,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_requests_get_a_clear_no_and_change_nothing(node, body):
    secret = node.address.secret
    for each in ROUTES:
        if each.takes is not None:
            path = real(each.path)
            status, answer = ask(node, each.method, path, secret=secret, body=body)
            assert 400 <= status < 500, (each.path, status, answer)
            assert json.loads(answer)["code"]
    assert json.loads(ask(node, "GET", "/v1/jobs", secret=secret)[1]) == []


def test_a_body_that_promises_too_much_is_refused_before_it_comes(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as line:
        line.sendall(
            b"PUT /v1/jobs/j-0/inputs HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 99999999999999\r\n\r\n"
        )
        assert line.recv(100).split()[1] == b"413"


def test_a_node_listens_on_loopback_only_unless_it_is_told(node):
    process = psutil.Process(node.process.pid)
    listening = [
        connection.laddr
        for each in (process, *process.children(recursive=True))
        for connection in each.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert [each.ip for each in listening] == ["127.0.0.1"]


def test_the_secret_of_this_user_is_in_a_file_that_only_they_can_read(node):
    assert node.home.joinpath("node", "token").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def far(tmp_path):
    """A node that listens beyond loopback."""
    node = Node(tmp_path / "far", "--listen", "0.0.0.0:0", "--name", "localhost")
    yield node.start()
    node.close()


def square(x):
    return x * x


def test_beyond_loopback_there_is_tls_by_an_authority_that_the_token_names(far):
    assert far.url.startswith("https://localhost:")
    with hanse.connect(address.encode(far.address)) as client:
        assert list(client.map(square, range(10))) == [x * x for x in range(10)]
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(far, "GET", "/healthz")  # without TLS
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        old.wrap_socket(
            socket.create_connection(("localhost", far.port)), server_hostname="localhost"
        )
    for name in ("authority.key", "node.key"):
        assert (far.home / "node" / name).stat().st_mode & 0o777 == 0o600


def test_a_token_outlives_a_new_certificate_but_not_a_new_authority(far):
    text = address.encode(far.address)
    (far.home / "node" / "node.pem").unlink()
    far.end()
    far.options = ("--listen", f"0.0.0.0:{far.port}", "--name", "localhost")
    far.start()
    with hanse.connect(text) as client:
        assert client.submit(square, 3).result() == 9
    for path in Path(far.home / "node").glob("authority.*"):
        path.unlink()
    far.end()
    far.start()
    with pytest.raises(NotAllowed, match="not the node"):
        hanse.connect(text)


def test_the_secret_is_not_sent_to_somebody_else_nor_along_a_redirect():
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            line, _ = server.accept()
            with line:
                got.append(line.recv(65536))
                line.sendall(
                    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/x\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n" % port
                )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(hanse.HanseError):
            hanse.connect(
                address.encode(address.Address(f"http://127.0.0.1:{port}", "", "5e" * 32))
            )
        thread.join(10)
        server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            server.accept()  # it was not followed
    assert len(got) == 1


def test_a_second_authority_beside_the_right_one_is_not_trusted(far, tmp_path, monkeypatch):
    """The fingerprint is of one certificate: what comes behind it in the same text counts for
    nothing, though decoders that stop at the first padding do not see it."""
    from hanse.node.identity import make_identity
    from hanse.remote import trust

    false = make_identity(_made(tmp_path / "false"), ["localhost"])
    mine = (far.home / "node" / "authority.pem").read_text()
    both = mine + false.authority.decode()
    monkeypatch.setattr(trust, "authority", lambda *_: both)
    there = address.Address(far.url, far.address.fingerprint, "5e" * 32)
    try:
        trusted = trust._trust(there, 9)
    except hanse.HanseError:
        return  # where the decoder sees that there is more
    assert len(trusted.get_ca_certs()) == 1


def _made(path):
    path.mkdir(mode=0o700)
    return path


def test_nobody_without_a_token_is_told_where_something_is(tmp_path):
    node = Node(tmp_path / "there").start()
    try:
        (node.home / "node" / "tokens.json").write_text("[{}]")
        status, body = ask(node, "GET", "/v1/node", secret="5e" * 32)
        assert status == 500
        assert str(tmp_path).encode() not in body
        assert str(tmp_path) in node.log  # whoever runs it is
    finally:
        node.close()


@pytest.mark.parametrize("id", ["x", "j-0", "j-0123456789AB", "%0a", "j-0123456789ab%0a"])
def test_what_is_no_id_is_refused_at_the_route(node, id):
    for each in ROUTES:
        if "{job}" in each.path or "{blob}" in each.path:
            path = each.path.format(job=id, blob=id, code=id, node=id, link=id, seq=0)
            status, body = ask(node, each.method, path, secret=node.address.secret)
            assert status == 400, (path, body)
            assert ask(node, each.method, path)[0] == 401


def test_no_route_takes_a_method_that_the_table_does_not_have(node):
    for path in ("/healthz", "/v1/node"):
        assert ask(node, "HEAD", path, secret=node.address.secret)[0] == 405


@pytest.mark.parametrize("path", ["follow", "logs?follow=1"])
def test_a_stream_breaks_off_when_its_token_is_revoked(node, path):
    ran = node.command("token", "create", "--role", "read", "--for", "x", "--json")
    made = json.loads(ran.stdout)
    secret = address.decode(made["token"]).secret
    more = threading.Event()

    def inputs():
        yield 1
        more.wait()
        yield 2

    def says(x):
        print(x, flush=True)
        return x

    with node.connect() as client:
        job = client.map(says, inputs(), name=path[:4])
        assert next(iter(job)) == 1
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        headers = {"authorization": f"Bearer {secret}"}
        try:
            connection.request("GET", f"/v1/jobs/{job.id}/{path}", headers=headers)
            answer = connection.getresponse()
            assert answer.read1()
            node.command("token", "revoke", made["id"])
            more.set()
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
        finally:
            more.set()
            connection.close()
        job.join()
