"""What one address may have of a node: nobody who has not shown a token yet takes it all.

An address of IPv6 is its network of 64 bits, because whoever has one has all of these. This machine
itself is not held to a part: its users are not told apart by addresses.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from socket import socket
from typing import Any
from weakref import WeakSet

from hanse import limits


def peer_of(host: str) -> str:
    """Who that is, as far as an address tells; empty for this machine."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return "" if found.is_loopback else str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return "" if found.is_loopback else str(found)


class Connections:
    """Those that are open, TLS handshakes among them.

    Args:
        most: in all.
        each: of one address.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        # What is closed is kept by nobody.
        self._all: WeakSet[Any] = WeakSet()
        self._of: dict[str, WeakSet[Any]] = {}

    def enter(self, line: socket, host: str) -> bool:
        """Whether one more may be."""
        peer = peer_of(host)
        of = self._of.setdefault(peer, WeakSet())
        if len(self._all) >= self._most or (peer and len(of) >= self._each):
            return False
        self._all.add(line)
        of.add(line)
        if len(self._of) > 2 * self._most:
            self._of = {peer: lines for peer, lines in self._of.items() if lines}
        return True


class Guesses:
    """Secrets that were shown and are nobody's, by who showed them. One that is good is never
    refused for what others at its address did."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: dict[str, tuple[float, int]] = {}  # until when they count, and how many

    def wrong(self, host: str) -> int:
        """One more. For how many seconds no further ones are looked at; 0 if they are."""
        peer, now = peer_of(host), self._now()
        until, count = self._wrong.pop(peer, (0.0, 0))
        if now >= until:
            until, count = now + limits.GUESS_S, 0
        self._wrong[peer] = until, count + 1
        if len(self._wrong) > limits.GUESSERS:
            del self._wrong[next(iter(self._wrong))]
        return int(until - now) + 1 if count + 1 > limits.GUESSES else 0
