"""A map's items: blocks of inputs on one side, results on the other.

A `MapSource` stands between the runtime (which speaks of ranges) and the client (which has values).
Blocks are kept until their last item is settled, because a lease may be granted again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hanse import limits
from hanse.client.data import Places
from hanse.client.future import Future
from hanse.client.results import Part, Results
from hanse.core.events import CancelItems, CancelJob, Grow, Seal
from hanse.core.messages import Grant
from hanse.engines.port import Program, Work
from hanse.errors import PickleError, UsageError
from hanse.ids import JobId
from hanse.model.data import Lies
from hanse.model.failure import Failure
from hanse.model.job import JobState
from hanse.payloads.flat import dump_flat
from hanse.payloads.payload import Payload, dump_one, join
from hanse.payloads.references import collecting
from hanse.payloads.unsent import Unsent
from hanse.runtime.blocks import Blocks
from hanse.runtime.reported import argument_failure
from hanse.runtime.runner import Runner

if TYPE_CHECKING:
    from hanse.records.record import Kept


class MapSource:
    """The runtime's view of one map (see `runtime.source.Source`)."""

    def __init__(
        self,
        runtime: Runner,
        job: JobId,
        program: Program,
        results: Results,
        needs: Sequence[Future[Any]],
        raising: bool,
    ) -> None:
        self._runtime = runtime
        self._job = job
        self.program = program
        self._results = results
        self._raising = raising
        self._needs = tuple(needs)  # futures that the function itself holds
        self._each = bool(needs)  # inputs are pickled one by one; until one is not flat, in blocks
        self._size = 0  # items that were handed over so far; the feeder's
        self._grown = 0  # of these, asked for by the runtime
        self._blocks = Blocks()
        self._on_end: list[Callable[[], None]] = []
        self._over = False
        self.hungry: Callable[[], None] = lambda: None  # called when items were settled
        self.waits: Callable[[], list[str]] = list  # why no further inputs are read
        self.places: Places | None = None  # what is to be said of where inputs lie
        self._closed = False
        self._lock = threading.RLock()  # what is told of a closed runtime comes back at once

    def fold(self, fold: Payload, key: int) -> None:
        """From the next lease on, results are folded where they are."""
        self.program = msgspec.structs.replace(self.program, key=key, fold=fold)

    def when_ended(self, callback: Callable[[], None]) -> None:
        def add() -> None:
            if self._over:
                callback()
            else:
                self._on_end.append(callback)

        self._runtime.loop.post(add)

    # --- for the feeder -------------------------------------------------------------------------
    def feed(self, values: Sequence[Any]) -> int:
        """Add a block of inputs; returns its size in bytes."""
        payload = None if self._each else dump_flat(values)
        if payload is None:
            self._each = True
            return self._feed_each(values)
        self._keep(self._size, [payload])
        self._add(Grow(self._job, self._size + len(values), data=self._lies(values)))
        return payload.nbytes

    def _lies(self, values: Sequence[Any]) -> Sequence[Lies]:
        return () if self.places is None else self.places.of(values, self._size)

    def _feed_each(self, values: Sequence[Any]) -> int:
        """One with futures is a block of its own, because a block is read whole."""
        payloads, broken = dump_each_input(values, self._size, self.program.name)
        waits: dict[int, list[tuple[JobId, int]]] = {}
        plain: list[Payload] = []
        for item, (payload, found) in enumerate(payloads, self._size):
            if found or self._needs:
                needs = [f.reference for f in (*found, *self._needs) if not f.arrived]
                if needs:
                    waits[item] = needs
            for future in found:
                future.check_owner(self._runtime)
            if found:
                self._check_may_hold(item in waits)
            if found:
                self._keep(item - len(plain), plain)
                self._keep(item, [payload], found)
                plain = []
            else:
                plain.append(payload)
        size = self._size + len(values)
        self._keep(size - len(plain), plain)
        self._add(Grow(self._job, size, waits, list(broken), self._lies(values)), broken)
        return sum(payload.nbytes for payload, _ in payloads)

    def _check_may_hold(self, waits: bool) -> None:
        """Whether an input may hold futures. Raises UsageError."""
        if self._runtime.keeps_inputs:
            raise UsageError(
                "inputs of a map on a node cannot hold futures: give it their results; what was "
                "put goes with the function, as in functools.partial(function, value)"
            )
        if waits and self.places is not None:
            raise UsageError(
                "data= is asked where an input lies before its futures are done: give it their "
                "results"
            )

    def _keep(
        self, start: int, payloads: Sequence[Payload], futures: Sequence[Future[Any]] = ()
    ) -> None:
        if payloads:
            payload = payloads[0] if len(payloads) == 1 else join(payloads)
            self._blocks.add(start, payload, futures=futures)

    def _add(self, event: Grow, broken: Mapping[int, Failure] = {}) -> None:
        with self._lock:
            if not self._closed:
                self._size = event.size
                self._runtime.grow(event, broken)

    def seal(self) -> None:
        """There are no further inputs."""
        self._results.total = self._size
        self._runtime.tell(Seal(self._job))

    def close(self, whole: bool = True) -> None:
        """Nothing more comes, whatever the feeder still reads. Not `whole`: they broke off."""
        with self._lock:
            self._closed = True  # a job that is sealed must not grow
        self._results.total = self._size
        self._runtime.tell(Seal(self._job, whole))

    def cancel(self) -> None:
        """Stop the job for good."""
        self._runtime.tell(CancelJob(self._job))

    def abandon(self) -> None:
        """Nobody wants results any more."""
        self.cancel()

    recorded = False  # whether results can be read again
    fold_print = b""  # what folds results: its fingerprint, if it is recorded

    def check_fold(self, function: Callable[[Any, Any], Any]) -> None:
        """Raises if results cannot be folded by this function."""

    @property
    def exact(self) -> int | None:
        """How many items the next block must hold, if that is given."""
        return None

    def cancel_ready(self) -> None:
        """Cancel what has not begun; what runs goes on."""
        self._runtime.tell(CancelItems(self._job, 0, self._size))

    # --- for the runtime ------------------------------------------------------------------------
    def work(self, grant: Grant) -> Work:
        blocks = self._blocks.within(grant.start, grant.stop)
        futures = [*self._needs, *(future for block in blocks for future in block.futures)]
        values: dict[tuple[str, int], Payload] = {
            f.reference: f.payload() for f in futures if f.arrived
        }
        return Work(
            lease=grant.lease, start=grant.start, stop=grant.stop, program=self.program,
            blocks=[block.block() for block in blocks], attempts=grant.attempts, values=values,
        )  # fmt: skip

    def grown(self, size: int) -> Payload:
        """The inputs that came last, when the job grew to this size."""
        payload = self._blocks.at(self._grown).payload
        self._grown = size
        assert isinstance(payload, Payload)
        return payload

    def committed(
        self, start: int, stop: int, payload: Payload | Kept, first: int | None, kept: Kept | None
    ) -> None:
        self._blocks.settle(start, stop)
        crowded = self._results.held_bytes > limits.WINDOW_BYTES
        self._deliver(Part(start, stop, kept if crowded and kept else payload, first, None))
        self.hungry()

    def failed(self, start: int, stop: int, failure: Failure) -> None:
        if self._raising:
            self._results.fail(failure)
        self._blocks.settle(start, stop)
        self._deliver(Part(start, stop, None, None, failure))
        self.hungry()

    def _deliver(self, part: Part) -> None:
        self._results.add(part)

    def ended(self, state: JobState, error: BaseException | None) -> None:
        self._blocks.clear()
        self._results.end(state, error)
        self._over = True
        for callback in self._on_end:
            callback()

    def why(self) -> list[str]:
        return self.waits()


def dump_each_input(
    values: Sequence[Any], start: int, name: str
) -> tuple[list[tuple[Payload, Sequence[Future[Any]]]], dict[int, Failure]]:
    """Inputs one by one, each with the futures in it, and the failures of those that cannot
    travel: such a one, or one that cannot be read there, costs only itself."""
    payloads: list[tuple[Payload, Sequence[Future[Any]]]] = []
    broken: dict[int, Failure] = {}
    small = False
    with collecting() as found:
        for item, value in enumerate(values, start):
            try:
                payload = dump_one(value, small=small)
                small = payload.bulk is None
            except PickleError as error:
                broken[item] = argument_failure(name, item, error)
                payload = dump_one(Unsent(str(error)))
            payloads.append((payload, tuple(found)))
            found.clear()
    return payloads, broken


def dump_inputs(
    values: Sequence[Any], start: int, each: bool, name: str
) -> tuple[Payload, dict[int, Failure], bool]:
    """A block of inputs as one payload, what cannot travel, and whether there are futures."""
    payload = None if each else dump_flat(values)
    if payload is not None:
        return payload, {}, False
    payloads, broken = dump_each_input(values, start, name)
    return join([one for one, _ in payloads]), broken, any(found for _, found in payloads)
