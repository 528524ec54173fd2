"""Hanse itself, as its README shows it: no option is set for any measure."""

from __future__ import annotations

import os

import hanse
from bench.contest import Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    settings = (
        "`hanse.connect()` with nothing set. The durable map has a name: its journal is on disk."
    )
    largest_map = 10**9  # a job is iterated, and holds no results

    def open(self) -> None:
        self.client = hanse.connect()

    def close(self) -> None:
        self.client.close()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self.client.map(function, items)

    def durable_map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self.client.map(function, items, name=f"bench-{os.urandom(4).hex()}")

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return list(self.client.map(function, items))

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        return iter(self.client.map(function, inputs))

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.client.submit(function, *args)

    def results(self, handles: list[Any]) -> list[Any]:
        return [future.result() for future in handles]

    call = submit
    compute = results

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        return self.client.map(function, arrays)

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        return self.client.map(function, items).reduce(merge)
