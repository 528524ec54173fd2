"""The journal port, and the journal that keeps nothing.

A runtime appends the facts of every decision and acts on the decision only after `append` has
returned: then the facts are as durable as the journal makes them. A job without a name lives and
dies with its program, so there is nothing to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hanse.core.events import Fact


class Journal(Protocol):
    def append(self, facts: Sequence[Fact]) -> None:
        """Record the facts, in order, all or none; durable once this returns."""

    def close(self) -> None: ...


class NoJournal:
    """Keeps nothing."""

    def append(self, facts: Sequence[Fact]) -> None:
        pass

    def close(self) -> None:
        pass
