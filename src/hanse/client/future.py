"""The future of one submitted call: a `concurrent.futures.Future` that can also be awaited.

Its result stays encoded until somebody asks for it, and is decoded in the thread that asks: results
that only feed other calls are never decoded here at all.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

from hanse.errors import PickleError
from hanse.ids import JobId
from hanse.payloads import references
from hanse.payloads.payload import Payload, load_one

T = TypeVar("T")

_UNREAD: Any = object()


class Future(concurrent.futures.Future[T]):
    """The result of `Client.submit`, now or later.

    All of `concurrent.futures.Future` holds. In a coroutine, `await future` waits for it. As an
    argument, anywhere inside the arguments of another call, it stands for its result.
    """

    def __init__(self, reference: tuple[JobId, int], on_cancel: Callable[[int], None]) -> None:
        super().__init__()
        self.reference = reference
        self.arrived = False  # it has a result, encoded or not
        self._on_cancel = on_cancel
        self._value: Any = _UNREAD
        self._unreadable: BaseException | None = None

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result. Raises what the call raised, CancelledError or TimeoutError."""
        payload = super().result(timeout)
        if self._value is _UNREAD:
            self._read(cast(Payload, payload))
        if self._unreadable is not None:
            raise self._unreadable
        return cast(T, self._value)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, and return what the call raised, or None."""
        error = super().exception(timeout)
        if error is None and self._value is _UNREAD:
            self._read(cast(Payload, super().result()))
        return error or self._unreadable

    def _read(self, payload: Payload) -> None:
        try:
            self._value = load_one(payload)
        except Exception as error:  # noqa: BLE001 - whatever the user's classes raise
            from hanse.client.unreadable import unreadable

            self._value, self._unreadable = None, unreadable(self.reference[1], error)

    def payload(self) -> Payload:
        """The result as it travels; the future is done and did not fail."""
        return cast(Payload, super().result(0))

    def cancel(self) -> bool:
        """Cancel the call if it has not been handed to a worker yet."""
        first = not self.cancelled()
        cancelled = super().cancel()
        if cancelled and first:
            self._on_cancel(self.reference[1])
        return cancelled

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # 30 ms that a program without coroutines need not pay

        return asyncio.wrap_future(self).__await__()

    def __reduce__(self) -> tuple[Any, ...]:
        if not references.note(self):
            raise PickleError(
                "a future can only travel inside the arguments of submit or map: ask it for its "
                "result() first"
            )
        return references.resolve, self.reference
