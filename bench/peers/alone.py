"""No parallel library at all: what one process does in a plain loop, and what memcpy costs."""

from __future__ import annotations

from functools import reduce

from bench.contest import Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    parallel = False
    settings = (
        "A plain loop, for comparison; no goal is set against it but memcpy's. Arrays are copied "
        "twice: out into a buffer, and back into a new array."
    )

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return [function(item) for item in items]

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        return (function(item) for item in inputs)

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        import numpy as np

        there = np.empty_like(arrays[0])
        for array in arrays:
            np.copyto(there, array)
            yield function(there).copy()

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        return reduce(merge, map(function, items))
