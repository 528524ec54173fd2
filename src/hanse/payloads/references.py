"""Futures inside arguments: found while arguments are pickled, filled in where they are used.

A future pickles as a call of `resolve`. While `collecting` is active in a thread, each future that
is pickled there is noted, so its job learns what the item waits for; outside of it, pickling a
future is an error, because nobody would wait for it. In a worker, `providing` holds the results
that the items of a work refer to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PUT = "put"
"""In place of a job's id: a value that was put, not computed."""

_here = threading.local()


class collecting:  # noqa: N801 - used like a function; a class costs a quarter of a generator
    """Note every future that this thread pickles from here on, in order and with repeats."""

    __slots__ = ("_outer",)

    def __enter__(self) -> list[Any]:
        self._outer = getattr(_here, "found", None)
        found: list[Any] = []
        _here.found = found
        return found

    def __exit__(self, *_exception: object) -> None:
        _here.found = self._outer


class inlining:  # noqa: N801 - as `collecting`
    """Futures that this thread pickles from here on travel as their values."""

    __slots__ = ("_outer",)

    def __enter__(self) -> None:
        self._outer = getattr(_here, "inlines", False)
        _here.inlines = True

    def __exit__(self, *_exception: object) -> None:
        _here.inlines = self._outer


def inlines() -> bool:
    """Whether the value of a future that is being pickled is to go in its place."""
    return getattr(_here, "inlines", False)


def same(value: Any) -> Any:
    """What went in a future's place. Called by unpickling only."""
    return value


def note(future: Any) -> bool:
    """Note a future that is being pickled; False if nobody collects in this thread."""
    found = getattr(_here, "found", None)
    if found is None:
        return False
    found.append(future)
    return True


@contextmanager
def providing(lookup: Callable[[str, int], Any]) -> Iterator[None]:
    """Let `resolve` find results by (job id, item) in this thread."""
    outer = getattr(_here, "lookup", None)
    _here.lookup = lookup
    try:
        yield
    finally:
        _here.lookup = outer


def resolve(job: str, item: int) -> Any:
    """The result of an item, where an argument refers to it. Called by unpickling only."""
    lookup = getattr(_here, "lookup", None)
    if lookup is None:
        raise LookupError(f"the result of item {item} of {job} is not known here")
    return lookup(job, item)
