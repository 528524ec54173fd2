"""How a home and its agents reach each other.

Embedded, both are in one process: messages still pass through the real encoder, so whatever is
tested here is what travels between machines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hanse.core.messages import Orders, Report
from hanse.wire import codec


class Transport(Protocol):
    """Carries messages one way or the other, or loses them: both sides cope."""

    def report(self, report: Report) -> None: ...
    def orders(self, orders: Orders) -> None: ...


class Loopback:
    """Both ends in one process and one thread."""

    def __init__(self, to_home: Callable[[Report], None], to_agent: Callable[[Orders], None]):
        self._to_home = to_home
        self._to_agent = to_agent

    def report(self, report: Report) -> None:
        self._to_home(codec.decode_report(codec.encode(report)))

    def orders(self, orders: Orders) -> None:
        self._to_agent(codec.decode_orders(codec.encode(orders)))
