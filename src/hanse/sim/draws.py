"""Random numbers, all of them made from the seed; the only place that may import `random`.

No function of the C library is used on the way (no logarithm, no power), so the same seed draws the
same numbers on every machine and every Python.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


class Draws:
    """One stream of numbers. Streams of different names are independent of each other."""

    __slots__ = ("random",)

    def __init__(self, *name: object) -> None:
        self.random = random.Random("/".join(map(str, name))).random

    def below(self, n: int) -> int:
        """An integer from 0 to n - 1."""
        return int(self.random() * n)

    def between(self, low: int, high: int) -> int:
        return low + int(self.random() * (high - low + 1))

    def chance(self, per_mille: int) -> bool:
        return per_mille > 0 and self.random() * 1000 < per_mille

    def pick(self, some: Sequence[T]) -> T:
        return some[int(self.random() * len(some))]

    def scale(self, low: int, high: int) -> int:
        """An integer from low to high, each doubling as likely as any other."""
        doublings = max(1, (high // max(1, low)).bit_length() - 1)
        start = low << self.below(doublings)
        return self.between(start, min(high, 2 * start))

    def shuffled(self, some: Sequence[T]) -> list[T]:
        rest, out = list(some), []
        while rest:
            out.append(rest.pop(self.below(len(rest))))
        return out


def mix(*numbers: int) -> int:
    """64 bits that look random and depend on all of the numbers (splitmix64: Steele, Lea, Flood,
    OOPSLA 2014). For what belongs to an item, whatever else was drawn before it."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state
