"""Sets of items as bits of an integer: item n is bit n. Slow for a million items, good enough for
hundreds, and not a line in common with the ranges that the core counts with."""

from __future__ import annotations

from collections.abc import Iterable

Items = int

NONE: Items = 0


def span(start: int, stop: int) -> Items:
    """The items from `start` to `stop`."""
    return (1 << stop) - (1 << start) if start < stop else NONE


def one(item: int) -> Items:
    return 1 << item


def of(ranges: Iterable[tuple[int, int]]) -> Items:
    items = NONE
    for start, stop in ranges:
        items |= span(start, stop)
    return items


def listed(items: Items) -> list[int]:
    """The items, lowest first."""
    return [item for item in range(items.bit_length()) if items >> item & 1]
