"""How far inputs are read ahead of whoever takes the results.

A few bytes are enough while items are small. Where what they carry is large, or their slots are far
away, that would make leases too short for what each costs: then so much is read that every slot can
have one lease that is worth its cost under way and another one waiting.
"""

from __future__ import annotations

from hanse import limits
from hanse.core.place.length import worthwhile
from hanse.core.place.rate import Rate


def wanted(slots: int, rate: Rate) -> int:
    """Items that keep these slots busy with leases which are worth what they cost."""
    return 2 * slots * max(1, int(worthwhile(rate)))


def most_bytes(memory_bytes: int) -> int:
    """What a window may take at most on a machine with so much memory."""
    share = memory_bytes // limits.WINDOW_SHARE
    return max(limits.WINDOW_BYTES, min(share, limits.WINDOW_MOST_BYTES))


def window(slots: int, item_bytes: float, wanted: int, most: int) -> int:
    """How many items may be between the reader and the consumer.

    Args:
        slots: how many items can run at once; each of them may have one more that waits, however
            large they are.
        item_bytes: what an item takes with its result.
        wanted: see `wanted`; 0 if nothing is known.
        most: bytes that are allowed for that.
    """
    size = max(item_bytes, 1e-9)
    usual = min(int(limits.WINDOW_BYTES / size), limits.WINDOW_ITEMS)
    more = min(wanted, int(most / size), limits.WINDOW_ITEMS)
    return max(2 * slots, usual, more)
