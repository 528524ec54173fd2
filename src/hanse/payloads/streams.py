"""Values pickled one at a time, long before they are sent together.

What a result was when its item returned is what the caller must get, whatever later items do to
the same object. So each is pickled at once, its large buffers copied into a file that many share.
"""

from __future__ import annotations

from itertools import accumulate

from hanse.payloads.files import File
from hanse.payloads.payload import Bulk, Payload, refused, words
from hanse.payloads.pickling import loads, small_stream, stream_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from hanse.payloads.payload import Span

    # A stream, or a stream with its large buffers: file, offset and length of each.
    Encoded = bytes | tuple[bytes, tuple[tuple[File, int, int], ...]]


class Encoder:
    """Pickles values. Their buffers go into one file until `renew` begins another."""

    def __init__(self) -> None:
        self._file: File | None = None
        self._small = False  # the last value was

    def renew(self) -> None:
        """The file is about to be sent: what comes from now on goes into another."""
        self._file = None

    def encode(self, value: Any) -> tuple[Encoded, int]:
        """The value as it is now, and its size. Raises PickleError."""
        if self._small and (data := small_stream(value)) is not None:
            return data, len(data)
        try:
            data, buffers = stream_of(value)
        except BaseException as error:
            raise refused(error, words(value)) from error
        self._small = not buffers
        if not buffers:
            return data, len(data)
        file = self._file = self._file or File.empty()
        places = tuple((file, *file.append(buffer)) for buffer in buffers)
        return (data, places), len(data) + sum(length for _, _, length in places)


def gathered(encoded: Sequence[Encoded]) -> Payload:
    """One payload of values that were pickled one by one."""
    files: dict[File, int] = {}
    spans: dict[int, tuple[Span, ...]] = {}
    parts: list[bytes] = []
    for index, one in enumerate(encoded):
        if type(one) is tuple:
            one, places = one
            spans[index] = tuple(
                (files.setdefault(file, len(files)), at, size) for file, at, size in places
            )
        parts.append(one)  # type: ignore[arg-type]
    ends = tuple(accumulate(map(len, parts)))
    return Payload(len(parts), b"".join(parts), ends, Bulk(tuple(files), spans) if files else None)


class Reader:
    """Reads values of a payload one by one, each time anew: what is done to one stays private."""

    def __init__(self, payload: Payload) -> None:
        assert payload.ends is not None
        self._ends = payload.ends
        self._bulk = payload.bulk
        self._data = memoryview(payload.data)

    def __call__(self, index: int) -> Any:
        """One value. Raises what unpickling raises."""
        begin = self._ends[index - 1] if index else 0
        buffers = self._bulk.buffers(index, {}) if self._bulk else ()
        return loads(self._data[begin : self._ends[index]], buffers=buffers)
