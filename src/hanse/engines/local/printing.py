"""stdout and stderr in a worker: line-buffered, with the current item's last lines kept.

Everything goes on to main through a pipe. The ring only serves errors: a raised exception carries
what its own item printed, and nothing of the item before.
"""

from __future__ import annotations

import io
import sys

from hanse.limits import OUTPUT_TAIL_BYTES, OUTPUT_TAIL_LINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def tail(text: str) -> str:
    """The last lines of a text, within the bounds."""
    return "".join(text[-OUTPUT_TAIL_BYTES:].splitlines(keepends=True)[-OUTPUT_TAIL_LINES:])


class Ring:
    """The last output of the item that runs."""

    def __init__(self, current: Callable[[], int]) -> None:
        self._current = current
        self._item = -1
        self._parts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        item = self._current()
        if item != self._item:
            self._item, self._parts, self._size = item, [], 0
        self._parts.append(text[-OUTPUT_TAIL_BYTES:])
        self._size += len(self._parts[-1])
        if self._size > 4 * OUTPUT_TAIL_BYTES:
            kept = "".join(self._parts)[-OUTPUT_TAIL_BYTES:]
            self._parts, self._size = [kept], len(kept)

    def of(self, item: int) -> str:
        return tail("".join(self._parts)) if item == self._item else ""


class _Tee(io.TextIOWrapper):
    ring: Ring

    def write(self, text: str) -> int:
        self.ring.add(text)
        return super().write(text)


def install(current: Callable[[], int]) -> Ring:
    """Replace stdout and stderr of this process."""
    ring = Ring(current)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.open(fd, "wb", closefd=False)  # noqa: SIM115, UP020 - lives as long as we do
        tee = _Tee(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        tee.ring = ring
        setattr(sys, name, tee)
        setattr(sys, f"__{name}__", tee)
    return ring


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # closed by the task, or nobody reads any more
