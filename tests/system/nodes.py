"""Real nodes: the real command in a process of its own, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from system.command import HANSE, SRC, as_json, environment, hanse
from system.real import until

from hanse.client.client import Client
from hanse.client.connecting import connect
from hanse.model.resources import Amount
from hanse.node.http.app import Route, table
from hanse.node.place import Place
from hanse.remote import address
from hanse.remote.dial import Dial
from hanse.wire import api

_TESTS = Path(__file__).parents[1]
PATH = os.pathsep.join(map(str, (SRC, _TESTS, _TESTS.parent)))  # functions of tests are found


class Node:
    """One node on loopback, on a port of its own that it keeps when it is started again."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.place = Place(home / "node")
        self.options = options
        self.program: Sequence[str] = HANSE
        self.port = 0
        self.patience_s = 30.0  # for a start
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **env: str) -> Node:
        self.home.mkdir(mode=0o700, exist_ok=True)
        log = open(self.home / "log", "ab")  # noqa: SIM115 - the process's
        listen = ("--listen", f"127.0.0.1:{self.port}") if "--listen" not in self.options else ()
        self.process = subprocess.Popen(
            [*self.program, "up", *listen, *self.options], stdout=log, stderr=log, process_group=0,
            env=environment(self.home, PYTHONPATH=PATH, **env), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log.close()
        pid = self.process.pid
        until(lambda: self._is_up(pid) or self._died(), self.patience_s)
        assert not self._died(), self.log
        self.port = int(self.url.rpartition(":")[2])
        return self

    def _is_up(self, pid: int) -> bool:
        found = self.place.running()
        return found is not None and found.pid == pid

    def _died(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def url(self) -> str:
        found = self.place.running()
        assert found is not None
        return found.url

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    @property
    def address(self) -> address.Address:
        return address.decode(self.place.local_token.read_text())

    def dial(self) -> Dial:
        return Dial(self.address)

    def connect(self) -> Client:
        return connect(address.encode(self.address))

    @property
    def env(self) -> dict[str, str]:
        """What a program needs to run on it."""
        return {"HANSE_TOKEN": address.encode(self.address)}

    def kill(self) -> None:
        """SIGKILL, to the node alone: its workers have to notice."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def end(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process = None

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def command(self, *args: object) -> subprocess.CompletedProcess[str]:
        return hanse(*args, home=self.home)


class Away:
    """The command on another machine, as it were: with a home of its own, and a token."""

    def __init__(self, node: Node, directory: Path) -> None:
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        self.env = node.env

    def __call__(self, *args: object) -> subprocess.CompletedProcess[str]:
        return hanse(*args, home=self.home, **self.env)

    def json(self, *args: object, code: int = 0) -> Any:
        return as_json(*args, home=self.home, code=code, **self.env)

    def start(self, *args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*HANSE, *map(str, args)], env=environment(self.home, **self.env), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def rest(following: subprocess.Popen[str]) -> str:
    """What it still writes. Not by communicate: that forgets what readline has buffered."""
    assert following.stdout is not None
    assert following.stderr is not None
    with following:
        out, err = following.stdout.read(), following.stderr.read()
    assert following.returncode == 0, err
    return out


def routes(info: api.NodeInfo | None = None) -> list[Route]:
    """All routes of a node that is not there: for looking at, or for calls that need none of it."""
    info = info or api.NodeInfo(
        node="", host="", version="", protocol=1, python="", capacity=Amount()
    )
    parts = len(signature(table).parameters) - 2
    return table(info, b"", *[None] * parts)  # type: ignore[arg-type]
