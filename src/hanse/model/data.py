"""Where what an item reads lies, as a user says it, and as it is told on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hanse.model.resources import parse_bytes

_MOST = 10**18
_NAME = 100


@dataclass(frozen=True, slots=True)
class Data:
    """What one item reads.

    Attributes:
        region: where it lies.
        size: bytes, or text such as `"4GiB"`.
        name: of the data set, where a region has several whose items differ in how much work a byte
            of them is.
    """

    region: str
    size: int | str = 0
    name: str = ""

    @property
    def nbytes(self) -> int:
        """Raises ValueError or UsageError if `size` says none."""
        return parse_bytes(self.size)


class Lies(NamedTuple):
    """What the items `start` to `stop` read lies in one region, and is one data set."""

    start: int
    stop: int
    region: str
    nbytes: int  # of all of them
    name: str = ""


def check_lies(told: Sequence[Lies], start: int, stop: int) -> None:
    """Raises ValueError unless they are in order, among these items, and of bearable size."""
    for one in told:
        if not start <= one.start < one.stop <= stop:
            raise ValueError("data is told of items that are not there, or out of order")
        if not 0 <= one.nbytes < _MOST:
            raise ValueError(f"an item's data has 0 to {_MOST:.0e} bytes")
        if not one.region or len(one.region) > _NAME or len(one.name) > _NAME:
            raise ValueError(
                f"a region has a name of 1 to {_NAME} letters, a data set one of at most {_NAME}"
            )
        start = one.stop
