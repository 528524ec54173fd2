"""A job of a node: its inputs come from a client that may leave, its record is what clients follow.

Nothing here opens a payload: values are unpickled in workers, and by the client that asked.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hanse import limits
from hanse.core.events import CancelItems, CancelJob, Grow, JobGrown, Seal
from hanse.core.messages import Grant
from hanse.engines.port import Program, Work
from hanse.errors import ClientClosed, Fenced, HanseError, InternalError, UsageError
from hanse.ids import JobId, LeaseId
from hanse.journal.port import Entry
from hanse.model.data import Lies
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.payloads.payload import Payload
from hanse.runtime.blocks import Blocks
from hanse.runtime.outcome import Outcome
from hanse.runtime.runtime import Runtime

if TYPE_CHECKING:
    from hanse.records.record import JobRecord, Kept

_logger = logging.getLogger("hanse")

Callback = Callable[[], None]


class Counts:
    """What came of all jobs since the node began. Changed on the runtime's loop."""

    def __init__(self) -> None:
        self.done = 0  # items
        self.failed = 0  # items, for good
        self.ended: Counter[JobState] = Counter()  # jobs


class Held:
    """The runtime's view of the job (see `runtime.source.DurableSource`), and what clients do
    with it. All that clients do may be called from any thread, and may be repeated: a request whose
    answer was lost comes again."""

    fold_print = b""
    token_of: Callable[[JobId, LeaseId], str] | None = None  # if its code may ask for more

    def __init__(
        self, runtime: Runtime, id: JobId, program: Program, record: JobRecord | None = None,
        again: bool = False, counts: Counts | None = None,
    ) -> None:  # fmt: skip
        """`again`: the items of the record that failed are open again."""
        self.id = id
        self._counts = counts or Counts()
        self.nonce = b""  # of the request that made it, if that was in this run of the node
        self.begun = threading.Event()  # its first entry is recorded, or it is over
        self.over = False
        self.error: HanseError | None = None  # why it was stopped here, if it did not end
        self.total: int | None = None  # how many items may come, where that was said
        self.program = program
        self._runtime = runtime
        self._blocks = Blocks()
        self._size = 0  # items whose inputs were taken
        self._grown = 0  # of these, told the home of
        self._unrecorded: deque[int] = deque()  # blocks, by their first item
        self._sealed = False
        self._feeder = 0
        self._feeds = threading.Lock()
        self._entries: deque[Entry] = deque()  # the newest of the record
        self._next = 0  # the number of the entry that comes
        self._kept_bytes = 0
        self._followers: set[Callback] = set()
        self._feeding = 0  # followers of the newest feeder
        self._feeder_holds: Callable[[], bool] = lambda: True  # of the latest of these
        self._lock = threading.Lock()
        self._alone_ns = time.monotonic_ns()  # since then nobody who feeds it is there
        if record is not None:
            self._size = self._grown = record.size
            self._sealed = record.job.sealed
            self._next = len(record.facts)
            self._blocks.restore(record, again)

    # --- for clients ----------------------------------------------------------------------------
    @property
    def size(self) -> int:
        return self._size

    def take(self) -> int:
        """Become the one who feeds the job; returns the number that says so. It is drawn, so a
        number that an earlier run of this node gave means nothing to this one."""
        with self._feeds:
            self._feeder = secrets.randbits(52) + 1
            self._feeding = 0
            return self._feeder

    @property
    def is_fed(self) -> bool:
        """Whether a client that feeds it is there, and more is to come."""
        return self._feeding > 0 and not self._sealed and self._feeder_holds()

    def alone_ns(self, now_ns: int) -> int:
        """For how long nobody who feeds it has been there; 0 if somebody is."""
        return 0 if self._feeding else now_ns - self._alone_ns

    def feed(
        self, feeder: int, start: int, stop: int, payload: Payload, broken: Mapping[int, Failure],
        waits: Mapping[int, Sequence[tuple[JobId, int]]], data: Sequence[Lies] = (),
    ) -> int:  # fmt: skip
        """Take the inputs of these items; returns the job's size. Raises Fenced if another client
        feeds it, UsageError if they do not follow what is there."""
        if stop - start != payload.count:
            raise UsageError(f"{payload.count} inputs are not the items {start} to {stop}")
        if waits:
            raise UsageError("the items of a map wait for nothing")
        with self._feeds:
            return self._take(feeder, start, stop, payload, broken, waits, data)

    def _take(
        self, feeder: int, start: int, stop: int, payload: Payload, broken: Mapping[int, Failure],
        waits: Mapping[int, Sequence[tuple[JobId, int]]], data: Sequence[Lies] = (),
    ) -> int:  # fmt: skip
        self.check(feeder)
        if not 0 <= start < stop or any(not start <= item < stop for item in (*broken, *waits)):
            raise UsageError("an item that something is said of is not among these")
        if stop <= self._size:
            return self._size  # said before
        if start != self._size:
            raise UsageError(f"the job has {self._size:,} items, so {start:,} is not the next")
        if self.total is not None and stop > self.total:
            raise UsageError(f"the job was to have {self.total:,} items, so {stop:,} are too many")
        if self._sealed:
            raise UsageError("the job was sealed, and takes no more items")
        self._blocks.add(start, payload, stop)
        self._unrecorded.append(start)
        self._size = stop
        self._runtime.grow(Grow(self.id, stop, waits, sorted(broken), data), broken)
        return stop

    def seal(self, feeder: int, whole: bool) -> None:
        """No more will come."""
        with self._feeds:
            self.check(feeder)
            if not self._sealed:
                self._sealed = True
                self._runtime.tell(Seal(self.id, whole))

    def fold(self, feeder: int, function: Payload, fingerprint: bytes, key: int) -> None:
        """From the next lease on, results are folded where they are."""
        from msgspec.structs import replace

        with self._feeds:
            self.check(feeder)

        def change() -> None:
            self.program = replace(self.program, key=key, fold=function)
            self.fold_print = fingerprint

        self._runtime.loop.post(change)

    def cancel(self) -> None:
        self._runtime.tell(CancelJob(self.id))

    def cancel_ready(self, start: int, stop: int) -> None:
        """Cancel those of these that have not begun."""
        self._runtime.tell(CancelItems(self.id, start, stop))

    def check(self, feeder: int) -> None:
        """Raises Fenced if another feeds the job, or nobody since the node was started again."""
        if feeder != self._feeder:
            raise Fenced("another client feeds this job now")

    # --- for followers --------------------------------------------------------------------------
    def follow(
        self, news: Callback, feeder: int = 0, holds: Callable[[], bool] = lambda: True
    ) -> Callback:
        """Call back, on any thread, whenever entries came or the job is over; returns what ends
        that.

        Args:
            feeder: the number under which this client feeds the job, if it does.
            holds: whether it still may: a script that was cut off must not keep the job from the
                one that runs in its place.
        """
        with self._lock:
            self._followers.add(news)
            feeding = feeder != 0 and feeder == self._feeder
            self._feeding += feeding
            if feeding:
                self._feeder_holds = holds

        def end() -> None:
            with self._lock:
                self._followers.discard(news)
                if feeding and feeder == self._feeder:
                    self._feeding -= 1
                    self._alone_ns = time.monotonic_ns()

        return end

    def entries(self, first: int) -> list[Entry] | None:
        """The next recorded entries from this number on: tens of thousands may be kept, and who
        follows has seen most of them. None if they are in the journal only."""
        with self._lock:
            begin = self._next - len(self._entries)
            if first < begin:
                return None
            at = first - begin
            stop = min(len(self._entries), at + limits.ENTRIES_READ)
            return [self._entries[each] for each in range(at, stop)]

    # --- for the runtime ------------------------------------------------------------------------
    def work(self, grant: Grant) -> Work:
        blocks = self._blocks.within(grant.start, grant.stop)
        return Work(
            lease=grant.lease, start=grant.start, stop=grant.stop, program=self.program,
            blocks=[block.block() for block in blocks], attempts=grant.attempts,
            token="" if self.token_of is None else self.token_of(self.id, grant.lease),
        )  # fmt: skip

    def grown(self, size: int) -> Payload:
        payload = self._blocks.at(self._grown).payload
        assert isinstance(payload, Payload)
        self._grown = size
        return payload

    def decided(self, start: int, stop: int, payload: Payload, first: int | None) -> None:
        """Nothing waits for an item of a map."""

    def written(self, outcome: Outcome) -> None:
        entry = outcome.entry
        assert entry is not None
        self.begun.set()
        if isinstance(outcome.fact, JobGrown) and outcome.kept is not None:
            self._blocks.recorded(self._unrecorded.popleft(), outcome.kept, limits.WINDOW_BYTES)
        with self._lock:
            self._entries.append(entry)
            self._next = entry.seq + 1
            self._kept_bytes += _bytes_of(entry)
            while self._kept_bytes > limits.FOLLOWED_BYTES:
                self._kept_bytes -= _bytes_of(self._entries.popleft())
        self._tell()

    def committed(
        self, start: int, stop: int, payload: Payload | Kept, first: int | None, kept: Kept | None
    ) -> None:
        self._counts.done += stop - start
        self._blocks.settle(start, stop)

    def failed(self, start: int, stop: int, failure: Failure) -> None:
        self._counts.failed += stop - start
        self._blocks.settle(start, stop)

    def ended(self, state: JobState, error: BaseException | None) -> None:
        self._counts.ended[state] += 1
        self._blocks.clear()
        self.over = True
        self._tell()
        if error is not None and not isinstance(error, ClientClosed):  # else the node ends
            _logger.error("hanse: job %s stopped: %s", self.id, error)
            self.error = error if isinstance(error, HanseError) else InternalError(str(error))
        self.begun.set()

    def why(self) -> list[str]:
        if not self._sealed and not self.is_fed:
            return ["Its client is away: what it gave runs, and more comes when it is back."]
        return []

    def _tell(self) -> None:
        with self._lock:
            followers = list(self._followers)
        for news in followers:
            news()


def _bytes_of(entry: Entry) -> int:
    return 200 + len(entry.body) + len(entry.payload or b"")
