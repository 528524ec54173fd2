"""What lies between the hosts: a way for each, as long as is said, that is cut and healed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hosts.machines import Fabric, Host


class Wan:
    """The ways from hosts to one server, through a proxy process. Made by `wan`."""

    def __init__(self, fabric: Fabric, server: Host, port: int, ways: Mapping[Host, float]) -> None:
        routes = [
            {"name": host.name, "listen": host.gateway, "to": server.address, "port": port,
             "round_trip_ms": ms}
            for host, ms in ways.items()
        ]  # fmt: skip
        self.process = fabric.start_between(
            [sys.executable, "-m", "hosts.proxy", json.dumps(routes)]
        )
        assert self._answer() == "ready"

    def hang(self, host: Host) -> None:
        """Connections stay, and nothing passes."""
        self._ask("hang", host)

    def reset(self, host: Host) -> None:
        """All connections are reset, new ones too."""
        self._ask("reset", host)

    def heal(self, host: Host) -> None:
        self._ask("heal", host)

    def count(self, host: Host) -> int:
        """Connections that are open."""
        return int(self._ask("count", host))

    def _ask(self, verb: str, host: Host) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([verb, host.name]) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the proxy has ended: see wan.log"
        return json.loads(line)


@contextlib.contextmanager
def wan(fabric: Fabric, server: Host, port: int, ways: Mapping[Host, float]) -> Iterator[Wan]:
    """Let each of these hosts reach the server at its own gateway's address, with a round trip of
    so many milliseconds."""
    made = Wan(fabric, server, port, ways)
    try:
        yield made
    finally:
        with made.process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)
