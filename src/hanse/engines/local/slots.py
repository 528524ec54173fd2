"""The board: shared memory in which each worker shows what it is running.

One 64-byte slot per worker. A worker writes its slot before every item (or micro-batch), so main
knows who was running when a worker dies, and since when.
"""

from __future__ import annotations

import mmap
import os
from struct import Struct

SLOT_BYTES = 64
SLOTS = 4096
_SLOT = Struct("@qqqq")
pack_into = _SLOT.pack_into


def make() -> int:
    """A descriptor of a new board."""
    from hanse.payloads.files import make_anonymous

    fd = make_anonymous()
    os.ftruncate(fd, SLOT_BYTES * SLOTS)
    return fd


class Board:
    def __init__(self, fd: int) -> None:
        self.memory = mmap.mmap(fd, SLOT_BYTES * SLOTS)

    def clear(self, slot: int) -> None:
        pack_into(self.memory, slot * SLOT_BYTES, 0, 0, 0, 0)

    def read(self, slot: int) -> tuple[int, int, int, int]:
        """Run, first item, number of items (0 while the program loads), and when that began.

        Read until two looks agree: the worker may be writing."""
        before = None
        for _ in range(16):
            now: tuple[int, int, int, int] = _SLOT.unpack_from(self.memory, slot * SLOT_BYTES)
            if now == before:
                break
            before = now
        return now
