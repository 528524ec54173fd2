"""A node's job of single calls: each says what it calls, and may refer to results of others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hanse import limits
from hanse.core.messages import Grant
from hanse.engines.port import Block, Program, Work
from hanse.errors import UsageError
from hanse.ids import JobId
from hanse.model.data import Lies
from hanse.model.failure import Failure
from hanse.node.held import Counts, Held
from hanse.payloads.callblocks import CallBlock, Reference, unpack_calls
from hanse.payloads.payload import Payload, dump_one, items, join
from hanse.payloads.references import PUT
from hanse.payloads.unsent import Unsent
from hanse.runtime.blocks import Inputs
from hanse.runtime.runtime import Runtime

if TYPE_CHECKING:
    from hanse.records.record import JobRecord, Kept


class HeldCalls(Held):
    """
    Args:
        find: the calls of another job, whose results are arguments here.
    """

    def __init__(
        self, runtime: Runtime, id: JobId, program: Program, record: JobRecord | None, again: bool,
        counts: Counts, *, find: Callable[[JobId], HeldCalls | None],
    ) -> None:  # fmt: skip
        self._find = find
        self._functions: dict[int, Payload] = {}
        self._puts: dict[Reference, Payload] = {}
        self._known: dict[int, CallBlock] = {}  # blocks that were taken apart, by start
        # Results: stops[n] is the end of the segment whose payload, and number of its first
        # result, are parts[n]; in order of items.
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._parts: list[tuple[Payload | Kept, int]] = []
        self._held_bytes = 0
        super().__init__(runtime, id, program, record, again, counts)
        if record is not None:
            for block in record.blocks:
                self._learn(unpack_calls(block.kept.read()))
            for part in record.parts():
                if part.kept is not None:
                    self._add_results(part.start, part.stop, part.kept, part.kept.stored.first or 0)

    # --- for clients ----------------------------------------------------------------------------
    def feed(
        self, feeder: int, start: int, stop: int, payload: Payload, broken: Mapping[int, Failure],
        waits: Mapping[int, Sequence[tuple[JobId, int]]], data: Sequence[Lies] = (),
    ) -> int:  # fmt: skip
        try:
            block = unpack_calls(payload)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if len(block.calls) != stop - start:
            raise UsageError(f"{len(block.calls)} calls are not the items {start} to {stop}")
        for item, refs in waits.items():
            if any(job == self.id and not 0 <= needed < item for job, needed in refs):
                raise UsageError(f"item {item} waits for one that does not come before it")
        with self._feeds:
            self.check(feeder)
            self._learn(block)  # first: once it is taken it may be granted
            return self._take(feeder, start, stop, payload, broken, waits, data)

    def _learn(self, block: CallBlock) -> None:
        """What later blocks may refer to as well."""
        self._functions.update(block.functions)
        self._puts.update({ref: value for ref, value in block.values.items() if ref[0] == PUT})

    # --- for the runtime ------------------------------------------------------------------------
    def work(self, grant: Grant) -> Work:
        calls: list[Payload] = []
        functions: dict[int, Payload] = {}
        values: dict[Reference, Payload] = {}
        links: dict[int, int] = {}
        for inputs in self._blocks.within(grant.start, grant.stop):
            block = self._block(inputs)
            first, last = max(grant.start, inputs.start), min(grant.stop, inputs.stop)
            for item in range(first, last):
                call, key = block.calls[item - inputs.start], block.keys[item - inputs.start]
                if key in self._functions:
                    functions[key] = self._functions[key]
                for ref in block.needs.get(item - inputs.start, ()):
                    job, needed = ref
                    value = block.values.get(ref) or self._value(ref)
                    if value is not None:
                        values[ref] = value
                    elif job == self.id and grant.start <= needed < item:
                        links[needed] = item
                    else:
                        call = dump_one(Unsent(f"the result of item {needed} of {job} is lost"))
                calls.append(call)
        return Work(
            lease=grant.lease, start=grant.start, stop=grant.stop, program=self.program,
            blocks=[Block(grant.start, join(calls))], attempts=grant.attempts,
            functions=functions, values=values, links=links,
        )  # fmt: skip

    def _block(self, inputs: Inputs) -> CallBlock:
        """Raises JournalError if it is in the journal and cannot be read."""
        if inputs.start not in self._known:
            self._known[inputs.start] = unpack_calls(inputs.block().payload)
        return self._known[inputs.start]

    def _value(self, ref: Reference) -> Payload | None:
        job, item = ref
        if job == PUT:
            return self._puts.get(ref)
        there = self if job == self.id else self._find(JobId(job))
        return there.result(item) if there is not None else None

    def result(self, item: int) -> Payload | None:
        """What the item returned; None if nothing is known of it. Raises JournalError."""
        at = bisect_right(self._starts, item) - 1
        if at < 0 or item >= self._stops[at]:
            return None
        payload, first = self._parts[at]
        whole = payload if isinstance(payload, Payload) else payload.read()
        wanted = first + item - self._starts[at]
        if whole.count == 1:
            return whole
        return next(one for number, one in enumerate(items(whole)) if number == wanted)

    def decided(self, start: int, stop: int, payload: Payload, first: int | None) -> None:
        self._add_results(start, stop, payload, first or 0)
        self._held_bytes += payload.nbytes

    def committed(
        self, start: int, stop: int, payload: Payload | Kept, first: int | None, kept: Kept | None
    ) -> None:
        super().committed(start, stop, payload, first, kept)
        if kept is not None and self._held_bytes > limits.FOLLOWED_BYTES:
            self._held_bytes -= payload.nbytes
            self._parts[bisect_right(self._starts, start) - 1] = (kept, first or 0)
        self._let_go()

    def failed(self, start: int, stop: int, failure: Failure) -> None:
        super().failed(start, stop, failure)
        self._let_go()

    def _add_results(self, start: int, stop: int, payload: Payload | Kept, first: int) -> None:
        at = bisect_right(self._starts, start)
        self._starts.insert(at, start)
        self._stops.insert(at, stop)
        self._parts.insert(at, (payload, first))

    def _let_go(self) -> None:
        """Of the blocks of which nothing is open."""
        for start in [start for start in self._known if not self._blocks.has(start)]:
            del self._known[start]
