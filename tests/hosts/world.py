"""A home, its sites and a client, each on its own host, and the faults that meet them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from debian import install
from hosts import launch
from hosts.machines import Fabric, Host, hosts
from hosts.schedule import CLIENT, HOME, Fault, Kind
from hosts.wan import Wan, wan

from hanse.node.place import Place

PORT = 7437
NAME = "home.test"
DISK_BYTES = 96 << 20
ROUND_TRIP_MS: Mapping[str, float] = {"near": 10.0, "far": 80.0, "farthest": 150.0}
CLIENT_ROUND_TRIP_MS = 30.0
_START_S = 60.0
_FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"
_COMMAND = [sys.executable, "-m", "hosts.launch"]

Undo = Callable[[], None]


class Machine:
    """A host with a node, which is started again whenever it has died, as a service is."""

    def __init__(self, host: Host, cpus: float, options: Sequence[str], haste: float) -> None:
        self.host = host
        self.cpus = cpus
        self.place = Place(host.disk / "node")
        self.restarts: list[float] = []  # how long each took, in seconds
        self._options = options
        self._env = {"HASTE": str(haste)}
        self._clock = host.directory / "clock"
        self._process: subprocess.Popen[bytes] | None = None
        self._down_until_s = 0.0
        self._started_s = 0.0
        self._is_up = False

    def has_stepping_clock(self) -> None:
        """From its next start on."""
        self._clock.write_text("+0\n")
        self._env |= launch.clock(faketime(), str(self._clock))

    def step_clock(self, by_s: int) -> None:
        self._clock.write_text(f"{by_s:+d}\n")

    def begin(self) -> None:
        self._started_s = time.monotonic()
        self._begin()

    def wait(self) -> None:
        """Until it is up."""
        end = time.monotonic() + _START_S
        while not self.look():
            assert time.monotonic() < end, f"{self.host.name} does not start:\n{self.log}"
            time.sleep(0.01)

    def look(self) -> bool:
        """Whether the node is up; if it has died, it is started again."""
        now_s = time.monotonic()
        if self._process is None or self._process.poll() is not None:
            if self._is_up:
                self._is_up, self._started_s = False, now_s
            if now_s >= self._down_until_s:
                self._down_until_s = now_s + 0.5  # if it dies again
                self._begin()
        elif not self._is_up:
            found = self.place.running()
            if found is not None and found.pid == self._process.pid:
                self._is_up = True
                self.restarts.append(now_s - self._started_s)
        return self._is_up

    def _begin(self) -> None:
        self._process = self.host.start(
            [*_COMMAND, "up", "--cpus", str(self.cpus), *self._options], self._env
        )

    def kill(self, down_s: float, whole_host: bool) -> None:
        """SIGKILL, to the node alone or to all there is; it stays down for so long."""
        assert self._process is not None
        self._down_until_s = time.monotonic() + down_s
        if whole_host:
            self.host.crash()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(60)

    def workers(self) -> list[int]:
        """The processes that run items."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            nurseries = psutil.Process(self._process.pid).children()
            return sorted(worker.pid for each in nurseries for worker in each.children())
        return []

    def blobs(self) -> list[Path]:
        """What is kept under the hash of what is in it, by name."""
        found = (self.host.disk / "node").glob("blobs/??/*")
        return sorted(path for path in found if path.is_file())

    def end(self) -> None:
        """In order, by the command."""
        self.command("down")
        assert self._process is not None
        assert self._process.wait(30) == 0, self.log

    def command(self, *args: str) -> str:
        return self.host.run([*_COMMAND, *args])

    @property
    def log(self) -> str:
        return (self.host.directory / "log").read_text(errors="replace")


class World:
    """Made by `world`."""

    def __init__(self, fabric: Fabric, sites: Sequence[str], haste: float) -> None:
        self.fabric = fabric
        self.haste = haste
        beyond = ["--listen", f"0.0.0.0:{PORT}", "--name", NAME]
        within = ["--listen", f"127.0.0.1:{PORT}"]
        self.client = fabric.host(CLIENT)
        self.home = Machine(fabric.host(HOME, DISK_BYTES), 2 if sites else 12, beyond, haste)
        self.sites = [
            Machine(fabric.host(name, DISK_BYTES), 4, [*within, "--region", name], haste)
            for name in sites
        ]
        self.machines = {machine.host.name: machine for machine in (self.home, *self.sites)}
        self.ways = {self.client: CLIENT_ROUND_TRIP_MS}
        self.ways |= {site.host: ROUND_TRIP_MS[site.host.name] for site in self.sites}
        for host in self.ways:
            host.know({NAME: host.gateway})
        self.home.host.know({NAME: "127.0.0.1"})
        self.wan: Wan

    def start(self) -> None:
        for machine in self.machines.values():
            machine.begin()
        for machine in self.machines.values():
            machine.wait()
        for site in self.sites:
            token = self._token("link", site.host.name)
            site.command("link", token)

    def begin(self, program: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        """A program of the client's."""
        if not hasattr(self, "_submits"):
            self._submits = self._token("submit", CLIENT)
        env = {"HANSE_TOKEN": self._submits, "HASTE": str(self.haste)}
        return self.client.start([sys.executable, *program], env, log)

    def _token(self, role: str, name: str) -> str:
        return self.home.command(
            "token", "create", "--role", role, "--for", name, "--quiet"
        ).strip()

    def end(self) -> None:
        """End all nodes in order; no process may be left."""
        for machine in self.machines.values():
            machine.end()
        end = time.monotonic() + 10
        for host in self.fabric.hosts:
            while host.pids and time.monotonic() < end:
                time.sleep(0.01)
            assert not host.pids, f"left at {host.name}: {[_words(pid) for pid in host.pids]}"

    # --- faults ---------------------------------------------------------------------------------
    def strike(self, fault: Fault) -> Undo | None:
        """Let it happen; what undoes it after it has lasted, if anything does. None: not now, as
        what it is for is not there."""
        host = self.client if fault.place == CLIENT else self.machines[fault.place].host
        match fault.kind:
            case Kind.FROZEN:
                host.freeze()
                return host.wake
            case Kind.CUT:
                host.cut()
                return host.heal
            case Kind.HUNG:
                self.wan.hang(host)
                return lambda: self.wan.heal(host)
            case Kind.RESET:
                self.wan.reset(host)
                return lambda: self.wan.heal(host)
            case Kind.DISK_FULL:
                host.fill()
                return host.free
        return self._strike_node(self.machines[fault.place], fault)

    def _strike_node(self, machine: Machine, fault: Fault) -> Undo | None:
        match fault.kind:
            case Kind.NODE_KILLED | Kind.HOST_CRASHED:
                machine.kill(fault.lasts_s, fault.kind is Kind.HOST_CRASHED)
                return _nothing
            case Kind.WORKER_KILLED:
                return _kill_one(machine.workers(), fault.pick)
            case Kind.BIT_FLIPPED:
                return _flip(machine.blobs(), fault.pick)
            case Kind.CLOCK_STEPPED:
                machine.step_clock(3600 if fault.pick % 2 else -3600)
                return _nothing
        raise AssertionError(fault)


def _nothing() -> None:
    pass


def _kill_one(pids: Sequence[int], pick: int) -> Undo | None:
    if not pids:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids[pick % len(pids)], signal.SIGKILL)
    return _nothing


def _flip(blobs: Sequence[Path], pick: int) -> Undo | None:
    """One bit of one blob; it is as it was once that is undone."""
    if not blobs:
        return None
    path = blobs[pick % len(blobs)]
    whole = path.read_bytes()
    at = pick % len(whole)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([whole[at] ^ 1 << pick % 8]))

    def mend() -> None:
        path.write_bytes(whole)

    return mend


def _words(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return f"{pid} {words[:200]}"
    return str(pid)


def faketime() -> str:
    """Debian's libfaketime, installed if it is not there."""
    found = sorted(Path("/").glob(_FAKETIME[1:]))
    if not found:
        install("libfaketime")
        found = sorted(Path("/").glob(_FAKETIME[1:]))
    return str(found[0])


@contextlib.contextmanager
def world(sites: Sequence[str], haste: float, keep: Path | None = None) -> Iterator[World]:
    """A world for a block. If it fails, what its hosts wrote is copied to `keep`."""
    with hosts(keep) as fabric:
        made = World(fabric, sites, haste)
        with wan(fabric, made.home.host, PORT, made.ways) as made.wan:
            yield made
