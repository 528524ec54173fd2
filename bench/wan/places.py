"""The hosts, and what runs on them: network namespaces behind proxies that delay (tests/hosts).

A home and three sites, 10, 80 and 150 ms of round trip away. Programs run on the home's host. On
one machine: the same slots on one host, without ways between.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hosts.machines import Fabric, Host, hosts
from hosts.wan import wan
from hosts.world import NAME, PORT, ROUND_TRIP_MS, Machine

from bench.environments import python_of

DISK_BYTES = 512 << 20
SLOTS = 4  # at each site
SCHEDULER, WORKERS = 8786, 9000  # ports of Dask's


class Place:
    """Where a program runs, and with what.

    Args:
        python: the interpreter.
        env: what it needs to find its cluster.
    """

    def __init__(self, host: Host, python: str, env: dict[str, str]) -> None:
        self._host = host
        self._python = python
        self._env = env

    def run(self, *arguments: str, limit_s: float = 600) -> list[dict[str, float]]:
        """A program to its end; the lines of JSON that it printed."""
        log = f"program-{time.monotonic_ns()}"
        process = self._host.start([self._python, *arguments], self._env, log)
        code = process.wait(limit_s)
        text = (self._host.directory / log).read_text()
        assert code == 0, text
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@contextlib.contextmanager
def hanse(sites: Sequence[str]) -> Iterator[Place]:
    """A home with linked sites, or alone with all their slots."""
    with hosts() as fabric:
        home, machines = _home(fabric, 0.5 if sites else SLOTS * len(ROUND_TRIP_MS)), []
        for name in sites:
            host = fabric.host(name, DISK_BYTES)
            host.know({NAME: host.gateway})
            options = ["--listen", f"127.0.0.1:{PORT}", "--region", name]
            machines.append(Machine(host, SLOTS, options, 1.0))
        ways = {machine.host: ROUND_TRIP_MS[machine.host.name] for machine in machines}
        with wan(fabric, home.host, PORT, ways):
            for machine in (home, *machines):
                machine.begin()
            for machine in (home, *machines):
                machine.wait()
            for machine in machines:
                machine.command("link", token(home, "link"))
            yield Place(home.host, sys.executable, {"HANSE_TOKEN": token(home, "submit")})
            for machine in (home, *machines):
                machine.end()


def _home(fabric: Fabric, cpus: float) -> Machine:
    host = fabric.host("home", DISK_BYTES)
    host.know({NAME: "127.0.0.1"})
    return Machine(host, cpus, ["--listen", f"0.0.0.0:{PORT}", "--name", NAME], 1.0)


def token(home: Machine, role: str) -> str:
    words = ["token", "create", "--role", role, "--for", role, "--quiet"]
    return home.command(*words).strip()


# --- Dask --------------------------------------------------------------------------------
@contextlib.contextmanager
def dask(sites: Sequence[str]) -> Iterator[Place]:
    """A scheduler with workers of one thread each, all with TLS. Its workers have to be reached
    from the scheduler and from clients: so there is a way to each, too; none between sites."""
    python = str(python_of("dask"))
    with hosts() as fabric:
        home = fabric.host("home", DISK_BYTES)
        keys = fabric.directory / "keys"
        home.run([python, "-m", "bench.wan.keys", str(keys)])
        tls = ["--tls-ca-file", f"{keys}/cert", "--tls-cert", f"{keys}/cert", "--tls-key",
               f"{keys}/key"]  # fmt: skip
        where = [fabric.host(name, DISK_BYTES) for name in sites] or [home] * len(ROUND_TRIP_MS)
        home.know({NAME: "127.0.0.1", "workers.test": home.gateway if sites else "127.0.0.1"})
        routes = []
        for number, host in enumerate(where):
            ports = range(WORKERS + number * SLOTS, WORKERS + (number + 1) * SLOTS)
            if host is not home:
                host.know({NAME: host.gateway, "workers.test": "127.0.0.1"})
                ms = ROUND_TRIP_MS[host.name]
                routes.append(_route(host.name, host.gateway, home.address, SCHEDULER, ms))
                routes += [_route(str(p), home.gateway, host.address, p, ms) for p in ports]
        command = [sys.executable, "-m", "hosts.proxy", json.dumps(routes)]
        with fabric.start_between(command) as between:
            assert between.stdout is not None
            assert json.loads(between.stdout.readline()) == "ready"
            home.start([python, "-m", "distributed.cli.dask_scheduler", "--host",
                        f"tls://0.0.0.0:{SCHEDULER}", "--no-dashboard", *tls])  # fmt: skip
            for number, host in enumerate(where):
                for port in range(WORKERS + number * SLOTS, WORKERS + (number + 1) * SLOTS):
                    host.start(
                        [python, "-m", "distributed.cli.dask_worker", f"tls://{NAME}:{SCHEDULER}",
                         "--nthreads", "1", "--no-nanny", "--no-dashboard", "--listen-address",
                         f"tls://0.0.0.0:{port}", "--contact-address",
                         f"tls://workers.test:{port}", "--memory-limit", "0", "--local-directory",
                         str(host.disk), *tls],
                        log=f"worker-{port}",
                    )  # fmt: skip
            try:
                yield Place(home, python, {"DASK_KEYS": str(keys)})
            finally:
                assert between.stdin is not None
                between.stdin.close()


def _route(name: str, listen: str, to: str, port: int, ms: float) -> dict[str, object]:
    return {"name": name, "listen": listen, "to": to, "port": port, "round_trip_ms": ms}


PLACES = {"hanse": hanse, "dask": dask}
SITES = tuple(ROUND_TRIP_MS)
PROGRAM = str(Path(__file__).with_name("program.py"))
