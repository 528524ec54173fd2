"""The traces that items leave: what ran, when and where, whatever the records say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hosts.program import LINE_BYTES


class Trace(NamedTuple):
    began: bool  # else it ended
    item: int
    at_s: float  # by the monotonic clock, which all hosts share
    host: str
    job: str


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._begun: set[int] = set()
        self._file = open(path, "w+b")  # noqa: SIM115 - closed by close

    def close(self) -> None:
        self._file.close()

    def begun(self) -> int:
        """How many items have begun at least once."""
        for trace in self._fresh():
            if trace.began:
                self._begun.add(trace.item)
        return len(self._begun)

    def traces(self) -> list[Trace]:
        """All there are, in the order that they were written."""
        return [_trace(line) for line in self.path.read_bytes().splitlines()]

    def _fresh(self) -> list[Trace]:
        self._file.seek(self._read)
        text = self._file.read()
        whole = len(text) // LINE_BYTES * LINE_BYTES
        self._read += whole
        return [_trace(line) for line in text[:whole].splitlines()]


def runs(traces: list[Trace]) -> Counter[int]:
    """How often each item began."""
    return Counter(trace.item for trace in traces if trace.began)


def _trace(line: bytes) -> Trace:
    what, item, at_s, host, job = line.decode().split()
    return Trace(what == "began", int(item), float(at_s), host, job)
