"""Virtual time: one heap of what is to come, in one order that never depends on anything else.

What is due at the same nanosecond happens in the order in which it was asked for. The world also
keeps the digest of everything that was decided: two runs are the same if their digests are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from hanse import limits


class Violation(AssertionError):
    """A promise was broken."""


def require(holds: object, text: str, *parts: object) -> None:
    """Raise `Violation` unless it holds."""
    if not holds:
        raise Violation(" ".join([text, *map(str, parts)]))


class World:
    """The clock that nobody in it can see, and what happens next."""

    def __init__(self, trace: Callable[[str], None] | None = None) -> None:
        self.now_ns = 0
        self.calm_ns = 0  # from here on nothing goes wrong any more
        self.events = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._asked = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._trace = trace

    def at(self, when_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        self._asked += 1
        heappush(self._heap, (max(when_ns, self.now_ns), self._asked, action, arguments))

    def after(self, delay_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now_ns + delay_ns, action, *arguments)

    def step(self) -> bool:
        """Do what comes next; whether there was anything."""
        if not self._heap:
            return False
        self.now_ns, _, action, arguments = heappop(self._heap)
        self.events += 1
        action(*arguments)
        return True

    def note(self, data: bytes) -> None:
        """Something was decided or said."""
        self._digest.update(b"%d:%d:" % (self.now_ns, len(data)))
        self._digest.update(data)

    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def tracing(self) -> bool:
        return self._trace is not None

    def trace(self, who: str, *words: object) -> None:
        if self._trace is not None:
            text = " ".join(map(str, words))
            self._trace(f"{self.now_ns / limits.SECOND:12.6f} {who:8} {text}")
