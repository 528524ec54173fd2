"""The cluster of one site: heads it, keeps it up, and knows its machines.

Either this machine heads the cluster, with a token and a port that stay the same while the node's
directory does, so that machines which joined find the next head; or it is somebody else's.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import platform
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from hanse import __version__
from hanse.decoding import from_json
from hanse.engines.port import Event, Loop, Printed
from hanse.engines.ray.cluster import (
    NOT_INSTALLED,
    Head,
    environment,
    free_port,
    installed,
    new_token,
    own_address,
)
from hanse.engines.ray.engine import RayEngine
from hanse.engines.ray.messages import Machine
from hanse.engines.ray.starting import Driver
from hanse.engines.ray.tls import Tls
from hanse.errors import EngineError, UsageError
from hanse.model.resources import Amount
from hanse.wire.api import SiteInfo

_logger = logging.getLogger("hanse")
_AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # before a head that ended is started again


class Versions(msgspec.Struct, frozen=True):
    """What has to be the same on all machines of a site."""

    hanse: str
    ray: str
    python: str

    @classmethod
    def here(cls) -> Versions:
        """Raises UsageError if Ray is not installed."""
        try:
            ray = importlib.metadata.version("ray")
        except importlib.metadata.PackageNotFoundError:
            raise UsageError(NOT_INSTALLED) from None
        return cls(__version__, ray, platform.python_version())

    def check(self, other: Versions) -> None:
        """Whether this machine can join a site of these. Raises UsageError."""
        for name, mine, theirs in (
            ("Hanse", self.hanse, other.hanse),
            ("Ray", self.ray, other.ray),
            ("Python", self.python, other.python),
        ):
            if mine != theirs:
                raise UsageError(
                    f"the site runs {name} {theirs} and this machine {name} {mine}: they have to "
                    "be the same, because functions and values travel between them as they are"
                )


class _Kept(msgspec.Struct, frozen=True):
    """What stays the same from one head to the next."""

    token: str
    port: int


class Site:
    """
    Args:
        home: the node's directory.
        offers: what this machine gives to the cluster that it heads.
        address: of a cluster that is there already; then nothing is started.
        host: the address by which other machines reach this one.
        sandbox: whether items run in one, on all machines.
        certify: gets that address, and gives what Ray shows there; None: it speaks without TLS.
    """

    def __init__(
        self, home: Path, offers: Amount, *, address: str | None = None, host: str | None = None,
        certify: Callable[[str], Tls] | None = None, sandbox: bool = False,
    ) -> None:  # fmt: skip
        if not installed():
            raise UsageError(NOT_INSTALLED)
        self._home, self._offers, self._sandbox = home, offers, sandbox
        self._host = host or own_address()
        self._tls: Tls | None = None
        self._closing = threading.Event()
        self._head: Head | None = None
        self.token = ""
        self.machines: list[Machine] = []
        self._changed: Callable[[Amount], None] | None = None
        self._engine: RayEngine | None = None
        if address is not None:
            self.driver = Driver(address)
            return
        if certify is not None:
            self._tls = certify(self._host)
        kept = _kept(home)
        self.token, self._port = kept.token, kept.port
        self._start_head()
        assert self._head is not None
        self.driver = Driver(self._head.address, environment(self.token, self._tls))
        threading.Thread(target=self._keep_up, name="hanse-ray", daemon=True).start()

    def engine(
        self, loop: Loop, emit: Callable[[Event], None], *, printed: Callable[[Printed], None]
    ) -> RayEngine:
        """See `hanse.runtime.runtime.EngineFactory`."""
        self._engine = RayEngine(
            loop, emit, driver=self.driver, printed=printed, on_machines=self._on_machines,
            sandbox=self._sandbox,
        )  # fmt: skip
        return self._engine

    @property
    def offers(self) -> Amount:
        """What all machines of the site have together."""
        total = Amount()
        for machine in self.machines:
            if not machine.draining:
                total = total.plus(machine.offers)
        return total

    def at_work(self) -> dict[str, tuple[dict[str, int], Amount]]:
        """By a machine's id: how many works of each job it runs, and what these hold. On the loop's
        thread."""
        found: dict[str, tuple[dict[str, int], Amount]] = {}
        for machine, executions in (self._engine.at_work() if self._engine else {}).items():
            runs, uses = Counter[str](), Amount()
            for execution in executions:
                runs[execution.work.program.job] += 1
                uses = uses.plus(execution.work.program.needs)
            found[machine] = runs, uses
        return found

    def begin(self, changed: Callable[[Amount], None]) -> None:
        """Tell what the site has, and when that changes. On the loop's thread."""
        self._changed = changed
        if self.machines:
            changed(self.offers)

    def _on_machines(self, machines: list[Machine]) -> None:
        self.machines = machines
        if self._changed is not None:
            self._changed(self.offers)

    def to_join(self) -> SiteInfo:
        """Raises UsageError if the cluster is somebody else's."""
        if not self.token:
            raise UsageError(
                f"this site is the Ray cluster at {self.driver.address}, which others keep: start "
                "Ray there on the machine that shall join it"
            )
        here = Versions.here()
        return SiteInfo(
            address=self.driver.address, token=self.token, hanse=here.hanse, ray=here.ray,
            python=here.python,
            sandbox=self._sandbox,
            authority=b"" if self._tls is None else self._tls.authority.read_bytes(),
        )  # fmt: skip

    # --- the head ---------------------------------------------------------------------------------
    def _start_head(self) -> None:
        self._head = Head(
            self.token, self._home, self._offers, host=self._host, port=self._port, tls=self._tls
        )
        self._head.started()

    def _keep_up(self) -> None:
        tries = 0
        while not self._closing.is_set():
            head = self._head
            if head is not None:
                head.wait()
                if self._closing.is_set():
                    return
                _logger.warning("Ray's head ended, and is started again; see ray.log")
                head.end()
                self._head = None
                self.driver.end()  # it has lost its cluster, and would find out in a minute
            if self._closing.wait(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)]):
                return
            tries += 1
            try:
                self._start_head()
                tries = 0
            except (EngineError, OSError) as error:  # no memory, no descriptors: others may go
                _logger.warning("Ray's head cannot be started: %s", error)

    def close(self) -> None:
        """End what was started here. After the engine."""
        self._closing.set()
        self.driver.end()
        if self._head is not None:
            self._head.end()


def _kept(home: Path) -> _Kept:
    """The cluster's token and port, made once. Only the node's user can read them."""
    path = home / "ray.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return from_json(path.read_bytes(), _Kept)
    kept = _Kept(new_token(), free_port())
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as file:
        file.write(msgspec.json.encode(kept))
    return kept
