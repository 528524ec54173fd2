"""A site of two machines, both here: joined, emptied, killed in parts and as a whole."""

from __future__ import annotations

import collections
import contextlib
import math
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from system.command import HANSE, environment
from system.nodes import Node
from system.real import until

from hanse.wire import api

LONG_S = 60.0  # Ray takes seconds to start, several times that on a busy machine


class Machine:
    """Another machine, as it were: the real `hanse join`."""

    def __init__(self, node: Node, home: Path) -> None:
        made = node.command("token", "create", "--role", "join", "--for", "a machine")
        assert made.returncode == 0, made.stderr
        home.mkdir(mode=0o700)
        self.home = home
        with open(home / "log", "wb") as log:
            self.process = subprocess.Popen(
                [*HANSE, "join", "--cpus", "1", "--evict-file", str(home / "evicted")],
                env={**environment(home), "HANSE_TOKEN": "secret"}, stdin=subprocess.PIPE,
                stdout=log, stderr=log, process_group=0,
            )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(made.stdout.encode())
        self.process.stdin.close()

    def rays(self) -> list[psutil.Process]:
        """Ray's processes here, with the keeper."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = headed(tmp_path_factory.mktemp("site") / "node")
    yield made
    made.close()


def headed(home: Path, *options: str) -> Node:
    node = Node(home, "--engine", "ray", *(options or ("--cpus", "1")))
    node.patience_s = LONG_S
    return node.start()


@pytest.fixture
def machine(node: Node, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(node, tmp_path / "machine")
    until(lambda: machines(node) == 2, LONG_S)
    yield made
    made.close()


def machines(node: Node) -> int:
    return len(node.command("nodes", "--quiet").stdout.split("\n")) - 1


def step(item: int) -> tuple[int, int]:
    """Also by which slot it was run."""
    time.sleep(0.02)
    assert "HANSE_TOKEN" not in os.environ, "it is of who joined the machine"
    return item, psutil.Process().parent().parent().pid  # type: ignore[union-attr]


def noting(item: int, path: str) -> int:
    with open(path, "a") as file:
        file.write(f"{item}\n")
    time.sleep(0.02)
    return item


def place(item: int) -> tuple[float, str]:
    """What only the same bits are equal to, and whether Ray is above the worker."""
    time.sleep(0.02)
    return math.sin(item) * 1e17 % 3, "slot" if "RAY_ADDRESS" in os.environ else "worker"


def program_of_ray(number: int) -> tuple[int, int, str]:
    """As any program of Ray: it knows nothing of Hanse."""
    import ray

    ray.init(log_to_driver=False, logging_level="ERROR")

    @ray.remote(num_cpus=0)
    def square(x: int) -> int:
        return x * x

    try:
        return number, ray.get(square.remote(number)), ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def ran(notes: Path) -> collections.Counter[int]:
    """How often each item began."""
    return collections.Counter(map(int, notes.read_text().split()))


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(runs, processes))


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # one dies with another
            process.kill()


def runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ends as we look
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def called(process: psutil.Process, word: str) -> bool:
    """Whether its command line has the word; a process that has ended has none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(word in each for each in process.cmdline())
    return False


def test_a_machine_joins_takes_part_and_leaves_in_the_middle_of_a_job(
    node: Node, machine: Machine, tmp_path: Path
) -> None:
    with node.connect() as client:
        slots = {slot for _, slot in client.map(step, range(300))}
        assert len(slots) == 2
        notes = tmp_path / "notes"
        job = client.map(noting, range(400), [str(notes)] * 400)
        until(lambda: notes.exists() and notes.read_text().count("\n") > 40, LONG_S)
        (machine.home / "evicted").write_text("gone in 60 seconds")  # as SIGTERM does
        assert list(job) == list(range(400))
    assert machine.process.wait(LONG_S) == 0
    assert "taken away in 60 s: gone in 60 seconds" in (machine.home / "log").read_text()
    assert ran(notes) == dict.fromkeys(range(400), 1), "something ran twice"
    until(lambda: machines(node) == 1, LONG_S)


def test_jobs_survive_the_death_of_a_machine_and_of_the_head(
    node: Node, machine: Machine, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    assert node.process is not None
    with node.connect() as client:
        results = iter(client.map(noting, range(400), [str(notes)] * 400))
        seen = [next(results) for _ in range(40)]
        once = dict.fromkeys(seen, 1)
        kill(machine.rays())
        seen += [next(results) for _ in range(60)]
        heads = [
            process
            for process in psutil.Process(node.process.pid).children(recursive=True)
            if called(process, "gcs_server")
        ]
        once |= {item: ran(notes)[item] for item in seen}
        kill(heads)
        assert [*seen, *results] == list(range(400))
    assert {item: ran(notes)[item] for item in seen} == once, "what was committed ran again"
    until(lambda: machines(node) == 2, LONG_S)  # both machines are back, by themselves


def test_a_site_of_several_machines_and_one_of_its_own_finish_a_job_together(
    node: Node, tmp_path: Path
) -> None:
    home = Node(tmp_path / "home", "--cpus", "1").start()
    try:
        made = home.command("token", "create", "--role", "link", "--for", "lab")
        linked = node.command("link", made.stdout.strip())
        assert linked.returncode == 0, linked.stderr
        known = {
            each.host for each in node.dial().ask("GET", "/v1/machines", list[api.MachineInfo])
        }
        shown = partial(home.dial().ask, "GET", "/v1/machines", list[api.MachineInfo])
        until(lambda: {each.host for each in shown() if each.engine == "ray"} == known, LONG_S)
        with home.connect() as client:
            found = list(client.map(place, range(500)))
        assert [value for value, _ in found] == [value for value, _ in map(place, range(500))]
        assert {where for _, where in found} == {"slot", "worker"}
    finally:
        for link in node.command("links", "--quiet").stdout.split():
            node.command("unlink", link)
        home.close()


def test_a_ray_program_finds_the_cluster_of_its_site(node: Node) -> None:
    with node.connect() as client:
        mine, theirs, address = client.submit(program_of_ray, 7).result(LONG_S)
    assert (mine, theirs) == (7, 49)
    assert address.split(":")[-1] in (node.place.home / "ray.json").read_text()


def test_whatever_ray_listens_on_is_encrypted_or_asks_for_the_token(
    node: Node, machine: Machine
) -> None:
    """What is not encrypted is spoken to by processes of the same machine alone."""
    with node.connect() as client:
        assert list(client.map(abs, range(10))) == list(range(10))
        assert node.process is not None
        rays = [*machine.rays(), *psutil.Process(node.process.pid).children(recursive=True)]
        found = set[tuple[str, str]]().union(*map(kinds, rays))
    assert found == {("TLS", ""), ("HTTP 401", "RuntimeEnvAgent")}


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [
            (each.laddr.ip, each.laddr.port)
            for each in process.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
        ]
    return []


def kinds(process: psutil.Process) -> set[tuple[str, str]]:
    """What all that it listens on says. It may end meanwhile."""
    found = set()
    for where in listening(process):
        try:
            found.add(kind(process, *where))
        except (OSError, IndexError, psutil.NoSuchProcess):
            until(lambda where=where: where not in listening(process), LONG_S)  # type: ignore[misc]
    return found


def kind(process: psutil.Process, host: str, port: int) -> tuple[str, str]:
    """What whoever comes without certificate and token hears there."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    place = ("127.0.0.1" if host in ("::", "0.0.0.0") else host, port)
    with contextlib.suppress(ssl.SSLError), socket.create_connection(place, LONG_S) as dialled:
        anybody.wrap_socket(dialled).close()
        return "TLS", ""
    with socket.create_connection(place, LONG_S) as dialled:
        dialled.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        words = dialled.recv(100).split()
    return f"HTTP {words[1].decode()}", process.cmdline()[0].removeprefix("ray::").strip()


@pytest.mark.parametrize("end", ["down", "killed"])
def test_nothing_of_ray_is_left_and_other_clusters_are_not_touched(
    node: Node, tmp_path: Path, end: str
) -> None:
    ending = headed(tmp_path / "ending")
    try:
        with ending.connect() as client:
            assert list(client.map(abs, range(10))) == list(range(10))
        assert ending.process is not None
        its = psutil.Process(ending.process.pid).children(recursive=True)
        assert any(called(process, "raylet") for process in its)
        if end == "down":
            assert ending.command("down").returncode == 0
        else:
            ending.kill()
        until(lambda: gone(its), LONG_S)
        assert not list(ending.place.home.glob("ray-*"))
    finally:
        ending.close()
    with node.connect() as client:
        assert list(client.map(abs, range(10))) == list(range(10))


def test_when_the_keeper_is_killed_nothing_it_kept_is_left_and_the_site_is_back(node: Node) -> None:
    assert node.process is not None
    children = psutil.Process(node.process.pid).children()
    (keeper,) = (each for each in children if called(each, "keeper"))
    kept = keeper.children(recursive=True)
    assert any(called(process, "raylet") for process in kept)
    keeper.kill()
    until(lambda: gone(kept), LONG_S)
    with node.connect() as client:
        assert list(client.map(abs, range(10))) == list(range(10))


def test_who_cannot_join_is_told_why(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", "--cpus", "1").start()
    try:
        token = node.command("token", "create", "--role", "join", "--for", "x").stdout.strip()
        refused = node.command("join", token)
        assert refused.returncode == 2
        assert "hanse up --engine ray" in refused.stderr
        read = node.command("token", "create", "--role", "read", "--for", "x").stdout.strip()
        assert "has the role read, which may not join" in node.command("join", read).stderr
        shown = node.command("nodes").stdout
        assert "local" in shown
    finally:
        node.close()


def test_versions_have_to_be_the_same() -> None:
    from hanse.engines.ray.site import Versions
    from hanse.errors import UsageError

    here = Versions.here()
    here.check(here)
    with pytest.raises(UsageError, match=r"the site runs Ray 1\.0 and this machine Ray "):
        here.check(Versions(here.hanse, "1.0", here.python))
