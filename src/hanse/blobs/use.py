"""How many bytes the blobs take: one number in a file that all programs share.

Bytes are taken before they are written and given back if they are not kept, so a program that is
killed leaves the number too high, never too low; and a number that would refuse somebody is counted
anew from the files first. Only a power failure can leave it too low, by what was written in the
last seconds; the next collection counts again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from hanse.blobs.disk import locked, saying
from hanse.errors import JournalFull
from hanse.limits import MIB

_NUMBER = struct.Struct("<QQ")  # the number and its complement: anything else is no number
_MASK = (1 << 64) - 1


class Use:
    """The number, and the quota that it may not pass. `count` measures the files."""

    def __init__(self, root: Path, quota_bytes: int | None, count: Callable[[], int]) -> None:
        self._root = root
        self._path = root / "used"
        self._quota = quota_bytes
        self._count = count

    def take(self, size: int) -> None:
        """Count `size` bytes that are about to be written. Raises JournalFull over the quota."""
        self._change(size, self._quota)

    def give_back(self, size: int) -> None:
        """They were not written, or are gone."""
        self._change(-size, None)

    def known(self) -> int:
        """The number, without a look at the files unless there is none yet."""
        return self._change(0, None)

    def set(self, used: int) -> None:
        """What somebody counted who was alone with the files."""
        with self._locked() as fd, saying(self._path):
            _write(fd, used)

    def _locked(self) -> AbstractContextManager[int]:
        return locked(self._path, shared=False, awaited="another program that counts its blobs")

    def _change(self, size: int, quota: int | None) -> int:
        with self._locked() as fd, saying(self._path):
            used = _read(fd)
            if used is None or used + size < 0 or (quota is not None and used + size > quota):
                used = self._count()  # a doubt
            if quota is not None and used + size > quota:
                _write(fd, used)
                raise self._full(used, size, quota)
            used = max(0, used + size)
            _write(fd, used)
            return used

    def _full(self, used: int, size: int, quota: int) -> JournalFull:
        return JournalFull(
            f"{self._root}: the quota of {_text(quota)} is reached: blobs and code take "
            f"{_text(used)}, and {_text(size)} more are needed: run `hanse gc` to remove what no "
            f"job refers to, remove old jobs, or set HANSE_QUOTA higher"
        )


def _text(size: int) -> str:
    return f"{size / MIB:,.1f} MiB" if size >= MIB else f"{size:,} bytes"


def _read(fd: int) -> int | None:
    found = os.pread(fd, _NUMBER.size + 1, 0)
    if len(found) != _NUMBER.size:
        return None
    number, complement = _NUMBER.unpack(found)
    return int(number) if number ^ complement == _MASK else None


def _write(fd: int, number: int) -> None:
    os.pwrite(fd, _NUMBER.pack(number, number ^ _MASK), 0)
