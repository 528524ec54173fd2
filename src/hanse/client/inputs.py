"""Reads an iterable lazily, in blocks, no further ahead than memory allows.

Lists and tuples are taken as they are at the call; a range is never expanded; anything else is read
as the job goes on, by a thread of its own, because a user's generator may wait for whatever it
likes. How far ahead: until so many items or bytes wait between the reader and the consumer.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hanse import limits
from hanse.client.results import Results
from hanse.errors import InputError

SIZED = (list, tuple, range, str, bytes, dict, set, frozenset)
"""Iterables whose items are there already: reading them can neither wait nor fail."""


def snapshot(iterables: tuple[Iterable[Any], ...]) -> tuple[Iterable[Any], int | None]:
    """One iterable from those of a call, and its length where that is known.

    Several are zipped, as `map` does.
    """
    if len(iterables) > 1:
        sizes = [len(it) if isinstance(it, SIZED) else None for it in iterables]
        known = [size for size in sizes if size is not None]
        total = min(known) if len(known) == len(sizes) else None
        taken = [tuple(it) if isinstance(it, SIZED) else it for it in iterables]
        return zip(*taken, strict=False), total
    (only,) = iterables
    if isinstance(only, range | tuple | str | bytes):
        return only, len(only)
    if isinstance(only, SIZED):
        return tuple(only), len(only)
    try:
        iter(only)
    except TypeError as error:
        raise TypeError(f"map needs an iterable, not {type(only).__name__}") from error
    return only, None


class Reader:
    """Cuts an iterable into blocks of values; a sequence is sliced, so a range stays one."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._sequence: Sequence[Any] | None = None
        self._iterator: Iterator[Any] | None = None
        if isinstance(iterable, range | tuple | str | bytes):
            self._sequence = iterable
        else:
            self._iterator = iter(iterable)
        self._at = 0
        self._error: BaseException | None = None

    def read(self, most: int) -> Sequence[Any]:
        """The next values, at most so many; an empty sequence at the end."""
        if self._sequence is not None:
            start, self._at = self._at, min(self._at + most, len(self._sequence))
            return self._sequence[start : self._at]
        assert self._iterator is not None
        if self._error is not None:
            raise self._error
        values: list[Any] = []
        try:
            values.extend(itertools.islice(self._iterator, most))
        except BaseException as error:
            if not values:
                raise
            self._error = error  # what came before it counts
        return values


class Feeder:
    """Reads blocks while there is room, and hands each to `block(values, last)`."""

    def __init__(
        self,
        reader: Reader,
        results: Results,
        slots: int,
        *,
        block: Callable[[Sequence[Any]], int],
        seal: Callable[[], None],
        ahead: int | None = None,
    ) -> None:
        self._reader = reader
        self._results = results
        self._slots = slots
        self._block = block  # returns the bytes that it takes
        self._seal = seal
        self._ahead = ahead  # items that may be read and not handed out; None: as memory allows
        self._fed = 0
        self._fed_bytes = 0
        self._stopped = False
        self.finished = False  # all inputs were handed over
        self._size = 1
        self.waits = False  # for results to be taken

    def start(self, at_once: bool) -> None:
        """Read a first few items here if they are there already, the rest in a thread."""
        if at_once and not self._step(self._window()):
            return
        threading.Thread(target=self._run, name="hanse-feeder", daemon=True).start()

    def stop(self) -> None:
        with self._results.room:
            self._stopped = True
            self._results.room.notify_all()

    def _run(self) -> None:
        while self._wait_for_room() and self._step(self._free()):
            # Let go of the interpreter: the loop's thread has leases to send, and would otherwise
            # wait for a whole switch interval (5 ms) every time it wants to.
            time.sleep(1e-5)

    def _step(self, most: int) -> bool:
        """Read one block; False after the last."""
        try:
            values = self._reader.read(min(most, self._block_items()))
            if not values:
                self.finished = True
                self._seal()
                return False
            self._fed_bytes += self._block(values)
        except BaseException as error:  # noqa: BLE001 - handed to whoever consumes the job
            broken = InputError(f"the inputs broke off after {self._fed} items: {error!r}")
            broken.__cause__ = error
            self._results.fail_input(broken)
            self._seal()
            return False
        self._fed += len(values)
        self._size = len(values)
        return True

    def _wait_for_room(self) -> bool:
        with self._results.room:
            self.waits = self._free() <= 0
            self._results.room.wait_for(
                lambda: self._stopped or self._results.state.ended or self._free() > 0
            )
            self.waits = False
            return not (self._stopped or self._results.state.ended)

    def _block_items(self) -> int:
        """Grow blocks quickly, up to a bound in items and in bytes."""
        per_item = max(1, self._fed_bytes // max(1, self._fed))
        most = min(limits.BLOCK_ITEMS, max(1, limits.BLOCK_BYTES // per_item))
        return min(most, max(16 * self._slots, 8 * self._size))

    def _window(self) -> int:
        return self._room() if self._ahead is None else min(self._room(), self._ahead)

    def _room(self) -> int:
        """How many items may be between the reader and the consumer."""
        results = self._results
        if not results.settled:
            return 16 * self._slots  # little is known of their size yet
        per_item = self._fed_bytes / max(1, self._fed) + results.seen_bytes / results.settled
        most = int(limits.WINDOW_BYTES / max(per_item, 1e-9))
        return max(2 * self._slots, min(most, limits.WINDOW_ITEMS))

    def _free(self) -> int:
        gone = self._results.settled if self._results.keep_all else self._results.handed
        return self._window() - (self._fed - gone)
