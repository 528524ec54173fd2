"""Payloads on disk for a while, in one file without a name: nothing is left when this ends."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections import deque
from pathlib import Path
from typing import NamedTuple

from hanse import limits
from hanse.errors import WorldError
from hanse.payloads.parcel import Unwrapping, wrap
from hanse.payloads.payload import Payload


class Spilled(NamedTuple):
    """Where a payload is."""

    at: int
    length: int


class Spill:
    """A ring: what was put first is released first, and its room is taken again.

    Args:
        directory: on the disk that is to be used.
        most: bytes that it may take.
    """

    def __init__(self, directory: Path, most: int) -> None:
        self._directory = directory
        self._most = most
        self._file: io.FileIO | None = None
        self._places: deque[Spilled] = deque()  # what is there, the oldest first
        self._closed = False

    def put(self, payload: Payload) -> Spilled | None:
        """Take a payload; None if there is no room for it."""
        pieces = list(wrap(None, [payload]))
        length = sum(map(len, pieces))
        at = self._room(length)
        if at is None or self._closed:
            return None
        try:
            self._write(at, pieces)
        except OSError:
            self._shrink()
            return None
        place = Spilled(at, length)
        self._places.append(place)
        return place

    def _room(self, length: int) -> int | None:
        """Where so many bytes have room: behind the newest, or in front of the oldest."""
        if not self._places:
            return 0 if length <= self._most else None
        first, last = self._places[0].at, self._places[-1]
        end = last.at + last.length
        if last.at < first:  # the newest are in front
            return end if end + length <= first else None
        if end + length <= self._most:
            return end
        return 0 if length <= first else None

    def _write(self, at: int, pieces: list[bytes | memoryview]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        self._file.seek(at)
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[self._file.write(view) :]

    def _shrink(self) -> None:
        """Give the disk back what nothing is in any more."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(max((at + length for at, length in self._places), default=0))

    def get(self, place: Spilled) -> Payload:
        """Raises WorldError if the disk cannot be read, or has something else there."""
        taking = Unwrapping(limits.PARCEL_BYTES)
        try:
            if self._file is None:
                raise OSError("they were let go of")
            self._file.seek(place.at)
            left = place.length
            while left:
                piece = self._file.read(min(left, limits.PIECE_BYTES))
                if not piece:
                    raise OSError("the file is too short")
                taking.feed(piece)
                left -= len(piece)
            taking.end()
            return taking.payloads[0]
        except (OSError, IndexError) as error:
            raise WorldError(f"results that were kept on disk cannot be read: {error}") from error

    def release(self) -> None:
        """The oldest is not needed any more."""
        self._places.popleft()
        if not self._places:
            self._shrink()

    def close(self) -> None:
        self._closed = True
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
