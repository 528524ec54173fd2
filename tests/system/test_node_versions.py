"""A real node and real clients of other versions of the protocol."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys

import pytest
from system.command import environment
from system.nodes import Node
from system.test_node_secure import ROUTES, ask, real

from hanse.wire.protocol import HEADER, OURS

PROGRAM = """
import sys
from hanse.wire import protocol
protocol.OURS = protocol.Spoken(*map(int, sys.argv.pop(1).split("-")))
from hanse.cli.main import main
main()
"""
SCRIPT = """
import hanse

if __name__ == "__main__":
    with hanse.connect() as client:
        print(sum(client.map(abs, range(100), name="mapped")), client.submit(abs, -7).result())
"""

N = OURS.newest
NEXT, FAR = f"{N}-{N + 1}", f"{N + 1}-{N + 2}"


@pytest.fixture(scope="module", params=[str(OURS), NEXT])
def node(request, tmp_path_factory):
    """This version, and the next one, which still speaks this."""
    started = Node(tmp_path_factory.mktemp("node") / "there")
    started.program = (sys.executable, "-c", PROGRAM, f"{OURS.oldest}-{N}")
    if request.param == NEXT:
        started.program = (sys.executable, "-c", PROGRAM, NEXT)
    yield started.start()
    started.close()


@pytest.fixture
def client(node, tmp_path):
    """The command of a client that speaks such versions."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def call(spoken, *args):
        told = [script if each == "SCRIPT" else each for each in args]
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, spoken, *told], check=False,
            env=environment(home, **node.env), capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return call


@pytest.mark.parametrize("spoken", [f"{OURS.oldest}-{N}", NEXT])
def test_neighbours_map_submit_follow_and_look(client, spoken):
    ran = client(spoken, "run", "--no-progress", "SCRIPT")
    assert (ran.stdout, ran.returncode) == ("4950 7\n", 0), ran.stderr
    made = client(spoken, "submit", "--json", "SCRIPT")
    assert made.returncode == 0, made.stderr
    id = json.loads(made.stdout)["id"]
    followed = client(spoken, "logs", id, "--follow")
    assert followed.returncode == 0, followed.stderr
    for command in (("jobs",), ("job", id), ("explain", id), ("rm", "mapped")):
        assert client(spoken, *command).returncode == 0


@pytest.mark.parametrize(
    "args", [("run", "--no-progress", "SCRIPT"), ("submit", "SCRIPT"), ("jobs",), ("logs", "x")]
)
def test_others_are_told_plainly_and_change_nothing(client, node, args):
    ran = client(f"{N + 2}-{N + 3}", *args)
    assert ran.returncode != 0
    assert "protocol" in ran.stderr
    assert "up to date" in ran.stderr
    assert ask(node, "GET", "/v1/find?job=mapped", secret=node.address.secret)[0] == 404


@pytest.mark.parametrize(
    "spoken", ["0", f"{N + 2}", f"{N + 2}-{N + 9}", "", "x", "1-", "2-1", "1, 1", "9" * 400]
)
def test_every_route_refuses_other_versions_and_garbage(node, spoken):
    secret = node.address.secret
    for each in ROUTES:
        status, body = ask(
            node, each.method, real(each.path), secret=secret, **{HEADER: spoken}
        )  # fmt: skip
        assert (status, json.loads(body)["code"]) == (400, "node-version"), each.path
        assert len(body) < 400


def test_whoever_says_nothing_is_served(node):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
