"""What items print on a node comes to the program that asked for it, as it does embedded."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from system.command import HANSE, environment
from system.nodes import Node
from system.real import until

from hanse.client.connecting import connect
from hanse.remote import address

PROGRAM = """
import sys, time, pathlib
import hanse

def says(x):
    print("item", x, flush=True)
    print("and", x, file=sys.stderr)
    return x

if __name__ == "__main__":
    with hanse.connect() as client:
        assert sum(client.map(says, range(50))) == 1225
        assert client.submit(says, 50).result() == 50
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there").start()
    yield started
    started.close()


def says(x):
    print("item", x)
    print("and", x, file=sys.stderr)
    return x


class Gated:
    def __init__(self, gate):
        self.gate = gate

    def __call__(self, x):
        print(f"{x} waits")
        while not self.gate.exists():
            time.sleep(0.01)
        print(f"{x} ends")


def ran(program, home, *options, **env):
    """stdout and stderr, as sorted lines."""
    done = subprocess.run(
        [*HANSE, "run", "--no-progress", *options, program], capture_output=True, text=True,
        env=environment(home, **env), timeout=60, check=True,
    )  # fmt: skip
    return sorted(done.stdout.splitlines()), sorted(done.stderr.splitlines())


def test_a_program_shows_on_a_node_what_it_shows_embedded(node, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    embedded = ran(program, home)
    assert embedded[0] == sorted(f"item {x}" for x in range(51))
    assert ran(program, home, "--prints", **node.env) == embedded
    assert ran(program, home, **node.env) == ([], [])


def test_it_comes_while_the_job_runs_and_nothing_twice_when_the_node_dies(tmp_path, capsys):
    node = Node(tmp_path / "there").start()
    gate = tmp_path / "gate"
    try:
        with node.connect() as client:
            job = client.map(Gated(gate), range(2), prints=True)
            shown = ""

            def comes(text):
                nonlocal shown
                shown += capsys.readouterr().out
                return text in shown

            until(lambda: comes("0 waits") and comes("1 waits"))
            node.kill()
            node.start()
            gate.touch()
            job.join()
        comes("")
        log = node.command("logs", job.id)  # reads the test's own home: nothing there
        assert log.returncode != 0
        assert shown.count("0 ends\n") == shown.count("1 ends\n") == 1
        assert shown.count("waits\n") in (2, 3, 4)  # as often as it ran
    finally:
        node.close()


def test_calls_print_here_too_up_to_the_last_line(node, capsys):
    with connect(address.encode(node.address), prints=True) as client:
        assert [client.submit(says, x).result() for x in range(20)] == list(range(20))
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"item {x}" for x in range(20)]
    assert err.splitlines() == [f"and {x}" for x in range(20)]


def test_one_map_of_a_client_may_be_asked_to_print_and_a_resumed_one_prints_what_is_new(
    node, capsys, tmp_path
):
    def odd_fails(x):
        print("tries", x)
        if x % 2 and not (tmp_path / "mended").exists():
            raise ValueError(x)
        return x

    with node.connect() as client:
        list(client.map(says, range(3)))
        job = client.map(odd_fails, range(4), name="odd", on_error="collect", prints=True)
        assert sum(isinstance(each, ValueError) for each in job) == 2
    assert sorted(capsys.readouterr().out.splitlines()) == [f"tries {x}" for x in range(4)]
    (tmp_path / "mended").touch()
    with connect(address.encode(node.address), prints=True) as client:
        client.resume("odd", retry_failed=True).join()
    assert sorted(capsys.readouterr().out.splitlines()) == ["tries 1", "tries 3"]


def test_whoever_comes_back_to_a_job_sees_it_from_its_first_line(node, tmp_path, capsys):
    gate = tmp_path / "gate"
    with node.connect() as client, node.connect() as other:
        client.map(Gated(gate), range(1), name="gated")
        job = other.job("gated", prints=True)
        gate.touch()
        job.join()
    assert capsys.readouterr().out == "0 waits\n0 ends\n"
