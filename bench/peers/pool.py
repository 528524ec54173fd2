"""multiprocessing.Pool, with the start method that this Python has by default."""

from __future__ import annotations

import functools
import multiprocessing

from bench.contest import Peer
from bench.work import folded, slices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    settings = (
        "`multiprocessing.Pool`. Small items: `map` with its own chunk size; long or uneven items: "
        "`map` with `chunksize=1`; an iterator: `imap` with `chunksize=10_000`; arrays: `imap`; "
        "word count, written by hand: 16 lists of files per worker, counted and merged in the "
        "worker, `imap_unordered`."
    )

    def open(self) -> None:
        self.pool = multiprocessing.Pool(self.workers)

    def close(self) -> None:
        self.pool.terminate()
        self.pool.join()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self.pool.map(function, items)

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return self.pool.map(function, items, chunksize=1)

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        return self.pool.imap(function, inputs, chunksize=10_000)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.apply_async(function, args)

    def results(self, handles: list[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        return self.pool.imap(function, arrays)

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        one = functools.partial(folded, function, merge)
        return functools.reduce(
            merge, self.pool.imap_unordered(one, slices(items, 16 * self.workers))
        )
