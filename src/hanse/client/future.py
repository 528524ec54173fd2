"""The future of one submitted call: a `concurrent.futures.Future` that can also be awaited.

Its result stays encoded until somebody asks for it, and is decoded in the thread that asks: results
that only feed other calls are never decoded here at all.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar, cast

from hanse.errors import JobCancelled, PickleError, UsageError
from hanse.ids import JobId
from hanse.model.failure import Failure
from hanse.payloads import references
from hanse.payloads.exceptions import to_exception
from hanse.payloads.payload import Payload, load_one

T = TypeVar("T")

_UNREAD: Any = object()


class Told(Exception):
    """A failure as it was told, in place of the exception that it will be read into."""

    def __init__(self, failure: Failure, needs: Sequence[Future[Any]] = ()) -> None:
        self.failure = failure
        self.needs = needs  # futures among which is the one that failed first

    def read(self) -> BaseException:
        """The exception that the caller gets."""
        error = to_exception(self.failure)
        need = self.failed_need()
        if need is not None:
            cancelled = need.cancelled()
            error.__cause__ = JobCancelled("cancelled") if cancelled else need.exception()
        return error

    def failed_need(self) -> Future[Any] | None:
        """The first of the needed futures that failed."""
        return next((n for n in self.needs if n.done() and not n.arrived), None)


class Future(concurrent.futures.Future[T]):
    """The result of `Client.submit`, now or later.

    All of `concurrent.futures.Future` holds. In a coroutine, `await future` waits for it. As an
    argument, anywhere inside the arguments of another call, it stands for its result.
    """

    def __init__(
        self, reference: tuple[JobId, int], on_cancel: Callable[[int], None], owner: object
    ) -> None:
        super().__init__()
        self.reference = reference
        self.arrived = False  # it has a result, encoded or not
        self._on_cancel = on_cancel
        self._owner = owner
        self._value: Any = _UNREAD
        self._error: BaseException | None = None

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result. Raises what the call raised, CancelledError or TimeoutError."""
        if self._value is _UNREAD and (error := self.exception(timeout)) is not None:
            raise error
        return cast(T, self._value)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, and return what the call raised, or None."""
        told = super().exception(timeout)
        if told is None:
            if self._is_unread():
                self._read(self.payload())
            return self._error
        path: list[Future[Any]] = [self]  # to the failure that the others come from, not recursive
        while (need := path[-1]._unread_need()) is not None:
            path.append(need)
        while path:
            path.pop()._read_own()
        return self._error

    def _unread_need(self) -> Future[Any] | None:
        """The failed future that this one's failure comes from, if it was not read yet."""
        told = super().exception(0)
        need = told.failed_need() if isinstance(told, Told) else None
        return need if need is not None and need._is_unread() and not need.cancelled() else None

    def _is_unread(self) -> bool:
        return self._value is _UNREAD and self._error is None

    def _read_own(self) -> None:
        if self._is_unread():
            error = super().exception(0)
            if isinstance(error, Told):
                self._error = error.read()
            elif error is not None:
                self._error = error
            else:
                self._read(self.payload())

    def _read(self, payload: Payload) -> None:
        try:
            self._value = load_one(payload)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's classes raise
            from hanse.client.unreadable import unreadable

            self._error = unreadable(self.reference[1], error)

    def arrive(self, payload: Payload | None) -> None:
        """The result is there, encoded."""
        self.set_result(payload)  # type: ignore[arg-type]
        self.arrived = True

    def payload(self) -> Payload:
        """The result as it travels; the future is done and did not fail."""
        return cast(Payload, super().result(0))

    def check_owner(self, owner: object) -> None:
        """Refuse to be an argument for another client's workers. Raises UsageError."""
        if self._owner is not owner and self.reference[0] != references.PUT:
            raise UsageError("this future belongs to another client: ask it for its result() first")

    def cancel(self) -> bool:
        """Cancel the call if it has not been handed to a worker yet."""
        first = not self.cancelled()
        cancelled = super().cancel()
        if cancelled and first:
            self._on_cancel(self.reference[1])
        return cancelled

    def withdraw(self) -> bool:
        """Cancel, where the home knows of it already."""
        return super().cancel()

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # 30 ms that a program without coroutines need not pay

        return asyncio.wrap_future(self).__await__()

    def __reduce__(self) -> tuple[Any, ...]:
        if references.inlines():
            return references.same, (load_one(self.payload()),)
        if not references.note(self):
            raise PickleError(
                "a future can only travel inside the arguments of submit or map: ask it for its "
                "result() first"
            )
        return references.resolve, self.reference
