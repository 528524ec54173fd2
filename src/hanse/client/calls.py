"""Submitted calls: one growing job whose items are calls with a future each.

A burst of submits becomes one growth of the job and a few leases; what is paid per call is one
pickle and one future. Calls with equal options share a job.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from hanse.client.functions import ByValue, for_call
from hanse.client.future import Future, Told
from hanse.core.events import CancelItems, CancelJob, Grow, Seal
from hanse.core.messages import Grant
from hanse.engines.port import Block, Program, Work
from hanse.errors import ClientClosed, JobCancelled
from hanse.ids import JobId
from hanse.model.failure import Cause, Failure
from hanse.model.job import JobState
from hanse.payloads.callblocks import CallBlock, Reference, pack_calls
from hanse.payloads.functions import name_of
from hanse.payloads.payload import Payload, dump_one, items, join
from hanse.payloads.references import PUT, collecting
from hanse.runtime.reported import argument_failure
from hanse.runtime.runner import Runner

if TYPE_CHECKING:
    from hanse.records.record import Kept

_logger = logging.getLogger("hanse")


class _Call:
    __slots__ = ("by_value", "function", "future", "gone", "needs", "payload", "started")

    def __init__(self, future: Future[Any], function: Any) -> None:
        self.future = future
        self.function = function
        self.by_value: ByValue | None = None
        self.payload: Payload | None = None  # None: its arguments cannot travel
        self.needs: Sequence[Future[Any]] = ()
        self.started = False  # its future is running, or done
        self.gone = False  # its future was cancelled, and whoever waits has been told


class CallSource:
    """The runtime's view of the calls (see `runtime.source.Source`)."""

    def __init__(self, runtime: Runner, job: JobId, program: Program) -> None:
        self._runtime = runtime
        self.job = job
        self.program = program
        self._aborted: BaseException | None = None  # what the calls that run are told at the end
        self._calls: dict[int, _Call] = {}
        self._unsent: list[tuple[int, _Call]] = []
        self._failures: dict[int, Failure] = {}
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._flushing = False
        self._grown = 0  # calls that a node was given
        self._given: set[Any] = set()  # functions and put values that it has
        self._small = True  # the arguments of the last call
        self._sealed = False
        self._over = threading.Event()
        self._told: BaseException = ClientClosed("this client was closed")  # to calls after the end

    # --- for any thread -------------------------------------------------------------------------
    def submit(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Add a call. Arguments are pickled here and now, so later changes do not matter.

        Raises PickleError if the function cannot travel, RuntimeError after `seal`.
        """
        by_value = for_call(function)
        target = by_value.key if by_value is not None else function
        error: Exception | None = None
        payload = None
        with collecting() as found:
            try:
                payload = dump_one((target, args, kwargs), small=self._small)
                self._small = payload.bulk is None
            except Exception as caught:  # noqa: BLE001 - it becomes the future's exception
                error = caught
        for needed in found:
            needed.check_owner(self._runtime)
        with self._lock:
            if self._sealed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            index = next(self._count)
            future: Future[Any] = Future((self.job, index), self._cancel, self._runtime)
            call = _Call(future, function)
            call.payload, call.by_value = payload, by_value
            if found or (by_value is not None and by_value.needs):
                call.needs = (*found, *(by_value.needs if by_value is not None else ()))
            if error is not None:
                self._failures[index] = argument_failure(name_of(function), index, error)
            self._unsent.append((index, call))
            if self._flushing:
                return future
            self._flushing = True
        self._runtime.loop.post(self._flush)
        return future

    def refused(self, error: Exception) -> Future[Any]:
        """The future of a call whose function cannot be sent: it is done, and failed."""
        future: Future[Any] = Future((self.job, -1), self._cancel, self._runtime)
        future.set_running_or_notify_cancel()
        future.set_exception(error)
        return future

    def _cancel(self, index: int) -> None:
        self._runtime.tell(CancelItems(self.job, index, index + 1))

    def seal(self) -> None:
        """No more calls will come."""
        with self._lock:
            if self._sealed:
                return
            self._sealed = True
        self._runtime.loop.post(self._flush)
        self._runtime.tell(Seal(self.job))

    def cancel_pending(self) -> None:
        """Cancel the calls that no worker has been given."""
        with self._lock:
            calls = [*self._calls.values(), *(call for _, call in self._unsent)]
        for call in calls:
            call.future.cancel()

    def abort(self, error: BaseException) -> None:
        """Stop what runs: its futures get the error, all others are cancelled."""
        self._aborted = error
        self._runtime.tell(CancelJob(self.job))

    @property
    def over(self) -> bool:
        """Whether the job of these calls has ended: further ones need another."""
        return self._over.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the calls are done, after `seal`."""
        self._runtime.check_can_wait()
        return self._over.wait(timeout_s)

    # --- for the runtime ------------------------------------------------------------------------
    def _flush(self) -> None:
        """Hand everything that was submitted since the last time to the home."""
        with self._lock:
            self._flushing = False
            unsent, self._unsent = self._unsent, []
            if not self.over:
                self._calls.update(unsent)
        if self.over:
            for _, call in unsent:
                _set(call, None, self._told)
            return
        waits: dict[int, list[tuple[JobId, int]]] = {}
        broken: list[int] = []
        index = -1
        for index, call in unsent:
            if call.payload is None:
                broken.append(index)
            if call.needs:
                open_needs = [f.reference for f in call.needs if not f.arrived]
                if open_needs:
                    waits[index] = open_needs
        if unsent:
            self._runtime.handle(Grow(self.job, index + 1, waits, broken))

    def work(self, grant: Grant) -> Work:
        payloads: list[Payload] = []
        skip: list[int] = []
        functions: dict[int, Payload] = {}
        values: dict[tuple[str, int], Payload] = {}
        links: dict[int, int] = {}
        for index in range(grant.start, grant.stop):
            call = self._calls.get(index)
            if call is not None and call.needs and not self._has_needs(grant, index, call):
                self._fail_for_need(index, call)  # cancelled when its lease was out already
                call = None
            if call is None or call.payload is None or not _begin(call):
                skip.append(index)
                payloads.append(_NOTHING)
                continue
            payloads.append(call.payload)
            if call.by_value is not None:
                functions[call.by_value.key] = call.by_value.payload
            for future in call.needs:
                if future.arrived:
                    values[future.reference] = future.payload()
                else:
                    links[future.reference[1]] = index
        return Work(
            lease=grant.lease, start=grant.start, stop=grant.stop, program=self.program,
            blocks=[Block(grant.start, join(payloads))], attempts=grant.attempts,
            skip=frozenset(skip), functions=functions, values=values, links=links,
        )  # fmt: skip

    def _has_needs(self, grant: Grant, index: int, call: _Call) -> bool:
        """Whether all that the call needs is there, or comes before it in the same lease."""
        for need in call.needs:
            if not need.arrived:
                job, item = need.reference
                inside = job == self.job and grant.start <= item < index
                if not inside or need.done():
                    return False
        return True

    def _fail_for_need(self, index: int, call: _Call) -> None:
        del self._calls[index]
        failure = Failure(
            cause=Cause.DEPENDENCY, function=name_of(call.function), item=index,
            message="an argument of it was cancelled",
        )  # fmt: skip
        _set(call, None, Told(failure, call.needs))

    def grown(self, size: int) -> Payload:
        """The calls that came last, with all that they refer to and that was not given before."""
        first, self._grown = self._grown, size
        keys: list[int] = []
        functions: dict[int, Payload] = {}
        values: dict[Reference, Payload] = {}
        needs: dict[int, list[Reference]] = {}
        calls = [self._calls[index] for index in range(first, size)]
        for place, call in enumerate(calls):
            by_value = call.by_value
            keys.append(by_value.key if by_value is not None else 0)
            if by_value is not None and by_value.key not in self._given:
                functions[by_value.key] = by_value.payload
            for need in call.needs:
                needs.setdefault(place, []).append(need.reference)
                if need.arrived and need.reference not in self._given:
                    values[need.reference] = need.payload()
        self._given.update(functions, [ref for ref in values if ref[0] == PUT])
        payloads = [_NOTHING if call.payload is None else call.payload for call in calls]
        return pack_calls(CallBlock(payloads, keys, functions, values, needs))

    def committed(
        self, start: int, stop: int, payload: Payload | Kept, first: int | None, kept: Kept | None
    ) -> None:
        assert first is not None
        payload = payload if isinstance(payload, Payload) else payload.read()
        values = (payload,) if payload.count == 1 else islice(items(payload), first, None)
        for index, value in zip(range(start, stop), values, strict=False):
            call = self._calls.pop(index, None)
            if call is not None:
                _set(call, value, None)

    def failed(self, start: int, stop: int, failure: Failure) -> None:
        for index in range(start, stop):
            call = self._calls.pop(index, None)
            if call is None:
                continue
            known = self._failures.pop(index, None) or msgspec.structs.replace(
                failure, function=name_of(call.function), item=index
            )
            if known.cause is Cause.CANCELLED:
                _cancelled(call)
                continue
            # Told as it came: what the user's classes do when it is read is for who asks.
            _set(call, None, Told(known, call.needs if known.cause is Cause.DEPENDENCY else ()))

    def why(self) -> list[str]:
        return []

    def ended(self, state: JobState, error: BaseException | None) -> None:
        told = error or self._aborted or JobCancelled("the client was closed")
        with self._lock:
            calls, self._calls = self._calls, {}
            self._told = told if error is not None else ClientClosed("this client was closed")
            self._over.set()
        for call in calls.values():
            if error is not None or not _cancelled(call):
                _set(call, None, told)


_NOTHING = dump_one(None)


def _begin(call: _Call) -> bool:
    """Mark the call's future as running; False if it was cancelled."""
    if not call.started and not call.gone:
        call.started = call.future.set_running_or_notify_cancel()
        call.gone = not call.started
    return call.started


def _cancelled(call: _Call) -> bool:
    """Cancel the call's future for good; False if it runs."""
    if not call.gone and not call.started and call.future.withdraw():
        call.gone = True
        call.future.set_running_or_notify_cancel()
    return call.gone


def _set(call: _Call, payload: Payload | None, error: BaseException | None) -> None:
    if not _begin(call):
        return
    try:
        if error is not None:
            call.future.set_exception(error)
        else:
            call.future.arrive(payload)
    except Exception:
        _logger.exception("hanse: a future was set from outside: %r", call.future)
    except BaseException:
        _logger.exception("hanse: a done-callback left with an exit: %r", call.future)
