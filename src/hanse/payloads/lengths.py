"""The ends of a payload's streams as bytes: their lengths, 8 bytes each, little-endian."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub


def pack_ends(ends: Sequence[int] | None) -> bytes | None:
    """None stays None: one stream."""
    if ends is None:
        return None
    return _little(array("Q", map(sub, ends, (0, *ends))))


def unpack_ends(lengths: bytes | None) -> tuple[int, ...] | None:
    """Raises ValueError if these are no lengths."""
    if lengths is None:
        return None
    numbers = array("Q")
    numbers.frombytes(lengths)
    _little(numbers)
    return tuple(accumulate(numbers))


def _little(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
