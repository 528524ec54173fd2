"""Where Ray's nodes of a benchmark stand: each on a host of its own, or all on this machine.

Hosts are network namespaces (see docs/hosts.md), which take root on Linux: nodes have addresses of
their own and bytes between them cross a network, at the speed of this machine's memory.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from hanse.engines.ray.cluster import own_address
from hanse.node.site_tls import SiteAuthority

_START_S, _RUN_S = 60.0, 300.0
_TESTS = Path(__file__).parents[2] / "tests"


class Place(Protocol):
    """Somewhere that programs can be started."""

    home: Path
    address: str

    def start(self, words: list[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """`python` with these words; both outputs go to the log."""


class Here:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.address = own_address()

    def start(self, words: list[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **env},
            )  # fmt: skip


class There:
    """A host."""

    def __init__(self, host: Any, home: Path) -> None:
        self._host = host
        self.home = home
        self.address = str(host.address)

    def start(self, words: list[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        started: subprocess.Popen[bytes] = self._host.start([sys.executable, *words], env, str(log))
        return started


@contextlib.contextmanager
def places(count: int, apart: bool) -> Iterator[list[Place]]:
    """So many; `apart`: each is a host."""
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hb-")))
        homes = [base / str(number) for number in range(count)]
        for home in homes:
            home.mkdir()
        if not apart:
            yield [Here(home) for home in homes]
            return
        sys.path.insert(0, str(_TESTS))
        from hosts.machines import hosts

        fabric = stack.enter_context(hosts())
        made = [There(fabric.host(f"h{number}"), homes[number]) for number in range(count)]
        fabric.room()
        yield list(made)


def why_not_apart() -> str:
    """Why nodes cannot stand on hosts of their own here."""
    sys.path.insert(0, str(_TESTS))
    from hosts.machines import why_not

    return why_not()


@contextlib.contextmanager
def cluster(where: list[Place], cpus: int, env: dict[str, str], tls: bool) -> Iterator[str]:
    """A Ray node in each place; the address of the head, which is in the first. With TLS `env` gets
    what it takes to speak to them."""
    started: list[subprocess.Popen[bytes]] = []
    if tls:
        authority = SiteAuthority(where[0].home / "site")
        env |= authority.own(*(place.address for place in where)).environment()

    def start(place: Place, *more: str) -> None:
        words = ["-m", "bench.on_ray.node", str(place.home), str(cpus), *more]
        started.append(place.start(words, env, place.home / "node.log"))

    try:
        start(where[0])
        address = where[0].home / "address"
        end = time.monotonic() + _START_S
        while not address.exists() or not address.read_text():
            if started[0].poll() is not None or time.monotonic() > end:
                sys.exit(f"Ray's head does not start:\n{(where[0].home / 'node.log').read_text()}")
            time.sleep(0.1)
        for place in where[1:]:
            start(place, address.read_text())
        yield address.read_text()
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)


def run(place: Place, words: list[str], env: Mapping[str, str]) -> str:
    """The last line that a program writes."""
    log = place.home / "run.log"
    code = place.start(words, env, log).wait(_RUN_S)
    if code:
        sys.exit(f"{' '.join(words)}: {log.read_text()[-2000:]}")
    return log.read_text().splitlines()[-1]
