"""Payloads on disk for a while, in one file without a name: nothing is left when this ends."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, NamedTuple

from hanse import limits
from hanse.errors import WorldError
from hanse.payloads.parcel import Unwrapping, wrap
from hanse.payloads.payload import Payload


class Spilled(NamedTuple):
    """Where a payload is."""

    at: int
    length: int


class Spill:
    """
    Args:
        directory: on the disk that is to be used.
        most: bytes that it may take.
    """

    def __init__(self, directory: Path, most: int) -> None:
        self._directory = directory
        self._most = most
        self._file: IO[bytes] | None = None
        self._end = 0

    def put(self, payload: Payload) -> Spilled | None:
        """Take a payload; None if there is no room for it."""
        if self._end + payload.nbytes > self._most:
            return None
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - see close
            self._file.seek(self._end)
            for piece in wrap(None, [payload]):
                self._file.write(piece)
            self._file.flush()
            end = self._file.tell()
        except OSError:
            return None
        found = Spilled(self._end, end - self._end)
        self._end = end
        return found

    def get(self, place: Spilled) -> Payload:
        """Raises WorldError if the disk cannot be read."""
        assert self._file is not None
        taking = Unwrapping(limits.PARCEL_BYTES)
        try:
            self._file.seek(place.at)
            taking.feed(self._file.read(place.length))
        except OSError as error:
            raise WorldError(f"results that were kept on disk cannot be read: {error}") from error
        taking.end()
        return taking.payloads[0]

    def clear(self) -> None:
        """Nothing of it is needed any more."""
        self._end = 0
        if self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
