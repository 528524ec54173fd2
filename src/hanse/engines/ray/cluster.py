"""Ray's processes of this machine: the head of a cluster, or a machine that joins one.

They have a directory, ports and a token of their own, so that they share nothing with another Ray
cluster on the machine, and a keeper (see `keeper`), so that nothing of them is left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hanse.engines.local.processes import kill_group
from hanse.engines.ray.tls import Tls
from hanse.errors import EngineError, UsageError
from hanse.model.resources import Amount

NOT_INSTALLED = "Ray is not installed here: pip install 'hanse[ray]'"
_START_S = 90.0  # that Ray may take on a busy machine
_END_S = 10.0
_LONGEST_HOME = 30  # a socket's path has at most 107 bytes, and Ray adds up to 76
# Of another cluster; and where this user works, which items would see.
_PRIVATE = (
    "RAY_ADDRESS", "RAY_TMPDIR", "RAY_AUTH_TOKEN_PATH", "RAY_NAMESPACE", "RAY_JOB_ID",
    "HANSE_URL", "HANSE_TOKEN",
)  # fmt: skip


def new_token() -> str:
    """A secret that opens a cluster."""
    return secrets.token_hex(32)


def environment(token: str, tls: Tls | None = None) -> dict[str, str]:
    """What a process needs to speak to the cluster with this token; None: it speaks without TLS."""
    return {
        "RAY_USE_TLS": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "AUTOSCALER_METRIC_PORT": "-1",  # it would answer anybody; a port that cannot be is none
        "RAY_DISABLE_IMPORT_WARNING": "1",
        # A machine whose head is gone ends soon, and is started again towards the next one.
        "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
        # Who used too much memory is known better by who watches single items.
        "RAY_memory_monitor_refresh_ms": "0",
        **(tls.environment() if tls is not None else {}),
    }


def free_port(host: str = "") -> int:
    """A port that nobody has now, outside of the range that systems give away by themselves."""
    for _ in range(200):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as trying:
            try:
                trying.bind((host, port))
            except OSError:
                continue
            return port
    raise EngineError("no free port was found")


class Kept:
    """Ray's processes of one machine, as long as this object and its process live."""

    def __init__(
        self, arguments: Sequence[str], token: str, home: Path, offers: Amount, tls: Tls | None
    ) -> None:
        if not installed():
            raise UsageError(NOT_INSTALLED)
        self._directory = _directory(home)
        ours, theirs = socket.socketpair()
        self._starter = ours
        self._log = open(home / "ray.log", "ab")  # noqa: SIM115 - as long as the process
        command = [
            sys.executable, "-m", "hanse.engines.ray.bare", "start", "--block",
            f"--temp-dir={self._directory}", "--disable-usage-stats", "--log-color=false",
            "--min-worker-port=0", "--max-worker-port=0", *_offering(offers), *arguments,
        ]  # fmt: skip
        env = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
        env |= environment(token, tls)
        here = [path for path in sys.path if path]
        env["PYTHONPATH"] = os.pathsep.join(here)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hanse.engines.ray.keeper", str(theirs.fileno()),
                 str(self._directory), *command],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self._log,
                stderr=self._log, env=env, start_new_session=True,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        """The keeper's."""
        return self._process.pid

    def drain(self) -> None:
        """Have Ray empty the machine, and end then."""
        with contextlib.suppress(OSError):
            self._starter.send(b"d")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it ended within that time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End all of Ray's processes here, and wait until they are gone."""
        self._starter.close()
        if not self.wait(_END_S):
            kill_group(self._process.pid)
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._log.close()


class Head(Kept):
    """The head of a cluster on this machine.

    Attributes:
        address: where others reach it: host and port.
    """

    def __init__(
        self, token: str, home: Path, offers: Amount, *, host: str | None = None, port: int = 0,
        tls: Tls | None = None,
    ) -> None:  # fmt: skip
        self.port = port or free_port()
        arguments = ["--head", f"--port={self.port}", "--include-dashboard=false"]
        if host is not None:
            arguments.append(f"--node-ip-address={host}")
        self.address = f"{host or own_address()}:{self.port}"
        super().__init__(arguments, token, home, offers, tls)

    def started(self) -> None:
        """Wait until it can be reached. Raises EngineError."""
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + _START_S
        while not self.ended and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return
            self.wait(0.05)
        self.end()
        raise EngineError("Ray's head did not start; why is in ray.log of the node's directory")


class Worker(Kept):
    """A machine that joins the cluster at an address."""

    def __init__(
        self, address: str, token: str, home: Path, offers: Amount, *, host: str | None = None,
        tls: Tls | None = None,
    ) -> None:  # fmt: skip
        own = [f"--node-ip-address={host}"] if host is not None else []
        super().__init__([f"--address={address}", *own], token, home, offers, tls)


def installed() -> bool:
    """Whether Ray can be imported here, without doing so."""
    import importlib.util

    return importlib.util.find_spec("ray") is not None


def own_address(towards: str = "8.8.8.8") -> str:
    """The address by which that machine reaches this one, as Ray finds it."""
    with contextlib.suppress(OSError):
        family, kind, _, _, where = socket.getaddrinfo(towards, 53, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as asking:
            asking.connect(where)  # sends nothing
            return str(asking.getsockname()[0])
    return "127.0.0.1"


def _offering(offers: Amount) -> list[str]:
    told = [f"--num-cpus={offers.cpus_milli // 1000}"]
    if offers.gpus_milli:  # else those that Ray finds
        told.append(f"--num-gpus={offers.gpus_milli // 1000}")
    if offers.memory_bytes:
        told.append(f"--memory={offers.memory_bytes}")
    if offers.custom_milli:
        custom = {name: milli / 1000 for name, milli in offers.custom_milli.items()}
        told.append(f"--resources={json.dumps(custom)}")
    return told


def _directory(home: Path) -> Path:
    """For this start alone: Ray names sockets by the second."""
    home.mkdir(parents=True, exist_ok=True)
    short = len(str(home)) <= _LONGEST_HOME
    return Path(
        tempfile.mkdtemp(prefix="ray-" if short else "hanse-ray-", dir=home if short else None)
    )
