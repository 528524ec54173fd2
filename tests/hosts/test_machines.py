"""The tests' own hosts: apart from each other, cut and healed, and gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hosts import machines
from hosts.machines import Fabric, Host
from hosts.wan import Wan, wan
from system.real import until

PORT = 7437
SERVER = """
import socket, threading
listening = socket.create_server(("0.0.0.0", 7437))
def echo(line):
    with line:
        while data := line.recv(65536):
            line.sendall(data)
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=(listening.accept()[0],)).start()
"""
ROUND_TRIP = """
import socket, sys, time
began = time.monotonic()
with socket.create_connection((sys.argv[1], 7437), timeout=float(sys.argv[2])) as line:
    for n in range(2):
        line.sendall(b"x")
        assert line.recv(1)
        print(time.monotonic() - began)
        began = time.monotonic()
"""
MUCH = """
import hashlib, random, socket, sys, threading
line = socket.create_connection((sys.argv[1], 7437), timeout=60)
data = random.Random(1).randbytes(20_000_000)
def send():
    line.sendall(data)
    line.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
got = hashlib.sha256()
while piece := line.recv(65536):
    got.update(piece)
print(got.digest() == hashlib.sha256(data).digest())
"""


@pytest.fixture
def fabric(possible: None) -> Iterator[Fabric]:
    with machines.hosts() as made:
        yield made


@pytest.fixture
def pair(fabric: Fabric) -> Iterator[tuple[Host, Host, Wan]]:
    """A server that echoes, a host 40 ms away, and the way between."""
    server, far = fabric.host("server"), fabric.host("far")
    server.start([sys.executable, "-c", SERVER])
    until(lambda: (server.directory / "log").read_text() == "ready\n")
    with wan(fabric, server, PORT, {far: 40.0}) as ways:
        yield server, far, ways


def trips(host: Host, to: str, timeout_s: float = 10) -> list[float]:
    told = host.run([sys.executable, "-c", ROUND_TRIP, to, str(timeout_s)])
    return [float(line) for line in told.split()]


def test_hosts_have_names_disks_and_processes_of_their_own(fabric):
    one, two = fabric.host("one"), fabric.host("two", disk_bytes=1 << 20)
    assert one.run(["hostname"]) == "one\n"
    assert two.run(["hostname"]) == "two\n"
    sleeping = one.start(["sleep", "1000"])
    until(lambda: one.pids == [sleeping.pid])
    assert two.pids == []
    two.fill()
    with pytest.raises(OSError, match="No space"):
        (two.disk / "more").write_bytes(bytes(1))
    (one.disk / "more").write_bytes(bytes(100_000))
    two.free()
    (two.disk / "more").write_bytes(bytes(100_000))
    one.crash()
    assert sleeping.wait(10) == -signal.SIGKILL


def test_a_way_takes_the_time_that_is_said_and_a_handshake_takes_one_more(pair):
    server, far, _ = pair
    first, second = trips(far, far.gateway)
    assert second >= 0.040
    assert first >= 0.080
    with pytest.raises(AssertionError, match=r"unreachable|timed out"):
        trips(far, server.address, 1)  # there is no other way


def test_what_passes_is_whole_and_in_order(pair):
    _, far, _ = pair
    assert far.run([sys.executable, "-c", MUCH, far.gateway]) == "True\n"


def test_a_way_can_hang_and_reset_and_heal(pair):
    _, far, ways = pair
    ways.hang(far)
    with pytest.raises(AssertionError, match="timed out"):
        trips(far, far.gateway, 0.5)
    ways.heal(far)
    assert trips(far, far.gateway)
    ways.reset(far)
    with pytest.raises(AssertionError, match="ConnectionResetError"):
        trips(far, far.gateway, 5)
    ways.heal(far)
    assert trips(far, far.gateway)
    until(lambda: ways.count(far) == 0)


def test_a_connection_outlives_a_cut_that_nobody_was_told_of(pair):
    _, far, _ = pair
    line = far.start([sys.executable, "-c", TICKS, far.gateway], log="ticks")
    ticks = far.directory / "ticks"
    until(lambda: ticks.read_text().count(".") > 3)
    far.cut()
    cut = ticks.read_text()
    with pytest.raises(AssertionError, match=r"unreachable|timed out"):
        trips(far, far.gateway, 0.5)
    assert len(ticks.read_text()) <= len(cut) + 2  # what was on its way
    far.heal()
    until(lambda: len(ticks.read_text()) > len(cut) + 10)
    assert line.poll() is None


TICKS = """
import socket, sys
with socket.create_connection((sys.argv[1], 7437)) as line:
    while True:
        line.sendall(b".")
        assert line.recv(1)
        print(".", end="", flush=True)
"""


def test_a_frozen_host_stands_still_and_wakes(fabric):
    host = fabric.host("frozen")
    host.start(["sh", "-c", "while :; do echo .; sleep 0.01; done"])
    log = host.directory / "log"
    until(lambda: log.read_text().count(".") > 3)
    host.freeze()
    states = {psutil.Process(pid).status() for pid in host.pids}
    assert states == {psutil.STATUS_STOPPED}
    before = log.read_text()
    host.wake()
    until(lambda: len(log.read_text()) > len(before))


def test_what_a_killed_run_left_is_swept_away(possible, tmp_path):
    text = """
        import sys, time
        from hosts import machines
        with machines.hosts() as fabric:
            host = fabric.host("left")
            host.start(["sh", "-c", "setsid sleep 1000 & echo on; wait"])
            while (host.directory / "log").read_text() != "on\\n":
                pass
            print(fabric.directory, flush=True)
            time.sleep(1000)
    """
    env = {**os.environ, "PYTHONPATH": machines.PATH}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, text=True, env=env
    ) as run:
        assert run.stdout is not None
        directory = Path(run.stdout.readline().strip())
        [space] = [name for name in machines.spaces(directory.name) if name.endswith("-left")]
        machines.sweep()  # one that runs is left alone
        assert len(machines.pids_in(space)) >= 2
        run.kill()
    assert machines.spaces(directory.name)
    with machines.hosts():
        assert not machines.spaces(directory.name)
        assert not machines.mounts(directory)
        assert not directory.exists()
        assert not machines.pids_in(space)


def test_nothing_is_left_at_the_end_but_what_failed_hosts_wrote(possible, tmp_path):
    with pytest.raises(ZeroDivisionError), machines.hosts(keep=tmp_path / "kept") as fabric:
        host = fabric.host("host")
        host.start(["sh", "-c", "trap '' TERM; echo here; setsid sleep 1000 & wait"])
        log = host.directory / "log"
        until(lambda: log.read_text() == "here\n" and len(host.pids) > 1)
        pids, id, directory = host.pids, fabric.id, fabric.directory
        1 / 0  # noqa: B018
    assert all(machines.is_dead(pid) for pid in pids)
    assert not machines.spaces(id)
    assert not directory.exists()
    assert (tmp_path / "kept" / "host" / "log").read_text() == "here\n"
