"""What items have saved for later attempts: of durable jobs on disk, of others in memory.

On the loop's thread, but for the writing, which has a thread of its own: nobody waits for it. What
is saved while an older one waits takes its place. Nor does the loop read: a lease whose items have
saved something begins once that was read by a second thread, or goes over its link from the disk.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from hanse import limits
from hanse.core.events import JobGrown, Resume, Submit
from hanse.errors import HanseError
from hanse.ids import JobId

if TYPE_CHECKING:
    from hanse.blobs.saved import SavedStates
    from hanse.payloads.parcel import Deferred
    from hanse.payloads.payload import Payload

    Within = Mapping[int, Payload | None]  # by item; None: it is on the disk
    _Asked = tuple[JobId, Within, Callable[[dict[int, Payload]], None]]

_logger = logging.getLogger("hanse")
_CLOSE_S = 5.0

_Task = tuple[JobId, int | None]  # None: all of the job


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class Checkpoints:
    """
    Args:
        states: where those of durable jobs are kept; raises HanseError.
        post: runs something on the loop's thread.
    """

    def __init__(
        self, states: Callable[[], SavedStates], post: Callable[[Callable[[], None]], None]
    ) -> None:
        self._states = states
        self._post = post
        # By job and item; None: it is on disk alone.
        self._known: dict[JobId, dict[int, Payload | None]] = {}
        self._durable: set[JobId] = set()
        self._on_disk: set[JobId] = set()  # of these something may be
        self._memory: OrderedDict[tuple[JobId, int], int] = OrderedDict()  # bytes, the oldest first
        self._memory_bytes = 0
        self._tasks: OrderedDict[_Task, Payload | None] = OrderedDict()  # None: it goes
        self._waiting_bytes = 0  # of the tasks
        self._news = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None

    def begin(self, event: Submit | Resume) -> None:
        """A durable job begins, or goes on: its items may have saved something in an earlier run.
        Items that were added, and whose inputs were lost before they were recorded, may be others
        now: what those saved is theirs no more."""
        job = event.job
        self._durable.add(job)
        if isinstance(event, Submit):
            return
        size = max((fact.size for fact in event.facts if isinstance(fact, JobGrown)), default=0)
        try:
            found = self._states().items(job)
        except HanseError as error:
            _logger.warning("hanse: what items of %s have saved: %s", job, error)
            return
        if found:
            self._on_disk.add(job)
        for item in found:
            if item < size:
                self._known.setdefault(job, {})[item] = None
            else:
                self._do((job, item), None)

    def put(self, job: JobId, item: int, payload: Payload) -> None:
        """An open item has saved this. It is lost if too much waits to be written; what the item
        has saved before is not."""
        if job not in self._durable:
            self._remember(job, item, payload.nbytes)
        elif self._too_much((job, item), payload):
            _logger.warning("hanse: what item %d of %s saved is lost: the disk is slow", item, job)
            return
        else:
            self._on_disk.add(job)
            self._do((job, item), payload)
        self._known.setdefault(job, {})[item] = payload

    def within(self, job: JobId, start: int, stop: int) -> Within:
        """Which items of this range have saved something, in their order, and what that is if it
        is in memory."""
        known = self._known.get(job)
        if not known:
            return {}
        return {item: known[item] for item in sorted(known) if start <= item < stop}

    def read(self, job: JobId, within: Within, then: Callable[[dict[int, Payload]], None]) -> None:
        """Call back on the loop's thread, now if nothing is on the disk alone, with what these
        items have saved: the first of them if that is too much together."""
        if None not in within.values():
            then(_some(job, within.items()))
            return
        if self._reader is None:
            self._reader = threading.Thread(target=self._reads, name="hanse-saved", daemon=True)
            self._reader.start()
        self._asked.put((job, within, then))

    def find(self, job: JobId, within: Within) -> dict[int, Payload | Deferred]:
        """The same, to be sent: what is on the disk stays there until then. For any thread but the
        loop's. Raises JournalError."""
        find = self._states().find
        return _some(job, ((item, here or find(job, item)) for item, here in within.items()))

    def settled(self, job: JobId, start: int, stop: int) -> None:
        """These items are done, or failed for good."""
        known = self._known.get(job)
        if not known:
            return
        for item in [item for item in known if start <= item < stop]:
            del known[item]
            self._forget(job, item)
            if job in self._durable:
                self._do((job, item), None)

    def ended(self, job: JobId, resumes: bool = False) -> None:
        """The job is over here; what is on disk stays if it may be resumed."""
        for item in self._known.pop(job, {}):
            self._forget(job, item)
        if job in self._on_disk and not resumes:
            self._do((job, None), None)
        self._on_disk.discard(job)
        self._durable.discard(job)

    def close(self) -> None:
        """What waits is written, if that is quick."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    # --- memory -----------------------------------------------------------------------------------
    def _remember(self, job: JobId, item: int, nbytes: int) -> None:
        self._forget(job, item)
        self._memory[job, item] = nbytes
        self._memory_bytes += nbytes
        while self._memory_bytes > limits.CHECKPOINT_MEMORY_BYTES and len(self._memory) > 1:
            oldest = next(iter(self._memory))
            self._forget(*oldest)
            self._known.get(oldest[0], {}).pop(oldest[1], None)

    def _forget(self, job: JobId, item: int) -> None:
        self._memory_bytes -= self._memory.pop((job, item), 0)

    # --- disk -------------------------------------------------------------------------------------
    def _too_much(self, task: _Task, payload: Payload) -> bool:
        with self._news:
            others = self._waiting_bytes - _size(self._tasks.get(task))
        return bool(others) and others + payload.nbytes > limits.CHECKPOINT_WAIT_BYTES

    def _do(self, task: _Task, payload: Payload | None) -> None:
        with self._news:
            self._waiting_bytes += _size(payload) - _size(self._tasks.pop(task, None))
            self._tasks[task] = payload
            self._news.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hanse-saves", daemon=True)
            self._thread.start()

    def _reads(self) -> None:
        while (asked := self._asked.get()) is not None:
            job, within, then = asked
            try:
                get = self._states().get
                found = _some(
                    job, ((item, here or get(job, item)) for item, here in within.items())
                )
            except Exception as error:  # noqa: BLE001 - others wait for this thread too
                _logger.warning("hanse: what items of %s have saved: %s", job, error)
                found = {}
            self._post(partial(then, found))

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._tasks or self._closing)
                if not self._tasks:
                    return
                (job, item), payload = self._tasks.popitem(last=False)
                self._waiting_bytes -= _size(payload)
            try:
                self._write(job, item, payload)
            except HanseError as error:
                _logger.warning("hanse: what item %s of %s saved is lost: %s", item, job, error)

    def _write(self, job: JobId, item: int | None, payload: Payload | None) -> None:
        states = self._states()
        if item is None:
            states.drop_job(job)
        elif payload is None:
            states.drop(job, item)
        else:
            states.put(job, item, payload)
            self._post(lambda: self._written(job, item, payload))

    def _written(self, job: JobId, item: int, payload: Payload) -> None:
        known = self._known.get(job, {})
        if known.get(item) is payload:
            known[item] = None


def _some(job: JobId, saved: Iterable[tuple[int, T | None]]) -> dict[int, T]:
    """What goes out with one lease, of what its items have saved."""
    found: dict[int, T] = {}
    left = limits.CHECKPOINT_GIVEN_BYTES
    for item, each in saved:
        if each is None:
            continue
        left -= each.nbytes
        if found and (left < 0 or len(found) == limits.CHECKPOINT_GIVEN):
            _logger.warning("hanse: items of %s from %d on begin anew: what they have saved is "
                            "too much for one lease", job, item)  # fmt: skip
            break
        found[item] = each
    return found


def _size(payload: Payload | None) -> int:
    return 0 if payload is None else payload.nbytes
