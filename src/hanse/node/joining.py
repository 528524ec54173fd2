"""A machine that is part of another node's site: Ray's processes here, kept up and taken down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hanse.engines.local.sandbox import Sandbox
from hanse.engines.ray.cluster import Worker, own_address
from hanse.engines.ray.site import Versions
from hanse.engines.ray.tls import Tls
from hanse.errors import NodeUnavailable, UsageError, WorldError
from hanse.model.resources import Amount
from hanse.remote.address import Address
from hanse.remote.dial import Dial
from hanse.wire import api

_AGAIN_S = (0.5, 1.0, 2.0, 5.0)  # before Ray is started again
_LASTED_S = 30.0  # a start that lasted so long was a good one
_EMPTY_S = 35.0  # that the machine may take to be emptied: Ray allows 30

Say = Callable[[str], None]


class _Place(NamedTuple):
    """Where this machine is to join, as who, and what it shows there."""

    site: api.SiteInfo
    host: str
    tls: Tls | None


class Joining:
    """
    Args:
        node: whose site it is.
        offers: what this machine gives.
        host: the address by which the other machines reach this one; None: as Ray finds it.
    """

    def __init__(self, node: Address, offers: Amount, home: Path, host: str | None) -> None:
        self._node, self._offers, self._home, self._host = node, offers, home, host
        self._leaving = threading.Event()
        self._empty_s = _EMPTY_S
        self._worker: Worker | None = None

    def leave(self, left_s: float = _EMPTY_S) -> None:
        """Empty the machine, and then end, in that time at most. May be called from any thread, a
        signal's handler, and again."""
        self._empty_s = min(self._empty_s, left_s)
        self._leaving.set()
        if self._worker is not None:
            self._worker.drain()

    def stay(self, say: Say) -> None:
        """Be part of the site until `leave`. `say` gets what happens, for people.

        Raises NodeUnavailable if the node cannot be reached at first, NotAllowed, UsageError if
        versions differ, and WorldError if items there run in a sandbox and cannot here.
        """
        place, tries = self._ask(), 0
        while not self._leaving.is_set():
            lasted = self._once(place, say)
            if self._leaving.is_set():
                break
            say("Ray ended here; this machine joins again")
            tries = 0 if lasted else tries + 1
            self._leaving.wait(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)])
            place = self._ask_again(say) or place

    def _ask(self) -> _Place:
        dial = Dial(self._node)
        site = dial.ask("GET", "/v1/site", api.SiteInfo)
        Versions.here().check(Versions(site.hanse, site.ray, site.python))
        if site.sandbox:
            Sandbox().check()
        host = self._host or own_address(site.address.rpartition(":")[0].strip("[]"))
        return _Place(site, host, self._certified(dial, site, host) if site.authority else None)

    def _certified(self, dial: Dial, site: api.SiteInfo, host: str) -> Tls:
        """What this machine shows to the others. Its key never leaves it."""
        try:
            from hanse.node import site_tls
        except ImportError as error:
            raise UsageError(f"{error}: pip install 'hanse[ray]'") from error
        key, request = site_tls.asking(host)
        asked = api.Certify(request=request)
        got = dial.ask("POST", "/v1/site/certificate", api.Certified, asked)
        return site_tls.written(self._home / "site", key, got.certificate, site.authority)

    def _ask_again(self, say: Say) -> _Place | None:
        """The node may be away for a while; None: it is to be left."""
        while not self._leaving.is_set():
            try:
                return self._ask()
            except NodeUnavailable as error:
                say(f"{error}; this machine goes on trying")
                self._leaving.wait(_AGAIN_S[-1])
        return None

    def _once(self, place: _Place, say: Say) -> bool:
        """From one start of Ray to its end; whether that was long."""
        site = place.site
        worker = Worker(
            site.address, site.token, self._home, self._offers, host=place.host, tls=place.tls
        )
        self._worker = worker
        try:
            say(f"this machine is part of {self._node.url} (Ray at {site.address})")
            if self._leaving.is_set():  # before there was a worker to empty
                worker.drain()
            lasted = False
            while not worker.wait(_LASTED_S) and not self._leaving.is_set():
                lasted = True
            if self._leaving.is_set() and not worker.wait(self._empty_s):
                raise WorldError("the machine was not emptied in time: what ran here runs again")
            return lasted
        finally:
            self._worker = None
            worker.end()
