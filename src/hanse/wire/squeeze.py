"""Bodies as zstandard, where that pays: between machines, for what is large and compresses.

What is named or checked by a digest is so by its plain bytes; squeezing is a matter of one
connection (`Content-Encoding: zstd`), and one frame is one body. Both ends bound the memory that a
frame may ask for, and what comes out of it is counted before it is kept: a few kilobytes can hold
gigabytes of zeros.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from hanse.errors import WorldError
from hanse.limits import (
    PIECE_BYTES,
    SQUEEZE_BYTES,
    SQUEEZE_PROBE_BYTES,
    SQUEEZE_WINDOW_LOG,
)

ENCODING = "zstd"
_LEVEL = 1  # several hundred MB a second on one core; more saves little and costs much
_PAYS = 0.8  # of its size, or less


class BadEncoding(WorldError):
    """A squeezed body is cut short, damaged, or larger than may be."""

    code = "bad-encoding"


@cache
def _zstd() -> Any:
    """The library, when it is first needed: it takes 5 ms to import."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def accepts(header: str) -> bool:
    """Whether an Accept-Encoding header names zstandard."""
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == ENCODING:
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def pays(data: bytes | memoryview) -> bool:
    """Whether it is large enough and a piece of its middle gets smaller."""
    if len(data) < SQUEEZE_BYTES:
        return False
    at = (len(data) - SQUEEZE_PROBE_BYTES) // 2
    probe = memoryview(data)[at : at + SQUEEZE_PROBE_BYTES]
    return len(squeeze(probe)) <= _PAYS * len(probe)


def squeeze(data: bytes | memoryview) -> bytes:
    """All of it as one frame."""
    return bytes(_zstd().compress(data, level=_LEVEL))


class Squeezer:
    """One frame, in pieces that can each be read when they come."""

    def __init__(self) -> None:
        self._frame = _zstd().ZstdCompressor(level=_LEVEL)

    def piece(self, data: bytes | memoryview) -> bytes:
        return bytes(self._frame.compress(data, self._frame.FLUSH_BLOCK))

    def end(self) -> bytes:
        return bytes(self._frame.flush())


class Expander:
    """The other end. Hands out pieces of at most PIECE_BYTES, so what is not taken costs nothing.

    Args:
        most: bytes that may come out in all; None where whoever takes them counts.
    """

    def __init__(self, most: int | None = None) -> None:
        zstd = _zstd()
        window = {zstd.DecompressionParameter.window_log_max: SQUEEZE_WINDOW_LOG}
        self._frame = zstd.ZstdDecompressor(options=window)
        self._error = zstd.ZstdError
        self._most = most
        self._came = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of this. Raises BadEncoding."""
        while True:
            if self._frame.eof:
                if data or self._frame.unused_data:
                    raise BadEncoding("something comes behind the end of a squeezed body")
                return
            try:
                piece = self._frame.decompress(data, max_length=PIECE_BYTES)
            except self._error as error:
                raise BadEncoding(f"a squeezed body cannot be read: {error}") from error
            self._came += len(piece)
            if self._most is not None and self._came > self._most:
                raise BadEncoding(f"a squeezed body holds more than {self._most:,} bytes")
            if piece:
                yield bytes(piece)
            data = b""
            if not self._frame.eof and (self._frame.needs_input or not piece):
                return

    def end(self) -> None:
        """No more comes. Raises BadEncoding if something is missing."""
        if not self._frame.eof:
            raise BadEncoding("a squeezed body is cut short")


def expand(data: bytes, most: int) -> bytes:
    """All that is in one frame. Raises BadEncoding."""
    expander = Expander(most)
    whole = b"".join(expander.feed(data))
    expander.end()
    return whole
