"""Hosts that really fail: network namespaces on this machine, each with its own name and disk.

Every host is joined to one namespace in the middle, the `wan`, by a pair of virtual interfaces, and
sees no other host: the wan forwards nothing. What passes between hosts passes through the proxies
that run there (`wan.py`). A host's processes are known by their namespace, so they can be stopped,
frozen and counted whatever they did to their parents.

Nothing is left of a run. One that was itself killed is swept away by the next: its directory names
its namespaces and mounts, and the lock on it is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from debian import install
from system.command import SRC

_BASE = Path("/tmp")
_PREFIX = "hanse-hosts-"
_NETWORK = "10.213"  # .N.1 is the wan's side, .N.2 the host's
PATH = os.pathsep.join(map(str, (SRC, SRC.parent / "tests", SRC.parent)))

# In a process of the host, before its program: its name, its hosts file, shared memory of its own.
# It dies with the test run.
_ENTER = """
hostname "$1" && mount --bind "$2" /etc/hosts && mount -t tmpfs -o size=64m shm /dev/shm || exit 97
shift 2
exec setpriv --pdeathsig KILL -- "$@"
"""


def why_not() -> str:
    """Why there can be no hosts here; empty if there can."""
    if sys.platform != "linux":
        return "hosts are network namespaces, which Linux has"
    if os.geteuid() != 0:
        return "making network namespaces takes root"
    if shutil.which("ip") is None:
        try:
            install("iproute2")
        except (RuntimeError, subprocess.SubprocessError) as error:
            return str(error)
    name = f"{_PREFIX}{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


class Host:
    """One machine. Addresses by name: `names` says where the others are, as seen from here."""

    def __init__(self, fabric: Fabric, number: int, name: str, disk_bytes: int) -> None:
        self.name = name
        self.gateway = f"{_NETWORK}.{number}.1"
        self.address = f"{_NETWORK}.{number}.2"
        self.directory = fabric.directory / name
        self.disk = self.directory / "disk"
        self._wan = fabric.wan
        self._started = fabric.started
        self._space = f"{fabric.id}-{name}"
        self._wire = f"w{number}"
        self._hosts = self.directory / "hosts"
        self._ballast = self.disk / "ballast"
        self.disk.mkdir(parents=True)
        self.know({})
        _run("mount", "-t", "tmpfs", "-o", f"size={disk_bytes},mode=700", _PREFIX, self.disk)
        _run("ip", "netns", "add", self._space)
        _run("ip", "-n", self._space, "link", "add", "eth0", "type", "veth",
             "peer", "name", self._wire, "netns", self._wan)  # fmt: skip
        _run("ip", "-n", self._wan, "address", "add", f"{self.gateway}/30", "dev", self._wire)
        _run("ip", "-n", self._wan, "link", "set", self._wire, "up")
        _run("ip", "-n", self._space, "address", "add", f"{self.address}/30", "dev", "eth0")
        for wire in ("lo", "eth0"):
            _run("ip", "-n", self._space, "link", "set", wire, "up")

    def know(self, names: Mapping[str, str]) -> None:
        """Set the addresses of host names here; for processes that start from now on."""
        lines = ["127.0.0.1 localhost", f"127.0.0.1 {self.name}"]
        lines += [f"{address} {name}" for name, address in names.items()]
        self._hosts.write_text("\n".join(lines) + "\n")

    def reach_all(self) -> None:
        """Other hosts are reached through the wan, which forwards now."""
        _run("ip", "-n", self._space, "route", "add", "default", "via", self.gateway)

    # --- processes ------------------------------------------------------------------------------
    def start(
        self, command: Sequence[str], env: Mapping[str, str] = {}, log: str = "log"
    ) -> subprocess.Popen[bytes]:
        """A process on this host; its id is that of the command. Both outputs go to the log."""
        enter = ["ip", "netns", "exec", self._space, "unshare", "--uts", "sh", "-c", _ENTER, "sh"]
        # What is preloaded is for the command alone: a clock leaves files where the way in was.
        loaded = [f"{name}={value}" for name, value in env.items() if name.startswith("LD_")]
        env = {name: value for name, value in env.items() if not name.startswith("LD_")}
        program = ["env", *loaded, *command] if loaded else command
        with open(self.directory / log, "ab") as out:
            process = subprocess.Popen(
                [*enter, self.name, str(self._hosts), *program], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env=self._environment(env), cwd=self.directory,
                process_group=0,
            )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, command: Sequence[str], env: Mapping[str, str] = {}) -> str:
        """Run a command here to its end; what it printed. Fails in its own words."""
        log = f"ran-{secrets.token_hex(4)}"
        code = self.start(command, env, log).wait(60)
        text = (self.directory / log).read_text()
        assert code == 0, f"{' '.join(command)} at {self.name}: exit code {code}\n{text}"
        return text

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HANSE_", "LD_"))}
        home = str(self.disk)
        return kept | {"PYTHONPATH": PATH, "HANSE_HOME": home, "COLUMNS": "200"} | dict(more)

    @property
    def pids(self) -> list[int]:
        """All processes of this host, in order; dead ones that nobody has waited for are none."""
        return pids_in(self._space)

    def send(self, number: signal.Signals) -> None:
        """A signal to every process, also to those that are started meanwhile."""
        told: set[int] = set()
        while fresh := set(self.pids) - told:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told |= fresh

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def wake(self) -> None:
        self.send(signal.SIGCONT)

    def crash(self) -> None:
        """Every process ends at once, as in a power failure; the disk stays."""
        self.send(signal.SIGKILL)

    # --- network and disk -----------------------------------------------------------------------
    def cut(self) -> None:
        """Nothing comes or goes, and nobody is told."""
        _run("ip", "-n", self._wan, "link", "set", self._wire, "down")

    def heal(self) -> None:
        _run("ip", "-n", self._wan, "link", "set", self._wire, "up")

    def fill(self) -> None:
        """Take all that is free on the disk."""
        with contextlib.suppress(OSError), open(self._ballast, "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


class Fabric:
    """All hosts of a run, and the wan between them. Made by `hosts`."""

    def __init__(self, id: str, directory: Path) -> None:
        self.id = id
        self.directory = directory
        self.wan = f"{id}-wan"
        self.hosts: list[Host] = []
        self.started: list[subprocess.Popen[bytes]] = []
        _run("ip", "netns", "add", self.wan)
        _run("ip", "-n", self.wan, "link", "set", "lo", "up")

    def host(self, name: str, disk_bytes: int = 64 << 20) -> Host:
        made = Host(self, len(self.hosts), name, disk_bytes)
        self.hosts.append(made)
        return made

    def room(self) -> None:
        """Let all hosts reach each other, as machines in one room do."""
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        _run("ip", "netns", "exec", self.wan, "sh", "-c", forward)
        for host in self.hosts:
            host.reach_all()

    def start_between(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """A process in the wan, spoken to by its input and output. It ends with its input."""
        log = open(self.directory / "wan.log", "ab")  # noqa: SIM115 - the process's
        with log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.wan, *command], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, process_group=0,
                env={**os.environ, "PYTHONPATH": PATH},
            )  # fmt: skip


@contextlib.contextmanager
def hosts(keep: Path | None = None) -> Iterator[Fabric]:
    """Hosts for a block. If it fails, what they wrote is copied to `keep`, but for their disks."""
    with _alone():
        _sweep()
        id = _PREFIX + secrets.token_hex(4)
        directory = _BASE / id
        directory.mkdir(mode=0o700)
        held = open(directory / "lock", "ab")  # noqa: SIM115 - closed below
        fcntl.flock(held, fcntl.LOCK_EX)
    with held:
        try:
            fabric = Fabric(id, directory)
            try:
                yield fabric
            finally:
                for host in fabric.hosts:
                    host.crash()
                for process in fabric.started:
                    process.wait(60)
        except BaseException:
            if keep is not None:
                shutil.rmtree(keep, ignore_errors=True)
                shutil.copytree(directory, keep, ignore=shutil.ignore_patterns("disk"))
            raise
        finally:
            _remove(directory)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One run at a time makes or sweeps directories: one that is not locked yet is nobody's."""
    with open(_BASE / f"{_PREFIX}lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep() -> None:
    """Remove what killed runs have left."""
    with _alone():
        _sweep()


def _sweep() -> None:
    for directory in _BASE.glob(f"{_PREFIX}*/"):
        try:
            lock = open(directory / "lock", "rb")  # noqa: SIM115 - closed below
        except FileNotFoundError:  # it is being removed, or its maker came no further
            shutil.rmtree(directory, ignore_errors=True)
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # it runs
            _remove(directory)


def spaces(id: str) -> list[str]:
    """The namespaces of a run."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    return [name for name in names if name.startswith(f"{id}-")]


def mounts(directory: Path) -> list[str]:
    """What is mounted below a directory."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [
        place for place in (line.split()[1] for line in lines) if place.startswith(f"{directory}/")
    ]


def _remove(directory: Path) -> None:
    for space in spaces(directory.name):
        end = time.monotonic() + 10
        while (found := pids_in(space)) and time.monotonic() < end:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        _run("ip", "netns", "del", space)
    for place in mounts(directory):
        _run("umount", "--lazy", place)
    shutil.rmtree(directory, ignore_errors=True)


def pids_in(space: str) -> list[int]:
    """The living processes of a namespace."""
    found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, check=False)
    return sorted(pid for pid in map(int, found.stdout.split()) if not is_dead(pid))


def is_dead(pid: int) -> bool:
    """Whether nothing is left of a process, or all that is left is its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _run(*command: object) -> None:
    ran = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(map(str, command))}: {ran.stderr.strip()}"
