"""Results on their way from the loop's thread to whoever consumes them.

Parts (ranges of items with one payload, or one failure) come in any order and leave in order, in
order of arrival, or folded. What waits here is counted, so that the feeder knows when to stop
reading inputs ahead: memory stays bounded however long the job is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from hanse import limits
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.payloads.exceptions import to_exception
from hanse.payloads.payload import Payload

if TYPE_CHECKING:
    from hanse.records.record import Kept


class Part(msgspec.Struct, frozen=True):
    """The outcome of the items `start` to `stop`.

    Exactly one of `payload` and `failure` is set. `first` is the number of the first result in the
    payload; None says that the payload holds one value, the fold of all the items. A payload that
    is kept elsewhere (in the journal) is read when the part is taken.
    """

    start: int
    stop: int
    payload: Payload | Kept | None
    first: int | None
    failure: Failure | None
    restored: bool = False  # of an earlier run: counted already

    @property
    def nbytes(self) -> int:
        if self.failure is not None:
            told = self.failure
            return 512 + len(told.traceback) + len(told.output) + len(told.exception or b"")
        assert self.payload is not None
        if self.first is None:
            return self.payload.nbytes
        return self.payload.nbytes * (self.stop - self.start) // max(1, self.payload.count)

    @property
    def held_bytes(self) -> int:
        """What it takes in memory while it waits."""
        return 256 if self.payload is not None and self.is_kept else self.nbytes

    @property
    def is_kept(self) -> bool:
        return not isinstance(self.payload, Payload)


class Results:
    """One job's outcomes. Every method may be called from any thread."""

    def __init__(self, total: int | None = None) -> None:
        self.total = total  # items in all, once that is known
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)  # consumers wait here
        self.room = threading.Condition(self._lock)  # the feeder waits here
        self._curious: list[Callable[[], None]] = []  # told once of the next arrival, or of the end
        self._parts: dict[int, Part] = {}  # by first item, in order of arrival
        self._rates: list[tuple[float, int]] = []  # (when, settled) of the last seconds
        self.state = JobState.RUNNING
        self.error: BaseException | Failure | None = None  # what ends it, after what is good
        self.done = 0
        self.failed = 0
        self.restored = 0  # of these, by earlier runs
        self.handed = 0  # items that consumers have taken
        self.held_bytes = 0  # of results that wait here
        self.seen_bytes = 0  # of all results
        self.failures: list[Failure] = []  # the first of them
        self._in_order = True  # how parts are taken
        self.keep_all = False  # nobody consumes yet, but all results are wanted
        self.started_s = time.monotonic()
        self.ended_s: float | None = None

    # --- from the loop --------------------------------------------------------------------------
    def add(self, part: Part) -> None:
        with self._lock:
            if part.failure is not None and len(self.failures) < limits.FAILURES_KEPT:
                self.failures.append(part.failure)
            if part.restored:
                pass
            elif part.failure is None:
                self.done += part.stop - part.start
            else:
                self.failed += part.stop - part.start
            self._parts[part.start] = part
            self.held_bytes += part.held_bytes
            self.seen_bytes += part.nbytes
            self._measure()
            self._news()
            self.room.notify_all()

    def restore(self, done: int, failed: int) -> None:
        """So many items ended in earlier runs; their parts will come, and are not counted again."""
        with self._lock:
            self.done, self.failed = self.done + done, self.failed + failed
            self.restored = done + failed

    def end(self, state: JobState, error: BaseException | Failure | None) -> None:
        with self._lock:
            self.state = state
            if self.error is None:
                self.error = error
            self.ended_s = time.monotonic()
            self._news()
            self.room.notify_all()

    def fail(self, error: BaseException | Failure) -> None:
        """The job will end with this: its inputs broke off, or its first item failed."""
        with self._lock:
            if self.error is None:
                self.error = error

    def read_error(self) -> BaseException | None:
        """What ended the job, as the exception to raise; read here, where somebody asks."""
        with self._lock:
            error = self.error
        return to_exception(error) if isinstance(error, Failure) else error

    def _news(self) -> None:
        self._arrived.notify_all()
        curious, self._curious = self._curious, []
        for callback in curious:
            callback()

    def _measure(self) -> None:
        now = time.monotonic()
        if not self._rates or now - self._rates[-1][0] > 0.1:
            self._rates.append((now, self.done + self.failed))
            if len(self._rates) > 50:
                del self._rates[0]

    @property
    def outcome(self) -> str:
        """The job's state; one whose inputs broke off has failed even if all items went well."""
        if self.state is JobState.DONE and self.error is not None:
            return str(JobState.FAILED)
        return str(self.state)

    # --- for consumers --------------------------------------------------------------------------
    @property
    def settled(self) -> int:
        return self.done + self.failed

    def want_all(self) -> None:
        """Results are wanted though nobody takes them yet: read on without waiting for that."""
        with self._lock:
            self.keep_all = True
            self.room.notify_all()

    def take(
        self, start: int | None, timeout_s: float | None = None, *, handing: bool = True
    ) -> Part | None:
        """Wait for the part that begins with item `start`, or for any part; None at the end.

        With `handing=False` the caller tells by `hand` how far its consumer is.
        Raises TimeoutError if nothing comes in time.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            self._in_order = start is not None
            while True:
                first = start if start is not None else next(iter(self._parts), None)
                part = self._parts.pop(first, None) if first is not None else None
                if part is not None:
                    self.held_bytes -= part.held_bytes
                    if handing:
                        self.handed += part.stop - part.start
                        self.room.notify_all()
                    return part
                if self.state.ended:
                    return None
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                self._arrived.wait(left)

    def when_news(self, callback: Callable[[], None]) -> None:
        """Call back once, as soon as anything arrives or the job ends; with a lock held, so it must
        not ask anything here. What arrived before is not told."""
        with self._lock:
            self._curious.append(callback)

    def read(self, part: Part) -> Payload:
        """The payload of a part that was taken. Where it is kept elsewhere, those of the parts that
        are taken next are read with it. Raises JournalError if it cannot be read."""
        from hanse.records.record import read_together

        assert part.payload is not None
        if isinstance(part.payload, Payload):
            return part.payload
        with self._lock:
            ahead = list(self._kept_behind(part))
        payload, *others = read_together([part.payload, *(kept for _, kept in ahead)])
        with self._lock:
            for (at, kept), read in zip(ahead, others, strict=False):
                waiting = self._parts.get(at)
                if waiting is not None and waiting.payload is kept:
                    here = msgspec.structs.replace(waiting, payload=read)
                    self._parts[at] = here
                    self.held_bytes += here.held_bytes - waiting.held_bytes
        return payload

    def _kept_behind(self, part: Part) -> Iterator[tuple[int, Kept]]:
        """Those of the parts that come next whose payloads are kept, by their first items."""
        for each in islice(self._behind(part), limits.PAYLOADS_READ):
            if each.payload is not None and not isinstance(each.payload, Payload):
                yield each.start, each.payload

    def _behind(self, part: Part) -> Iterator[Part]:
        if not self._in_order:
            yield from self._parts.values()
            return
        at = part.stop
        while (each := self._parts.get(at)) is not None:
            yield each
            at = each.stop

    def hand(self, count: int) -> None:
        """So many items of the parts that were taken reached the consumer."""
        with self._lock:
            self.handed += count
            self.room.notify_all()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the job has ended; False if it did not in time."""
        with self._lock:
            return self._arrived.wait_for(lambda: self.state.ended, timeout_s)

    def rate_per_s(self) -> float:
        """Items that ended per second, lately."""
        with self._lock:
            if not self._rates:
                return 0.0
            now = self.ended_s or time.monotonic()
            elapsed = now - self.started_s
            recent = [r for r in self._rates if now - r[0] <= 5]
            if elapsed <= 5 or not recent:
                return (self.settled - self.restored) / elapsed if elapsed > 0 else 0.0
            since, before = recent[0]
            return (self.settled - before) / max(now - since, 1e-9)
