"""Dask distributed, with a LocalCluster of one-threaded worker processes."""

from __future__ import annotations

import functools

import dask
import dask.bag
from distributed import Client, LocalCluster

from bench.contest import Peer
from bench.work import each, in_chunks, windowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    settings = (
        "`LocalCluster(n_workers=workers, threads_per_worker=1)`, no dashboard. Small items and "
        "word count: a bag with 16 partitions per worker (`bag.range` for a range; batches made "
        "by hand are hardly faster), word count with its `fold`; an iterator: futures of batches "
        "of 10,000, four per worker under way; long or uneven items and single calls: "
        "`Client.map`, `submit`; a graph: `delayed`; arrays: `scatter`, `map`, `result()` each."
    )

    def open(self) -> None:
        self.cluster = LocalCluster(
            n_workers=self.workers, threads_per_worker=1, dashboard_address=None
        )
        self.client = Client(self.cluster)

    def close(self) -> None:
        self.client.close()
        self.cluster.close()

    def _bag(self, items: Sequence[Any]) -> Any:
        parts = 16 * self.workers
        if isinstance(items, range) and items == range(len(items)):
            return dask.bag.range(len(items), npartitions=parts)
        return dask.bag.from_sequence(items, npartitions=parts)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self._bag(items).map(function).compute()

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return self.client.gather(self.client.map(function, items, pure=False))

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        def begin(chunk: list[Any]) -> Any:
            return self.client.submit(each, function, chunk, pure=False)

        chunks = in_chunks(inputs, 10_000)
        return windowed(begin, lambda future: future.result(), chunks, 4 * self.workers)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.client.submit(function, *args, pure=False)

    def results(self, handles: list[Any]) -> list[Any]:
        return self.client.gather(handles)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return dask.delayed(function, pure=False)(*args)

    def compute(self, nodes: list[Any]) -> list[Any]:
        return list(dask.compute(*nodes))

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        futures = self.client.map(function, self.client.scatter(list(arrays)), pure=False)
        return (future.result() for future in futures)

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        return self._bag(items).map(function).fold(functools.partial(merge)).compute()
