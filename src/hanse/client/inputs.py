"""Reads an iterable lazily, in blocks, no further ahead than memory allows.

Lists and tuples are taken as they are at the call; a range is never expanded; anything else is read
as the job goes on, by a thread of its own, because a user's generator may wait for whatever it
likes. How far ahead: until so many items or bytes wait between the reader and the consumer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, cast

from hanse import limits
from hanse.client.results import Results
from hanse.core.place.window import most_bytes, window
from hanse.errors import InputError, JobChanged
from hanse.payloads.flat import is_flat
from hanse.runtime.machine import usable_memory

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
        return list(only), len(only)  # a copy of our own
    try:
        iter(only)
    except TypeError as error:
        raise TypeError(f"map needs an iterable, not {type(only).__name__}") from error
    return only, None


class Feeder:
    """Reads inputs while there is room, and hands them over in blocks.

    A sequence is sliced, so a range stays one. Of an iterator, every input is handed over at once
    while workers have nothing to do, and in blocks while they are busy: an iterator may wait, for
    minutes or for the result of an earlier item, and what it gave before must not wait with it.
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        results: Results,
        slots: int,
        *,
        block: Callable[[Sequence[Any]], int],
        seal: Callable[[], None],
        close: Callable[[bool], None],
        ahead: int | None = None,
        exact: Callable[[], int | None] = lambda: None,
        wanted: Callable[[], int] = lambda: 0,
        whole: bool = False,
    ) -> None:
        self._iterable = iterable
        self._results = results
        self._slots = slots
        self._block = block  # returns the bytes that it takes
        self._seal = seal
        self._close = close  # seal, and take no more whatever is still read; True: all was read
        self._exact = exact  # what the next block must hold: it is compared with a recorded one
        self._ask_wanted = wanted  # how many items keep all slots busy; on the loop's thread
        self._wanted = 0
        self._whole = whole  # read all of it, however few results were taken: a node keeps them
        self._ahead = ahead  # items that may be read and not handed out; None: as memory allows
        self._fed = 0
        self._fed_bytes = 0
        self._size = 1  # of the last block
        self._pending: list[Any] = []  # read from an iterator, not handed over
        self._want = 1  # hand over once so many are pending
        self._handing = threading.Lock()
        self._stopped = False
        self.finished = False  # all inputs were handed over
        self.waits = False  # for results to be taken
        self._thread: threading.Thread | None = None

    def start(self, at_once: bool) -> None:
        """Read a first few items here if they are there already, the rest in a thread."""
        if not isinstance(self._iterable, range | list | tuple | str | bytes):
            run = self._read_iterator
        elif at_once and not self._read_first():
            return
        else:
            run = self._read_sequence
        self._thread = threading.Thread(
            target=self._guarded, args=(run,), name="hanse-feeder", daemon=True
        )
        self._thread.start()

    def _read_first(self) -> bool:
        """A first block, or all that is recorded of an earlier run: it is refused at once if it is
        not the same. False after the last block."""
        while self._exact() is not None:
            if not self._read_slice():
                return False
        return self._read_slice()

    def stop(self) -> None:
        with self._results.room:
            self._stopped = True
            self._results.room.notify_all()

    def hand_over(self, patience_s: float) -> bool:
        """Wait until an input that is kept elsewhere was handed over whole, as long as that gets
        on; whether it was."""
        while self._whole and self._thread is not None and self._thread.is_alive():
            before = self._fed
            self._thread.join(patience_s)
            if self._fed == before and self._thread.is_alive():
                return False
        return True

    def hungry(self) -> None:
        """Items ended: hand over what was read if workers have nothing to do. Called on the loop's
        thread."""
        self._wanted = self._ask_wanted()
        if self._starving():
            self._want = self._exact() or 1
            if self._pending and not self._handing.locked():
                # Not here: pickling runs the user's code, and may take its time or wait.
                threading.Thread(target=self._help, name="hanse-feeder", daemon=True).start()

    def _help(self) -> None:
        """Hand over for the reader, which waits for its iterator."""
        try:
            with self._handing:
                self._hand_over()
        except BaseException as error:  # noqa: BLE001 - handed to whoever consumes the job
            self._break_off(error)

    # --- reading --------------------------------------------------------------------------------
    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - handed to whoever consumes the job
            self._break_off(self._hand_over_rest() or error)

    def _hand_over_rest(self) -> BaseException | None:
        """What was read before the iterator raised counts; its own error comes first."""
        try:
            with self._handing:
                self._hand_over()
        except BaseException as error:  # noqa: BLE001 - handed to whoever consumes the job
            return error
        return None

    def _break_off(self, error: BaseException) -> None:
        if not isinstance(error, JobChanged):
            broken = InputError(f"the inputs broke off after {self._fed} items: {error!r}")
            broken.__cause__, error = error, broken
        self._results.fail(error)
        self.stop()
        self._close(False)

    def _read_sequence(self) -> None:
        while self._wait_for_room() and self._read_slice():
            # Let go of the interpreter: the loop's thread has leases to send, and would otherwise
            # wait for a whole switch interval (5 ms) every time it wants to.
            time.sleep(1e-5)

    def _read_slice(self) -> bool:
        """Hand over one block of a sequence; False after the last."""
        sequence = cast("Sequence[Any]", self._iterable)
        count = self._exact() or max(1, min(self._free(), self._block_items()))
        if count > 1 and not self._fed and not self._exact() and not is_flat(sequence[:1]):
            count = 1  # it may be large: a worker has it while the next are pickled
        stop = min(self._fed + count, len(sequence))
        if stop > self._fed:
            self._give(sequence[self._fed : stop])
        if stop < len(sequence):
            return True
        self._end()
        return False

    def _read_iterator(self) -> None:
        pending = self._pending
        if not self._wait_for_room():
            return
        self._want = self._exact() or 1
        for value in self._iterable:
            pending.append(value)
            if len(pending) >= self._want:
                with self._handing:
                    self._hand_over()
                if not self._wait_for_room():
                    return
                exact = self._exact()
                self._want = exact or min(self._free(), self._block_items())
                if exact is None and self._starving():  # looked at last: `hungry` may have said so
                    self._want = 1
        with self._handing:
            self._hand_over(last=True)
        self._end()

    def _hand_over(self, last: bool = False) -> None:
        pending, exact = self._pending, self._exact()
        if exact is not None and len(pending) < exact and not last:
            return
        values = pending[:exact]
        del pending[: len(values)]  # the reader may have added some meanwhile
        if values and not self._stopped:
            self._give(values)

    def _give(self, values: Sequence[Any]) -> None:
        self._fed_bytes += self._block(values)
        self._fed += len(values)
        self._size = len(values)

    def _end(self) -> None:
        self.finished = True
        self._seal()

    # --- how far ahead --------------------------------------------------------------------------
    def _wait_for_room(self) -> bool:
        if self._free() > 0 and not self._stopped:
            return not self._results.state.ended
        with self._results.room:
            self.waits = True
            self._results.room.wait_for(
                lambda: self._stopped or self._results.state.ended or self._free() > 0
            )
            self.waits = False
            return not (self._stopped or self._results.state.ended)

    def _starving(self) -> bool:
        return self._fed - self._results.settled < 2 * self._slots

    def _block_items(self) -> int:
        """Grow blocks quickly, up to a bound in items and in bytes."""
        per_item = max(1, self._fed_bytes // max(1, self._fed))
        most = min(limits.BLOCK_ITEMS, max(1, limits.BLOCK_BYTES // per_item))
        return min(most, max(16 * self._slots, 8 * self._size))

    def _free(self) -> int:
        """How many more items may be read now."""
        if self._whole:
            return limits.WINDOW_ITEMS
        results = self._results
        gone = results.settled if results.keep_all else results.handed
        window = self._window() if self._ahead is None else min(self._window(), self._ahead)
        return window - (self._fed - gone)

    def _window(self) -> int:
        """How many items may be between the reader and the consumer."""
        results = self._results
        if not results.settled:
            return 2 * self._slots  # nothing is known of their size yet
        per_item = self._fed_bytes / max(1, self._fed) + results.seen_bytes / results.settled
        return window(self._slots, per_item, self._wanted, _most_bytes())


@cache
def _most_bytes() -> int:
    return most_bytes(usable_memory())
