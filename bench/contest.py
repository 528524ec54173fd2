"""What every contestant is asked to do. A new peer is one file in `peers/` with a `Contestant`.

An adapter does each kind of work the way the peer's own documentation recommends for it, and says
so in `settings`; none may know how large or how many the items of a measure are, beyond what its
user would know. What a peer has no means for is `NotOffered`, with the reason.

Imported before anything is timed, so this file imports nothing that costs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class NotOffered(Exception):
    """The peer has no means for this work; the message says what is missing."""


class Peer:
    """A contestant. Between `open` and `close` its workers are up and warm."""

    settings = ""  # how it is set up and why, for the reader of the results
    parallel = True  # has workers, so that its start and its memory mean something
    largest_map = 10**7  # more items than this are not asked of `map`: it holds all results

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def open(self) -> None:
        """Start the workers."""

    def close(self) -> None:
        """End them; nothing may be left."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        """Results of many small items, in order."""
        raise NotOffered("no map")

    def durable_map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        """The same, with every input and result recorded on disk as it comes."""
        raise NotOffered("keeps no record that a later run could go on with")

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Results, in order, of items that take a millisecond or more, some far more."""
        raise NotOffered("no map")

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        """Results, in order and as they come, of a long iterator of small items."""
        raise NotOffered("takes no iterator")

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Begin one call; the handle is for `results`."""
        raise NotOffered("no single calls")

    def results(self, handles: list[Any]) -> list[Any]:
        """The results of those calls."""
        raise NotOffered("no single calls")

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """A node of a graph; arguments may be other nodes."""
        raise NotOffered("no graphs: a call cannot take another's future as an argument")

    def compute(self, nodes: list[Any]) -> list[Any]:
        """The values of those nodes."""
        raise NotOffered("no graphs: a call cannot take another's future as an argument")

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        """Results of large numpy arrays, in order; each is dropped before the next is asked for."""
        raise NotOffered("no map")

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        """All results merged into one; `merge` is associative and may change its left argument."""
        raise NotOffered("no map")
