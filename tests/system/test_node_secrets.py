"""Whatever fails, no secret gets anywhere but into the file of its user: everything that a node
writes, answers and starts is looked through after failures of every kind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import urllib.parse

import psutil
import pytest
from system.command import SRC
from system.nodes import Away, Node
from system.test_node_secure import BROKEN, JOB, ROUTES, ask, real, token

import hanse
from hanse.remote import address

BREAKS = f"""
import sys
sys.path.insert(1, {str(SRC)!r})
from hanse.node.http import jobs, logs

async def broken(call):
    \"\"\"A handler with a bug.\"\"\"
    inner = call.request.headers["authorization"]
    return inner.nothing

jobs.list_jobs = broken
entries = jobs.entries

async def breaks_off(call):
    \"\"\"A stream with one.\"\"\"
    async def pieces():
        yield b"x"
        raise RuntimeError("in the middle")
    return call.stream(pieces())

jobs.entries = breaks_off
from hanse.cli.main import main
main()
"""


class Told:
    """All that anybody could read."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bytes]] = []

    def add(self, where: str, what: str | bytes) -> None:
        self.parts.append((where, what if isinstance(what, bytes) else what.encode()))

    def check(self, secrets) -> None:
        """Not even a part of one: what is behind the first digits, by which people may know it."""
        for secret in secrets:
            for at in range(16, len(secret) - 16, 16):
                part = secret[-at:][:16].encode()
                for where, what in self.parts:
                    assert part not in what, where


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path / "there")
    made.program = (sys.executable, "-c", BREAKS)
    yield made.start()
    made.close()


def dies(x):
    if x % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def unreadable(x):
    return Unreadable()


def tells_all(x):
    raise ValueError(f"{os.environ} {sys.argv}")


def jobs_that_fail(node, text, told):
    """Killed workers, values that cannot be read, exceptions that tell all they see."""
    with hanse.connect(text) as client:
        for number, function in enumerate((dies, unreadable, tells_all)):
            job = client.map(function, range(4), on_error="collect", name=f"fails {number}")
            for error in job:
                told.add("an error", f"{error!r} {error} {getattr(error, '__cause__', '')}")
            told.add("explain", job.explain() + repr(job))
        told.add("the client", f"{client!r} {client.__dict__} {client._runtime.__dict__}")


def requests_that_fail(node, secret, told):
    """The secret wherever a confused client could put it, and a right one on all that breaks."""
    quoted = urllib.parse.quote(secret)
    odd = [
        f"/{quoted}", f"/v1/jobs/{quoted}", f"/v1/blobs/{quoted}", f"/v1/find?job={quoted}",
        f"/v1/node?token={quoted}", f"/v1/jobs?limit={quoted}", f"//{quoted}@x/", f"/v1/{quoted}",
        f"/v1/jobs/{JOB}/entries/{quoted}/payload", f"/v1/jobs/{JOB}/logs?item={quoted}",
        f"/openapi.json?{quoted}", f"/docs?{quoted}",
    ]  # fmt: skip
    for shown in (secret, "", "5e" * 32):
        for path in odd:
            for method in ("GET", "POST", "DELETE", quoted):
                told.add(f"{method} {path}", ask(node, method, path, secret=shown)[1])
        for name in ("host", "origin", "hanse-protocol", "content-encoding", "range", "cookie",
                     "accept", "x-forwarded-for", "referer", "user-agent"):  # fmt: skip
            headers = {name: secret}
            told.add(name, ask(node, "POST", "/v1/jobs", secret=shown, **headers)[1])
    for scheme in ("Basic", "Token", "bearer", ""):
        headers = {"authorization": f"{scheme} {secret} {secret}"}
        told.add(scheme, ask(node, "GET", "/v1/node", **headers)[1])
    bodies = [*BROKEN.values(), secret.encode(), b'{"token": "' + secret.encode() + b'"}']
    for each in ROUTES:
        for body in bodies if each.takes is not None else (b"",):
            path = real(each.path)
            try:
                answer = ask(node, each.method, path, secret=secret, body=body)
            except http.client.IncompleteRead as broken:  # the stream with a bug
                answer = 0, broken.partial
            told.add(f"{each.method} {path}", answer[1])
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as line:
        line.sendall(f"{secret} HTTP/1.1\r\n{secret}\r\n\r\n".encode())
        told.add("no request", line.recv(65536))


def test_after_failures_of_every_kind_no_secret_is_anywhere(node, tmp_path):
    secret, admin = token(node, "submit"), node.address.secret
    made = json.loads(
        node.command("token", "create", "--role", "submit", "--for", "x", "--json").stdout
    )
    gone = address.decode(made["token"]).secret
    node.command("token", "revoke", made["id"])
    text = address.encode(address.Address(node.url, "", secret))
    told = Told()

    jobs_that_fail(node, text, told)
    for shown in (secret, gone, admin):
        requests_that_fail(node, shown, told)
    with pytest.raises(hanse.NotAllowed) as refused:
        hanse.connect(made["token"])
    told.add("a revoked token", f"{refused.value!r} {refused.value}")
    told.add("metrics", ask(node, "GET", "/metrics", secret=admin)[1])

    away = Away(node, tmp_path / "away")
    away.env = {"HANSE_TOKEN": made["token"]}  # revoked: every command fails
    for command in (["jobs"], ["run", "x.py"], ["submit", __file__], ["logs", "x"], ["doctor"]):
        ran = away(*command)
        told.add(f"hanse {command[0]}", ran.stdout + ran.stderr)
    for wrong in (text[:-5], text + "x", secret):
        ran = away("login", wrong)
        assert ran.returncode != 0
        told.add("hanse login", ran.stdout + ran.stderr)

    look_at_processes(node, told)
    node.kill()  # in the middle, so that what it would tidy up is there
    node.start()
    look_at_processes(node, told)
    assert node.end() == 0
    told.add("the log", node.log)
    assert "Traceback" in node.log  # there was something to be said
    for home in (node.home, away.home):
        for file in home.rglob("*"):
            if file.is_file() and file.name != "token":
                told.add(str(file), file.read_bytes())
    assert any(where.endswith("audit.log") for where, _ in told.parts)
    assert any("journal" in where for where, _ in told.parts)
    # Of a token as text the end is the secret.
    told.check([secret, gone, admin, text[-60:], made["token"][-60:]])


def look_at_processes(node, told):
    process = psutil.Process(node.process.pid)
    for each in (process, *process.children(recursive=True)):
        told.add(f"the arguments of {each.pid}", " ".join(each.cmdline()))
        told.add(f"the environment of {each.pid}", str(each.environ()))
