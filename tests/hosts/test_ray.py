"""A site of four hosts, one of them the head: joined, emptied and killed while a job runs."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts.machines import Fabric, Host, hosts

_HANSE = [sys.executable, "-m", "hanse"]
_PATIENCE_S = 120.0
_ITEMS = 1000

_PROGRAM = """
import os, socket, sys, time
import hanse

def large(x):  # too large for a message: it goes between hosts as a file
    return b"%d" % x * 100_000 if x % 25 == 0 else b""

def item(x, ledger, more):
    with open(ledger, "a") as file:
        file.write(f"{x} {socket.gethostname()} {os.getpid()}\\n")
    while x >= int(open(ledger + ".open").read() or 0):
        time.sleep(0.01)
    time.sleep(0.04)
    return x * x, more * 2

with hanse.connect(sys.argv[1]) as client:
    total, count = 0, int(sys.argv[3])
    inputs = range(count), [sys.argv[2]] * count, list(map(large, range(count)))
    for x, (value, more) in enumerate(client.map(item, *inputs, name="squares")):
        assert more == 2 * large(x)
        total += value
        print(total, flush=True)
"""


def until(condition: Callable[[], object], why: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, why
        time.sleep(0.05)


class Room:
    """The head and three hosts that join it."""

    def __init__(self, fabric: Fabric, directory: Path) -> None:
        self.head = fabric.host("head")
        self.others = [fabric.host(f"m{number}") for number in (1, 2, 3)]
        self.ledger = directory / "ledger"
        self.ledger.touch()
        self.open(400)
        self._script = directory / "program.py"
        self._script.write_text(_PROGRAM)
        fabric.room()
        for host in (self.head, *self.others):
            host.know({"head.test": self.head.address})

    def begin(self) -> subprocess.Popen[bytes]:
        """The node; back when it is up."""
        node = self.head.start(
            [*_HANSE, "up", "--engine", "ray", "--cpus", "1", "--listen", "0.0.0.0:7437",
             "--name", "head.test"]
        )  # fmt: skip
        until(lambda: self.machines() or node.poll() is not None, "the head does not start")
        assert node.poll() is None, (self.head.directory / "log").read_text()
        return node

    def token(self, role: str) -> str:
        return self.head.run([*_HANSE, "token", "create", "--role", role, "--for", "x"]).strip()

    def join(self, host: Host, token: str) -> subprocess.Popen[bytes]:
        return host.start([*_HANSE, "join", "--cpus", "1", token])

    def machines(self) -> int:
        with contextlib.suppress(AssertionError):
            return self.head.run([*_HANSE, "nodes", "--quiet"]).count("\n")
        return 0

    def run(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(self._script), self.token("submit"), str(self.ledger)]
        return self.head.start([*command, str(_ITEMS)], {"HANSE_PROGRESS": "0"}, "program")

    def open(self, items: int) -> None:
        """Let items below this end: so the job lasts until what is looked for has been seen."""
        self.ledger.with_name("ledger.open").write_text(str(items))

    @property
    def done(self) -> int:
        """Results that the program has been given."""
        return (self.head.directory / "program").read_text().count("\n")

    def ran(self) -> list[tuple[int, str, int]]:
        """Item, host and process of everything that began."""
        lines = self.ledger.read_text().splitlines()
        return [(int(item), host, int(pid)) for item, host, pid in map(str.split, lines)]

    def on(self, host: Host) -> int:
        return sum(name == host.name for _, name, _ in self.ran())


@pytest.fixture
def room(possible: None, tmp_path: Path) -> Iterator[Room]:
    with hosts(tmp_path / "failed") as fabric:
        yield Room(fabric, tmp_path)
        for host in fabric.hosts:
            host.send(signal.SIGTERM)
        until(lambda: not any(host.pids for host in fabric.hosts), "processes are left")


@pytest.mark.timeout(600)
def test_a_site_of_four_hosts_loses_parts_and_no_results(room: Room) -> None:
    first, second, third = room.others
    node, token = room.begin(), room.token("join")
    joined = [room.join(first, token), room.join(second, token)]
    until(lambda: room.machines() == 3, "two hosts do not join")
    program = room.run()
    until(lambda: room.on(first) and room.on(second), "nothing runs on the hosts that joined")

    room.join(third, token)
    until(lambda: room.on(third), "the host that joined later gets no work")

    worker = next(pid for _, name, pid in reversed(room.ran()) if name == "m1")
    os.kill(worker, signal.SIGKILL)
    known = {pid for _, _, pid in room.ran()}
    until(lambda: any(n == "m1" and p not in known for _, n, p in room.ran()), "m1 is lost")

    second.crash()  # as in a power failure
    given = room.done
    room.open(800)
    until(lambda: room.done > given + 50, "the job stands still without m2")

    before = room.on(first)
    room.open(_ITEMS)
    joined[0].terminate()  # it is emptied
    assert joined[0].wait(_PATIENCE_S) == 0
    assert room.on(first) >= before

    given = room.done
    runs = collections.Counter(item for item, _, _ in room.ran())
    node.kill()
    node.wait()
    room.begin()
    assert program.wait(_PATIENCE_S) == 0, (room.head.directory / "program").read_text()[-2000:]

    lines = (room.head.directory / "program").read_text().split()
    assert int(lines[-1]) == sum(x * x for x in range(_ITEMS))
    ran = collections.Counter(item for item, _, _ in room.ran())
    assert {item: ran[item] for item in range(given)} == {item: runs[item] for item in range(given)}
    until(lambda: room.machines() == 2, "m3 has not joined the new head")
