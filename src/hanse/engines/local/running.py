"""Running items in a worker, as fast as a plain `map` where they are short.

Items run in chunks. A chunk is a list that is being iterated; cutting it short (`del chunk[k:]`)
ends the iteration early, so no item pays for a check. The results' length tells which item runs:
CPython keeps a list's length exact even inside `extend`. So `self.base + len(self.out)` is always
the item that runs or comes next, for crash reports, cuts and `current_item()` alike.

Results that nothing can change wait here as they are; any other is pickled right after its item
returned, because later items may change the same object. Which kind they are is known only after
an item ran: so micro-batches are looked at afterwards, and one that holds other results is dropped
and its items run again one by one.

Two threads meet here under `lock`: the main thread runs items, the control thread cuts chunks and
streams results while one long item runs.
"""

from __future__ import annotations

import _thread
import time
from bisect import bisect_left
from itertools import starmap
from sys import getsizeof

from hanse.engines.local import results, slots
from hanse.engines.local.current import Item
from hanse.engines.local.linking import Missing, OwnResults
from hanse.engines.local.programs import BrokenInput
from hanse.engines.local.saving import Saver
from hanse.engines.local.waiting import Waiting
from hanse.limits import FLUSH_BYTES, FLUSH_NS, MICRO_BATCH_NS
from hanse.payloads.flat import is_flat, is_flat_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hanse.engines.local.programs import Inputs, Loaded
    from hanse.payloads.payload import Payload

_FAST_NS = 20_000  # shorter items run in micro-batches
_MOST = 16_384  # items in one chunk
_EVENTS = 256  # failures that wait for one frame
_now = time.monotonic_ns


class Runner(Waiting):
    """Runs one work at a time."""

    def __init__(self, memory: Any, slot: int, send: Callable[[Any, list[Any]], None]) -> None:
        super().__init__(send)
        self._memory = memory
        self._at = slot * slots.SLOT_BYTES
        self.lock = _thread.allocate_lock()
        self.run = 0
        self.stop = 0
        self.chunk: list[Any] = []
        self.chunk_base = 0
        self.in_item = False
        self._sure = 0  # results before the micro-batch that runs
        self._ran = 0  # items before this have begun, although they may run again
        self._pending: dict[int, int] = {}  # cuts of runs that have not begun
        self.own: OwnResults | None = None  # if items of the run need results of others of it
        self.token = ""  # see Work.token
        self.saver = Saver(self)

    # --- what the control thread calls ------------------------------------------------------------
    def cut(self, run: int, stop: int) -> None:
        """End the run at `stop`, or after the item that runs now."""
        with self.lock:
            if run != self.run:
                if run > self.run:
                    self._pending[run] = stop
                return
            self._cut(stop)

    def _cut(self, stop: int) -> None:
        keep = max(stop - self.chunk_base, 0)
        del self.chunk[keep:]  # from here on no item past `stop` begins
        first = max(self.base + len(self.out) + self.in_item, self._ran)
        self.saver.wanted = self.saver.wanted or (self.in_item and stop <= first)
        self.stop = min(self.stop, max(stop, first))
        self._events.append(("c", self.stop))
        self._deliver(self.run)

    def stream(self) -> None:
        """Send what is done although the item that runs now may take long."""
        with self.lock:
            if not self.run or _now() - self.mark < FLUSH_NS or self.program.fold:
                return
            part = self.out[self.sent :]
            if self.program.flat and not is_flat(part):  # a micro-batch that will be dropped
                part = self.out[self.sent : self._sure]
            self._encode(self.base + self.sent, part)
            self.sent += len(part)
            if self._events:
                self._deliver(self.run)

    # --- what the main thread calls ---------------------------------------------------------------
    def begin(
        self,
        run: int,
        start: int,
        stop: int,
        program: Loaded,
        attempts: dict[int, int],
        careful_until: int,
        links: dict[int, int],
        token: str,
    ) -> None:
        with self.lock:
            self.base, self.sent, self.out, self.chunk = start, 0, [], []
            self.chunk_base = start
            self.program, self.attempts, self.careful_until = program, attempts, careful_until
            self.own = OwnResults(program.job, links) if links else None
            self.token = token
            self.mark = self._counted = _now()
            self.meter.begin(self.mark)
            self._bytes, self._ran = 0, start
            self._folding = None
            self.stop, self.run = stop, run
            slots.pack_into(self._memory, self._at, run, start, 0, self.mark)
            asked = self._pending.pop(run, None)
            self._pending.clear()
            if asked is not None:
                self._cut(asked)

    def fail_all(self, cause: str, error: BaseException) -> None:
        """Every item fails for one reason."""
        fields = results.fields(error, cause, "")
        with self.lock:
            if self.base < self.stop:
                self._events.append(("F", self.base, self.stop, fields))
                self.base = self.stop

    def block(self, start: int, inputs: Inputs, skip: frozenset[int], omit: frozenset[int]) -> None:
        """Run the items of one block that the run covers."""
        end = start + inputs.count
        special = sorted(i for i in skip | omit if start <= i < end) if skip or omit else None
        while (at := self._next()) < min(self.stop, end):
            ahead = special[bisect_left(special, at)] if special and special[-1] >= at else end
            if ahead == at:
                self._special(at, omit)
            else:
                self._run(at, inputs, start, min(ahead, end))

    def _next(self) -> int:
        return self.base + len(self.out)

    def _special(self, at: int, omit: frozenset[int]) -> None:
        if at in omit:  # its failure is known already
            self.flush()
            with self.lock:
                self.base = at + 1
        elif self.program.fold:  # cancelled
            self.out.append(results.SKIPPED)
        else:
            self.out.append(None if self.program.flat else self._encoder.encode(None)[0])

    def _run(self, at: int, inputs: Inputs, start: int, end: int) -> None:
        """Run one chunk from `at` on."""
        program = self.program
        micro = program.fast and program.flat and not program.careful and at >= self.careful_until
        with self.lock:
            last = min(end, self.stop, at + program.chunk)
            if last <= at:
                return
            chunk = inputs.take(at - start, last - start)
            self.chunk, self.chunk_base, self.in_item = chunk, at, True
        length, begun = len(chunk), _now()
        failed: tuple[BaseException, str] | None = None
        try:
            (self._micro_batch if micro else self._one_by_one)(at, chunk, inputs.read)
        except BrokenInput as broken:
            missing = isinstance(broken.error, Missing)
            failed = broken.error, "dependency" if missing else "argument"
        except results.Unsendable as refused:
            failed = refused.error, "result"
        except BaseException as error:  # noqa: BLE001 - every exception of an item is its failure
            failed = error, "raised"
        self.in_item = False
        stays, now = not micro or self._all_flat(), _now()
        took = self._measured(at, micro, now - begun, now, failed is not None)
        if stays and failed is not None:
            self._failed(self._next(), *failed, took)
        self._learn(_now() - begun, max(1, self._next() - at), micro, length)

    def _measured(self, at: int, micro: bool, spent_ns: int, now_ns: int, failed: bool) -> int:
        """Count the items of a chunk; the time of one that failed is handed back."""
        with self.lock:
            if not micro:
                return self.meter.end_chunk(now_ns, failed)
            done = self._next() - at
            each = spent_ns // max(1, done + failed)
            self.meter.batch(done, each)
            return each

    def _micro_batch(self, at: int, chunk: list[Any], read: Callable[[Any], Any] | None) -> None:
        out, function = self.out, self.program.function
        before = self._sure = len(out)
        slots.pack_into(self._memory, self._at, self.run, at, len(chunk), _now())
        values = chunk if read is None else map(read, chunk)
        out.extend(starmap(function, values) if self.program.star else map(function, values))
        if len(out) - before < len(chunk):  # `map` takes it for its own end
            raise StopIteration("raised by the function")

    def _all_flat(self) -> bool:
        """Whether all results of the micro-batch may wait. If not, they are dropped: their items
        run again, one by one, and so do all others from now on."""
        with self.lock:
            first = max(self._sure, self.sent)
            part = self.out[first:] if first else self.out[:]
            if is_flat(part):
                return True
            self._ran = max(self._ran, self.base + len(self.out) + 1)
            del self.out[first:]
            self._leave_flat()
        return False

    def _leave_flat(self) -> None:
        """From now on each result is pickled by itself; those that wait are one stream."""
        self._settle()
        self.program.flat = False

    def _one_by_one(self, at: int, chunk: list[Any], read: Callable[[Any], Any] | None) -> None:
        memory, place, run = self._memory, self._at, self.run
        pack_into, append, function = slots.pack_into, self.out.append, self.program.function
        began = self.meter.marks.append
        star, flush_at, program = self.program.star, self.mark + FLUSH_NS, self.program
        own = self.own
        for value in chunk:
            now = _now()
            began(now)
            pack_into(memory, place, run, at, 1, now)
            if read is not None:
                value = read(value)
            result = function(*value) if star else function(value)
            if program.flat and is_flat_one(result):
                self._bytes += getsizeof(result, 64)
                append(result)
            elif program.flat or program.fold is not None:
                self._keep(at, result)
            else:
                self._append(result)
                if own is not None:
                    own.keep(at, self.out[-1])
            at += 1
            if now > flush_at or self._bytes > FLUSH_BYTES:
                break

    def _keep(self, at: int, result: Any) -> None:
        """Pickle or fold in a result before the next item can change it."""
        if self.out and (self.program.flat or self.program.fold):
            with self.lock:
                self._settle()
        self.program.flat = False
        if self.program.fold is not None:
            self._fold_of(at).take(at, result)
            self.base = at + 1
        else:
            self._append(result)

    def _append(self, result: Any) -> None:
        """Pickle a result as it is now."""
        try:
            encoded, size = self._encoder.encode(result)
        except BaseException as error:
            raise results.Unsendable(error) from error
        self.out.append(encoded)
        self._bytes += size

    def _learn(self, spent: int, done: int, micro: bool, length: int) -> None:
        """Choose the next chunk's size by the time per item, and flush when it is time."""
        program = self.program
        each = spent // done + 1
        program.fast = each < _FAST_NS
        aim = MICRO_BATCH_NS if program.fast else FLUSH_NS
        program.chunk = max(1, min(aim // each, 8 * length, _MOST))
        if micro and self.out:
            self._bytes += getsizeof(self.out[-1], 64) * done
        if _now() - self.mark >= FLUSH_NS or self._bytes > FLUSH_BYTES:
            self._spill()

    def save(self, item: int, payload: Payload) -> None:
        """Send what an item keeps for a later attempt; see `saving`."""
        with self.lock:
            if self.run:
                self._keep_saved(item, payload)
                self._deliver(self.run)

    def _failed(self, at: int, error: BaseException, cause: str, took_ns: int) -> None:
        if cause == "raised" and isinstance(error, MemoryError) and self.program.memory_bytes:
            cause = "memory"
        fields = results.fields(error, cause, self.ring.of(at))
        with self.lock:
            self._counted += took_ns  # which is told with the failure, not with the results before
            self._close_segment()
            self.meter.batch(1, took_ns)
            self._events.append(("f", at, fields, took_ns, self.meter.take()))
            self.base = at + 1
            self._failed_bytes += len(fields["exception"] or b"")
            crowded = len(self._events) >= _EVENTS or self._failed_bytes > FLUSH_BYTES
            if crowded or _now() - self.mark >= FLUSH_NS:
                self._deliver(self.run)

    # --- results ----------------------------------------------------------------------------------
    def _spill(self) -> None:
        """Enough has gathered: send it, or fold it here."""
        if self.program.fold is None:
            self.flush()
            return
        with self.lock:
            self._settle()
            self.mark = _now()
            if self._events:
                self._deliver(self.run)

    def flush(self, end: bool = False) -> None:
        """Send all results; with `end` the run is over."""
        with self.lock:
            run = self.run
            self._close_segment()
            self.chunk = []
            if end:
                self._events.append(("e", self.stop))
                self.run, self.token = 0, ""
                slots.pack_into(self._memory, self._at, 0, 0, 0, 0)
            if self._events:
                self._deliver(run)

    # --- who runs ---------------------------------------------------------------------------------
    def running(self) -> int:
        """The index of the item that runs, or -1."""
        return self.base + len(self.out) if self.in_item else -1

    def printing(self) -> tuple[int, int] | None:
        """The run and the item that print now, if that is kept."""
        return (self.run, self.running()) if self.run and self.program.logged else None

    def current(self) -> Item | None:
        at = self.running()
        return Item(self.program.job, at, self.attempts.get(at, 1)) if at >= 0 else None
