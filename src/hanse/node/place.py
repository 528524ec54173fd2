"""The directory of a node, and who runs in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hanse.decoding import from_json
from hanse.errors import UsageError
from hanse.journal import private


class Running(msgspec.Struct, frozen=True):
    """What `hanse down` and local clients need to know of a node that runs."""

    pid: int
    url: str
    started_s: float


class Place:
    """
    home/journal.sqlite, home/blobs/, home/logs/   as every state directory
    home/tokens.json, home/token                   who may do what; the token of this user here
    home/audit.log, home/audit.log.1               who did what
    home/links.json, home/sites.json               homes that it works for; sites that work for it
    home/providers.toml, home/rented.json          what can be rented; machines that are
    home/spots.json                                what was seen of machines that can be taken away
    home/egress.toml                               what bytes between regions cost
    home/runs                                      how often it was started
    home/node.json, home/lock                      who runs here
    home/leases.key                                what tokens of leases are proved with
    home/authority.*, home/node.*                  TLS, beyond loopback
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def tokens(self) -> Path:
        return self.home / "tokens.json"

    @property
    def audit(self) -> Path:
        return self.home / "audit.log"

    @property
    def links(self) -> Path:
        return self.home / "links.json"

    @property
    def lease_key(self) -> Path:
        return self.home / "leases.key"

    @property
    def sites(self) -> Path:
        return self.home / "sites.json"

    @property
    def egress(self) -> Path:
        return self.home / "egress.toml"

    @property
    def providers(self) -> Path:
        return self.home / "providers.toml"

    @property
    def rented(self) -> Path:
        return self.home / "rented.json"

    @property
    def spots(self) -> Path:
        return self.home / "spots.json"

    def next_run(self) -> int:
        """How often a node was started here, this time included."""
        path = self.home / "runs"
        try:
            run = int(path.read_text()) + 1
        except (FileNotFoundError, ValueError):
            run = 1
        private.write(path, b"%d\n" % run)
        return run

    @property
    def local_token(self) -> Path:
        return self.home / "token"

    @property
    def _state(self) -> Path:
        return self.home / "node.json"

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """One node at a time. Raises UsageError if another runs here, JournalError if the directory
        is not this user's alone."""
        private.directory(str(self.home))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(self.home / "lock", flags, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"a node runs in {self.home} already{self._who()}: `hanse down` ends it, and "
                    "--home names another directory"
                ) from None
            try:
                yield
            finally:
                with contextlib.suppress(FileNotFoundError):
                    self._state.unlink()
        finally:
            os.close(lock)

    def _who(self) -> str:
        found = self.running()
        return f" ({found.url}, process {found.pid})" if found is not None else ""

    def is_taken(self) -> bool:
        """Whether a node runs here."""
        try:
            lock = os.open(self.home / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def say(self, running: Running) -> None:
        private.write(self._state, msgspec.json.encode(running))

    def running(self) -> Running | None:
        """The node that runs here; None if none does, or it has only begun."""
        try:
            found = from_json(self._state.read_bytes(), Running)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return found if self.is_taken() else None
