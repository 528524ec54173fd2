"""What a map's `data=` says of each item: where what it reads lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hanse.errors import UsageError
from hanse.model.data import Data, Lies, check_lies

DataOf = Callable[..., Data | None]
"""Of an item, as the function of the map gets it."""


def lies_of(data: Mapping[str, int | str] | DataOf | None, star: bool) -> Places | None:
    """What to ask of each block of inputs; None: `data` says nothing of single items."""
    return Places(data, star) if callable(data) else None


class Places:
    """Asks the user's function, item by item, as the inputs are read."""

    def __init__(self, data: DataOf, star: bool) -> None:
        self._data = data
        self._star = star

    def of(self, values: Sequence[Any], start: int) -> list[Lies]:
        """Of the items from `start` on: runs of those that read the same data set in one region.
        Raises UsageError; and what the user's function raises."""
        found: list[Lies] = []
        for item, value in enumerate(values, start):
            try:
                told = self._data(*value) if self._star else self._data(value)
                size = told.nbytes if isinstance(told, Data) else 0
            except Exception as error:
                error.add_note(f"data= was asked where item {item} lies")
                raise
            if told is None:
                continue
            if not isinstance(told, Data):
                raise UsageError(f"data= gave {told!r} for item {item}: give hanse.Data or None")
            last = found[-1] if found else None
            same = last is not None and (last.stop, last.region, last.name) == (
                item, told.region, told.name
            )  # fmt: skip
            if last is not None and same:
                found[-1] = last._replace(stop=item + 1, nbytes=last.nbytes + size)
            else:
                found.append(Lies(item, item + 1, told.region, size, told.name))
        try:
            check_lies(found, start, start + len(values))
        except ValueError as error:
            raise UsageError(f"data= for the items from {start} on: {error}") from error
        return found
