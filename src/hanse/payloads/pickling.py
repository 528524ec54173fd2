"""One value to one pickle stream, whichever way works.

Plain C pickle comes first; what belongs to `__main__`, or what plain pickle refuses, goes by value
with cloudpickle, which costs 20 ms to import and is 20 times slower. Large buffers leave the
stream. Workers import this before anything of the user, so it imports nothing heavy.
"""

from __future__ import annotations

from _pickle import PickleBuffer
from _pickle import dumps as dumps
from _pickle import loads as loads

from hanse.limits import OUT_OF_BAND_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROTOCOL = 5
_SMALL = 1024  # where values are this small on average, large ones among them stay in the stream


class _Large:
    """A large bytes or bytearray as an out-of-band buffer; it is rebuilt with one copy."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self.value = value

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return type(self.value), (PickleBuffer(self.value),)


def _is_large(value: Any) -> bool:
    return type(value) in (bytes, bytearray) and len(value) >= OUT_OF_BAND_BYTES


def may_hold_large(data: bytes, value: Any) -> bool:
    """Is it worth looking for large bytes? Looking costs more than pickling many small values."""
    if len(data) < OUT_OF_BAND_BYTES:
        return False
    return type(value) is not list or len(value) * _SMALL < len(data)


def wrapped(value: Any) -> Any:
    """The value with large bytes wrapped, at its top and two levels of tuples and lists down."""
    return _wrap(value, 3)


def _wrap(value: Any, depth: int) -> Any:
    if _is_large(value):
        return _Large(value)
    if depth and type(value) in (tuple, list):
        parts = [_wrap(part, depth - 1) for part in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            return type(value)(parts)
    return value


class _Collector:
    """Decides which buffers leave the stream, and keeps them."""

    __slots__ = ("buffers",)

    def __init__(self) -> None:
        self.buffers: list[Any] = []

    def __call__(self, buffer: Any) -> bool:
        """What pickle asks for each buffer: true keeps it in the stream."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < OUT_OF_BAND_BYTES:
            return True
        self.buffers.append(raw)
        return False


def small_stream(value: Any) -> bytes | None:
    """The same stream as `stream_of`, if it is small and plain pickle does it; else None.

    For values that are likely so: it takes a third of the time, but copies what is large."""
    try:
        data = dumps(value, PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever a __reduce__ raises; `stream_of` may do better
        return None
    return data if len(data) < OUT_OF_BAND_BYTES and b"__main__" not in data else None


def stream_of(value: Any) -> tuple[bytes, list[Any]]:
    """Pickle a value, whichever way works: its stream and its large buffers."""
    collector = _Collector()
    try:
        data = dumps(value, PROTOCOL, buffer_callback=collector)
        if b"__main__" not in data:
            if not may_hold_large(data, value):
                return data, collector.buffers
            return _relieved(value, data, collector.buffers)
    except Exception:  # noqa: BLE001 - whatever a __reduce__ raises; cloudpickle may do better
        pass
    return by_value(value)


def _relieved(value: Any, data: bytes, buffers: list[Any]) -> tuple[bytes, list[Any]]:
    """Dump a large stream again if large bytes in it can travel beside it."""
    lighter = wrapped(value)
    if lighter is value:
        return data, buffers
    collector = _Collector()
    return dumps(lighter, PROTOCOL, buffer_callback=collector), collector.buffers


def by_value(value: Any) -> tuple[bytes, list[Any]]:
    """Pickle with cloudpickle: functions and classes of `__main__` travel by value."""
    import cloudpickle

    collector = _Collector()
    return cloudpickle.dumps(value, PROTOCOL, buffer_callback=collector), collector.buffers
