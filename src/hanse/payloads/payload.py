"""Values as bytes that can be sent any number of times.

A payload is one pickle stream of a whole sequence (small and fast), or every value pickled by
itself (so that one value which cannot be read costs only itself). Large buffers travel beside the
stream in an anonymous file. Plain C pickle comes first; what belongs to `__main__`, or what plain
pickle refuses, goes by value with cloudpickle, which costs 20 ms to import and is 20 times slower.

Workers import this module before anything of the user, so it imports nothing heavy.
"""

from __future__ import annotations

from _operator import sub
from itertools import accumulate

from hanse.payloads.files import File
from hanse.payloads.pickling import loads, small_stream, stream_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

Span = tuple[int, int, int]  # file, offset, length


class Bulk:
    """The large buffers of a payload: files, and for each stream its spans in them."""

    __slots__ = ("files", "spans")

    def __init__(self, files: tuple[File, ...], spans: Mapping[int, tuple[Span, ...]]) -> None:
        self.files = files
        self.spans = spans

    @property
    def nbytes(self) -> int:
        return sum(length for spans in self.spans.values() for _, _, length in spans)

    def buffers(self, stream: int, views: dict[int, memoryview]) -> list[memoryview]:
        """The buffers of one stream. `views` keeps each file mapped once over several streams."""
        found = []
        for number, offset, length in self.spans.get(stream, ()):
            if number not in views:
                views[number] = self.files[number].view()
            found.append(views[number][offset : offset + length])
        return found


class Payload:
    """`count` values. `ends` is None for one stream, else the end of each value's own stream.

    The streams are bytes, or the first `stream_bytes` of a file if they came in one.
    """

    __slots__ = ("_data", "bulk", "count", "ends", "stream", "stream_bytes")

    def __init__(
        self, count: int, data: bytes, ends: tuple[int, ...] | None = None, bulk: Bulk | None = None
    ) -> None:
        self.count = count
        self._data = data
        self.ends = ends
        self.bulk = bulk
        self.stream: File | None = None
        self.stream_bytes = len(data)

    @classmethod
    def in_file(
        cls,
        count: int,
        stream: File,
        stream_bytes: int,
        ends: tuple[int, ...] | None,
        bulk: Bulk | None,
    ) -> Payload:
        """A payload whose streams arrived in a file; it is mapped when they are read."""
        payload = cls(count, b"", ends, bulk)
        payload.stream, payload.stream_bytes = stream, stream_bytes
        return payload

    @property
    def data(self) -> bytes | memoryview:
        """The streams."""
        if self.stream is None:
            return self._data
        return self.stream.view()[: self.stream_bytes]

    @property
    def nbytes(self) -> int:
        return self.stream_bytes + (self.bulk.nbytes if self.bulk else 0)

    def __repr__(self) -> str:
        return f"Payload({self.count} values, {self.nbytes} bytes)"


def _bulk(buffers: Mapping[int, Sequence[Any]]) -> Bulk | None:
    """One file for the buffers of all streams."""
    if not buffers:
        return None
    file, places = File.of([buffer for some in buffers.values() for buffer in some])
    left = iter(places)
    spans = {stream: tuple((0, *next(left)) for _ in some) for stream, some in buffers.items()}
    return Bulk((file,), spans)


# --- dumping --------------------------------------------------------------------------------------
def dump_batch(values: Sequence[Any]) -> Payload:
    """All values as one stream. A range stays a range. Raises PickleError."""
    try:
        data, buffers = stream_of(values)
    except BaseException as error:
        raise refused(error, "these values") from error
    return Payload(len(values), data, None, _bulk({0: buffers} if buffers else {}))


def dump_each(values: Sequence[Any]) -> Payload:
    """Every value by itself. Raises PickleError for the first that cannot travel."""
    parts, ends, end = [], [], 0
    bulk: dict[int, list[Any]] = {}
    for index, value in enumerate(values):
        try:
            data, buffers = stream_of(value)
        except BaseException as error:
            raise refused(error, words(value)) from error
        parts.append(data)
        end += len(data)
        ends.append(end)
        if buffers:
            bulk[index] = buffers
    return Payload(len(parts), b"".join(parts), tuple(ends), _bulk(bulk))


def dump_one(value: Any, *, small: bool = False) -> Payload:
    """One value by itself. Raises PickleError. `small`: those before it held no large buffers."""
    if small and (stream := small_stream(value)) is not None:
        return Payload(1, stream, (len(stream),))
    try:
        data, buffers = stream_of(value)
    except BaseException as error:
        raise refused(error, words(value)) from error
    return Payload(1, data, (len(data),), _bulk({0: buffers}) if buffers else None)


def words(value: Any) -> str:
    """A few words that tell people which object it was."""
    if callable(value):
        from hanse.payloads.functions import name_of

        return name_of(value)
    try:
        text = repr(value)
    except BaseException:  # noqa: BLE001 - a broken __repr__ must not hide the error
        text = "..."
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"{text} ({type(value).__module__}.{type(value).__qualname__})"


def refused(error: BaseException, what: str) -> BaseException:
    """A PickleError in words, or the error itself if it is none of pickling's business."""
    if not isinstance(error, Exception):
        return error
    from hanse.errors import PickleError
    from hanse.payloads.exceptions import message_of

    why = f"{type(error).__name__}: {message_of(error)}"
    return PickleError(f"{what} cannot be sent to another process: {why}")


# --- loading --------------------------------------------------------------------------------------
def load(payload: Payload, loads: Callable[..., Any] = loads) -> Sequence[Any]:
    """All values. Raises what unpickling raises. `loads` reads one stream."""
    bulk = payload.bulk
    if payload.ends is None:
        values: Sequence[Any] = loads(payload.data, buffers=bulk.buffers(0, {}) if bulk else ())
        return values
    if bulk is None:
        return list(map(loads, streams(payload)))
    return list(map(loads_with(bulk, loads), range(payload.count), streams(payload)))


def load_each(
    payload: Payload,
    broken: Callable[[BaseException], Any],
    loads: Callable[..., Any] = loads,
) -> Sequence[Any]:
    """Like `load`, with `broken(error)` in place of each value that cannot be read."""
    if payload.ends is None:
        return load(payload, loads)
    load_stream = loads_with(payload.bulk, loads)
    values = []
    for index, stream in enumerate(streams(payload)):
        try:
            values.append(load_stream(index, stream))
        except BaseException as error:  # noqa: BLE001 - the caller reports it as the item's failure
            values.append(broken(error))
    return values


def load_one(payload: Payload, index: int = 0) -> Any:
    """One value. Raises what unpickling raises."""
    if payload.ends is None:
        return load(payload)[index]
    begin = payload.ends[index - 1] if index else 0
    stream = memoryview(payload.data)[begin : payload.ends[index]]
    return loads(stream, buffers=payload.bulk.buffers(index, {}) if payload.bulk else ())


def streams(payload: Payload) -> Iterator[memoryview]:
    """The stream of every value. A file is mapped once for all of them, not for each."""
    assert payload.ends is not None
    data = memoryview(payload.data)
    return map(data.__getitem__, map(slice, (0, *payload.ends), payload.ends))


def loads_with(
    bulk: Bulk | None, loads: Callable[..., Any] = loads
) -> Callable[[int, memoryview], Any]:
    """What reads the value of a number from its stream; its values may share mapped files."""
    views: dict[int, memoryview] = {}
    return lambda index, stream: loads(
        stream, buffers=bulk.buffers(index, views) if bulk is not None else ()
    )


# --- joining and taking apart --------------------------------------------------------------------
def join(payloads: Sequence[Payload]) -> Payload:
    """One payload with the values of all; each of them must hold every value by itself."""
    if len(payloads) == 1 and payloads[0].ends is not None:
        return payloads[0]
    lengths: list[int] = []  # of each value's stream
    files: list[File] = []
    spans: dict[int, tuple[Span, ...]] = {}
    for payload in payloads:
        if payload.ends is None:
            raise ValueError("only payloads with every value by itself can be joined")
        if payload.bulk:
            first, base = len(files), len(lengths)
            files.extend(payload.bulk.files)
            for stream, some in payload.bulk.spans.items():
                spans[base + stream] = tuple((first + n, at, size) for n, at, size in some)
        if payload.count == 1:
            lengths.append(payload.stream_bytes)
        else:
            lengths.extend(map(sub, payload.ends, (0, *payload.ends)))
    data = b"".join([payload.data for payload in payloads])
    bulk = Bulk(tuple(files), spans) if files else None
    return Payload(len(lengths), data, tuple(accumulate(lengths)), bulk)


def items(payload: Payload) -> Iterator[Payload]:
    """Each value of a payload that holds every value by itself, as a payload of its own."""
    if payload.ends is None:
        raise ValueError("only a payload with every value by itself can be taken apart")
    for index, stream in enumerate(streams(payload)):
        data, bulk = bytes(stream), None
        if payload.bulk and (some := payload.bulk.spans.get(index)):
            used = sorted({number for number, _, _ in some})
            files = tuple(payload.bulk.files[number] for number in used)
            bulk = Bulk(files, {0: tuple((used.index(n), at, size) for n, at, size in some)})
        yield Payload(1, data, (len(data),), bulk)
