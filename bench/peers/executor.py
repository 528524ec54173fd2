"""concurrent.futures.ProcessPoolExecutor."""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor

from bench.contest import Peer
from bench.work import folded, slices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    settings = (
        "Small items: `map` with Pool's rule for chunks (four per worker); long or uneven items "
        "and arrays: `map` as it is; an iterator: `map` with `chunksize=10_000`, which reads all "
        "of it first; word count as for Pool, with `map`."
    )

    def open(self) -> None:
        self.executor = ProcessPoolExecutor(self.workers)

    def close(self) -> None:
        self.executor.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        chunk = max(1, -(-len(items) // (4 * self.workers)))
        return self.executor.map(function, items, chunksize=chunk)

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return list(self.executor.map(function, items))

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        return self.executor.map(function, inputs, chunksize=10_000)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.executor.submit(function, *args)

    def results(self, handles: list[Any]) -> list[Any]:
        return [future.result() for future in handles]

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        return self.executor.map(function, arrays)

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        one = functools.partial(folded, function, merge)
        return functools.reduce(merge, self.executor.map(one, slices(items, 16 * self.workers)))
