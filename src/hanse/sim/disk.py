"""A home's disk: facts are appended, a commit takes its time, and a crash keeps what was committed,
perhaps with the first few of those that were on their way.

Commits are of groups, as the recorder's are: whatever waits when one ends goes into the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hanse import limits
from hanse.core.events import Fact
from hanse.decoding import msgpack_decoder
from hanse.sim.draws import Draws
from hanse.sim.world import World

_facts = msgpack_decoder(list[Fact])
encode = msgspec.msgpack.Encoder().encode

BACKLOG = 2000
"""Facts that may wait before the home takes no further reports."""


class Disk:
    """`facts` are in order; the first `synced` of them are durable."""

    def __init__(self, world: World, draws: Draws, sync_ns: int) -> None:
        self._world, self._draws, self._sync_ns = world, draws, sync_ns
        self.facts: list[Fact] = []
        self.synced = 0
        self.full = False
        self.slowness = 1
        self._position = self._committed = 0  # as the home counts its facts
        self._busy = False
        self._ends: list[int] = []  # where the decisions end that are not synced: each is whole
        self._life = 0  # counts crashes: a commit of before is nobody's any more
        self.on_synced: Callable[[Sequence[Fact], int], None] = lambda facts, position: None
        self.ambushes: list[
            Callable[[], None]
        ] = []  # one for each commit: it happens before its end

    @property
    def backlog(self) -> int:
        return len(self.facts) - self.synced

    def append(self, facts: Sequence[Fact], position: int) -> None:
        """These come next; `position` is what the home calls the place behind them."""
        self.facts += _facts.decode(encode(facts))
        self._position = position
        self._ends.append(len(self.facts))
        if not self._busy:
            self._commit()

    def _commit(self) -> None:
        self._busy = True
        took = self._sync_ns * self.slowness
        took += self._draws.below(took)
        if self.ambushes:
            self._world.after(self._draws.below(took), self.ambushes.pop(0))
        self._world.after(took, self._committed_now, len(self.facts), self._position, self._life)

    def _committed_now(self, upto: int, position: int, life: int) -> None:
        if life != self._life:
            return
        if self.full:
            self._world.after(limits.JOURNAL_RETRY_NS, self._committed_now, upto, position, life)
            return
        facts, self.synced = self.facts[self.synced : upto], upto
        self._committed = position
        self._ends = [end for end in self._ends if end > upto]
        self._busy = False
        if len(self.facts) > upto:
            self._commit()
        self.on_synced(facts, position)

    def crash(self, keep_some: bool) -> None:
        """Power is gone. What was being written may be there, up to the end of any decision: each
        was written in one transaction."""
        if keep_some and not self.full:
            self.synced = self._draws.pick([self.synced, *self._ends])
        self._ends.clear()
        del self.facts[self.synced :]
        self._life += 1
        self._busy = False
        self._position = self._committed = 0

    def lose(self) -> None:
        """A new disk, with nothing on it."""
        self.crash(keep_some=False)
        self.facts.clear()
        self.synced = 0
