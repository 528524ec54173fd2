"""The homes that this node works for: who they are, what they may have, and their links."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from hanse import limits
from hanse.core.sharing import Claim, Terms, divide, smaller
from hanse.errors import UsageError
from hanse.model.fit import Offer
from hanse.model.resources import Amount
from hanse.node import files
from hanse.node.fetching import Fetching
from hanse.node.uplink import Uplink
from hanse.remote import address
from hanse.remote.dial import Dial
from hanse.runtime.loop import Timer
from hanse.runtime.runtime import Runtime
from hanse.wire import api, link

_MOST_CPUS = 1_000_000


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link in its file. The token is a secret: the file is its user's alone."""

    id: str
    token: str
    terms: Terms
    run: int = 1  # of this site for that home: a higher one at each start of the node


class Links:
    """All of them. Methods may be called from any thread but the runtime's.

    Args:
        path: the file where they are kept.
        node: this node's id.
        offer: what it can run.
        fetching: makes what fetches works for a link.

    Attributes:
        machines: which ones this site consists of, if several.
    """

    def __init__(
        self,
        runtime: Runtime,
        path: Path,
        node: str,
        offer: Offer,
        fetching: Callable[[Dial, Offer], Fetching],
    ) -> None:
        self._runtime = runtime
        self._path = path
        self._node = node
        self._offer = offer
        self._fetching = fetching
        self.machines: Callable[[], list[link.Machine]] = list
        self._kept: dict[str, Kept] = {}
        self._up: dict[str, Uplink] = {}
        self._lock = threading.Lock()
        self._growing: Timer | None = None
        self._evicted = ""  # why this machine is being taken away
        self._leaves_ns = 0  # ... and when

    def begin(self) -> None:
        """Dial every home that is kept. Raises WorldError if the file cannot be read."""
        advice = "Remove it, and link again"
        known: list[Kept] = files.read(self._path, list[Kept], [], advice)
        if self._offer.works:
            for kept in known:
                self._start(kept)
        self._runtime.own.changed = self._divide
        self._runtime.loop.post(self._look_at_clock)

    def add(self, new: api.NewLink) -> api.LinkInfo:
        """Work for another home from now on. The home is dialled before this comes back, so that a
        wrong token is told at once. Raises UsageError, NodeError."""
        if self._evicted:
            raise UsageError(f"this machine is being taken away: {self._evicted}")
        where = address.decode(new.token)
        if not self._offer.works:
            raise UsageError("this node does no work (--no-work), so it has nothing for others")
        self._check_new(where)
        kept = Kept(id="l-" + secrets.token_hex(4), token=new.token.strip(), terms=_terms(new))
        dial = Dial(where, limits.LINK_PATIENCE_S)
        with contextlib.closing(dial):
            dial.ask("POST", "/v1/link/hello", link.Welcome, self._hello(kept))
        with self._lock:
            self._check_new(where)
            self._start(kept)
        return self._info(kept.id)

    def _check_new(self, where: address.Address) -> None:
        for known in self._kept.copy().values():
            if address.decode(known.token).url == where.url:
                raise UsageError(f"{where.url} is linked already, as {known.id}")

    def remove(self, id: str) -> None:
        """Leave a home: what runs for it ends now. Raises UsageError."""
        with self._lock:
            if id not in self._kept:
                raise UsageError(f"there is no link {id!r}; `hanse links` shows them")
            del self._kept[id]
            self._write()
            uplink = self._up.pop(id)
        uplink.close()
        self._runtime.loop.post(self._divide)

    def standing(self, token: str) -> tuple[str, bool]:
        """How it stands with the home that this token names, in words, and whether it is over."""
        url = address.decode(token).url
        for id, kept in self._kept.copy().items():
            uplink = self._up.get(id)
            if uplink is not None and address.decode(kept.token).url == url:
                return uplink.state, uplink.over
        return "there is no link to it", True

    def evict(self, why: str, left_ns: int) -> None:
        """This machine is taken away in so long: no home has it any more. For the runtime's
        loop."""
        self._evicted, self._leaves_ns = why, self._runtime.loop.now_ns() + left_ns
        for uplink in self._up.copy().values():
            uplink.evict(why, left_ns)

    @property
    def left(self) -> bool:
        """Every home that could be told has let go of this machine."""
        return all(each.over for each in self._up.copy().values())

    def all(self) -> list[api.LinkInfo]:
        found = []
        for id in self._up.copy():
            with contextlib.suppress(KeyError):  # it has just been removed
                found.append(self._info(id))
        return found

    def close(self) -> None:
        """Leave all homes, for now. Those that take too long notice it by the silence."""
        leaving = [
            threading.Thread(target=each.close, name="hanse-link-leave", daemon=True)
            for each in self._up.copy().values()
        ]
        for thread in leaving:
            thread.start()
        until = time.monotonic() + limits.LINK_LEAVE_S
        for thread in leaving:
            thread.join(max(0, until - time.monotonic()))

    # --- inside -----------------------------------------------------------------------------------
    def _start(self, kept: Kept) -> None:
        # By the clock too: to its home it is the same site if it was linked before.
        run = max(kept.run + 1, time.time_ns() // 1000)
        kept = msgspec.structs.replace(kept, run=run)
        self._kept[kept.id] = kept
        self._write()
        uplink = Uplink(
            self._runtime, address.decode(kept.token), self._hello(kept),
            kept.terms.limit(self._runtime.capacity, _minute()), self._fetching,
            self._path.parent,
        )  # fmt: skip
        uplink.seat.changed = self._divide
        uplink.machines = self.machines
        self._up[kept.id] = uplink
        if self._evicted:  # that was told before
            loop = self._runtime.loop
            left_ns = max(0, self._leaves_ns - loop.now_ns())
            loop.post(lambda: uplink.evict(self._evicted, left_ns))

    def _hello(self, kept: Kept) -> link.Hello:
        site = socket.gethostname()[:80] or "site"
        return link.Hello(
            node=self._node,
            site=site,
            incarnation=kept.run,
            offer=msgspec.structs.replace(self._offer, allow=kept.terms.allow),
        )

    def _info(self, id: str) -> api.LinkInfo:
        kept, uplink = self._kept[id], self._up[id]
        leaving = uplink.seat.agent.leaving
        used = self._runtime.ask(lambda: uplink.seat.agent.used)
        return api.LinkInfo(
            id=id, url=address.decode(kept.token).url, site=uplink.site,
            state=f"this machine is being taken away: {leaving}" if leaving else uplink.state,
            terms=kept.terms, offered=uplink.seat.agent.capacity, used=used,
        )  # fmt: skip

    # --- shares; on the runtime's loop ------------------------------------------------------------
    def _divide(self) -> None:
        """Tell each home what it has, now that somebody uses more or less. Less at once; more a
        little later, as the next lease may be about to come."""
        grows = False
        for uplink, part in self._parts():
            agent = uplink.seat.agent
            if not part.fits(agent.capacity):
                uplink.seat.resize(smaller(part, agent.capacity))
            grows = grows or part != agent.capacity
        if grows and self._growing is None:
            loop = self._runtime.loop
            self._growing = loop.call_at(loop.now_ns() + limits.LINK_GROW_NS, self._grow)

    def _grow(self) -> None:
        self._growing = None
        for uplink, part in self._parts():
            if part != uplink.seat.agent.capacity:
                uplink.seat.resize(part)

    def _parts(self) -> list[tuple[Uplink, Amount]]:
        if self._evicted:
            return []
        kept = self._kept.copy()  # others change it
        up = [(kept[id].terms, each) for id, each in self._up.copy().items() if id in kept]
        capacity, minute = self._runtime.capacity, _minute()
        claims = [Claim(terms.limit(capacity, minute), each.seat.agent.used) for terms, each in up]
        parts = divide(capacity, self._runtime.own.agent.used, claims)
        return [(each, part) for (_, each), part in zip(up, parts, strict=True)]

    def _look_at_clock(self) -> None:
        """Hours begin and end."""
        self._divide()
        loop = self._runtime.loop
        loop.call_at(loop.now_ns() + limits.LINK_CLOCK_NS, self._look_at_clock)

    def _write(self) -> None:
        files.write(self._path, list(self._kept.values()))


def _minute() -> int:
    now = time.localtime()
    return 60 * now.tm_hour + now.tm_min


def _terms(new: api.NewLink) -> Terms:
    if not 0 < new.share <= 1:
        raise UsageError("a share is more than 0 and at most 1")
    if new.cpus is not None and not 0.001 <= new.cpus <= _MOST_CPUS:
        raise UsageError(f"cpus are from 0.001 to {_MOST_CPUS:,}")
    cpus = None if new.cpus is None else int(new.cpus * 1000)
    return Terms(share=new.share, cpus_milli=cpus, hours=new.hours, allow=new.allow)
