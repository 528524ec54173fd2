"""The inputs of one job, in the blocks in which they came, until their last item is settled."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hanse.engines.port import Block
from hanse.payloads.payload import Payload

if TYPE_CHECKING:
    from hanse.records.record import JobRecord, Kept


class Inputs(msgspec.Struct):
    """A block of inputs, in memory or in the journal."""

    start: int
    stop: int
    payload: Payload | Kept
    open: int  # items that are not settled
    futures: Sequence[Any] = ()  # that its one item refers to

    def block(self) -> Block:
        """Raises JournalError if it is in the journal and cannot be read."""
        payload = self.payload if isinstance(self.payload, Payload) else self.payload.read()
        return Block(self.start, payload)


class Blocks:
    """Blocks are kept until all of it is settled, because a lease may be granted again. Every
    method may be called from any thread."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._blocks: dict[int, Inputs] = {}
        self._held_bytes = 0  # of payloads that are here
        self._lock = threading.Lock()

    def add(
        self, start: int, payload: Payload, stop: int | None = None, futures: Sequence[Any] = ()
    ) -> None:
        """`stop`: where its items end, if the payload holds more than those."""
        stop = start + payload.count if stop is None else stop
        self._add(Inputs(start, stop, payload, stop - start, futures))

    def _add(self, block: Inputs) -> None:
        with self._lock:
            insort(self._starts, block.start)
            self._blocks[block.start] = block
            if isinstance(block.payload, Payload):
                self._held_bytes += block.payload.nbytes

    def restore(self, record: JobRecord, again: bool) -> None:
        """The blocks of earlier runs with items that are open; `again`: those that failed are."""
        for block in record.blocks:
            open_items = _count(record.settled.gaps(block.start, block.stop))
            if again:
                open_items += _count(record.failed.within(block.start, block.stop))
            if open_items:
                self._add(Inputs(block.start, block.stop, block.kept, open_items))

    def recorded(self, start: int, kept: Kept, most_bytes: int) -> None:
        """The block is in the journal too: let go of it here if blocks take more than so much."""
        with self._lock:
            block = self._blocks.get(start)
            crowded = self._held_bytes > most_bytes
            if block is not None and crowded and isinstance(block.payload, Payload):
                self._held_bytes -= block.payload.nbytes
                block.payload = kept

    def at(self, start: int) -> Inputs:
        """The block that begins with this item."""
        with self._lock:
            return self._blocks[start]

    def has(self, start: int) -> bool:
        """Whether the block that begins there is still needed."""
        return start in self._blocks

    def within(self, start: int, stop: int) -> list[Inputs]:
        """The blocks with items of this range, in order."""
        with self._lock:
            first = bisect_right(self._starts, start) - 1
            last = bisect_left(self._starts, stop)
            return [self._blocks[at] for at in self._starts[first:last]]

    def settle(self, start: int, stop: int) -> None:
        """These items need no inputs any more."""
        for block in self.within(start, stop):
            block.open -= min(stop, block.stop) - max(start, block.start)
            if block.open == 0:
                with self._lock:
                    del self._starts[bisect_left(self._starts, block.start)]
                    del self._blocks[block.start]
                    if isinstance(block.payload, Payload):
                        self._held_bytes -= block.payload.nbytes

    def clear(self) -> None:
        with self._lock:
            self._starts.clear()
            self._blocks.clear()


def _count(spans: Sequence[tuple[int, int]]) -> int:
    return sum(stop - start for start, stop in spans)
