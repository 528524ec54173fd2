"""What a measure comes to, and how its runs are spread over cores and kept.

A run of all takes long: what each task came to is written down as it ends, beside the table, so
one that was interrupted goes on from there. What other code has found is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import hanse

EVERY_S = 15.0  # between two words of how far it is
_HERE = Path(__file__).resolve().parent
_SOURCES = (_HERE, Path(hanse.__file__).parent / "core", Path(hanse.__file__).parent / "sim")


class Line(NamedTuple):
    """One measure of one way to place work: costs over the optimum, and deadlines missed."""

    measure: str
    way: str
    ratios: list[float]
    missed: int
    goal: str

    def row(self) -> str:
        if not self.ratios:
            return f"| {self.measure} | {self.way} | - | - | - | {self.missed} | {self.goal} |"
        middle, mean = statistics.median(self.ratios), statistics.fmean(self.ratios)
        return (
            f"| {self.measure} | {self.way} | {middle:.3f} | {mean:.3f} | {max(self.ratios):.3f} "
            f"| {self.missed} of {len(self.ratios) + self.missed} | {self.goal} |"
        )


class Kept:
    """What tasks came to, in a file of lines; the first one says by which code."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._found: dict[str, Any] = {}
        self.began, self.resumed = time.time(), False
        if path is None:
            return
        code = _digest()
        rows = _rows(path)
        if rows and rows[0].get("code") == code:
            self._found = {row["task"]: row["found"] for row in rows[1:]}
            self.resumed = True
            print(f"goes on after {len(self._found)} tasks of a run that was interrupted",
                  file=sys.stderr)  # fmt: skip
        else:
            rows = [{"code": code}]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def get(self, task: str) -> Any:
        return self._found.get(task)

    def add(self, task: str, found: Any) -> None:
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"task": task, "found": found}) + "\n")

    def end(self) -> None:
        """All is done: the next run begins anew."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _rows(path: Path) -> list[dict[str, Any]]:
    """All but a last line that was not written to its end."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _digest() -> str:
    every = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted(folder.rglob("*.py")):
            every.update(path.read_bytes())
    return every.hexdigest()


def spread(work: Callable[[Any], Any], tasks: Sequence[Any], what: str, kept: Kept) -> list[Any]:
    """What `work` finds for each, by as many processes as there are cores. Tells how far it is."""
    names = [f"{what}: {task!r}" for task in tasks]
    found = [kept.get(name) for name in names]
    missing = [n for n, one in enumerate(found) if one is None]
    began = told = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        rows = pool.map(work, [tasks[n] for n in missing])
        for count, (n, row) in enumerate(zip(missing, rows, strict=True), 1):
            found[n] = row
            kept.add(names[n], row)
            now = time.monotonic()
            if now - told >= EVERY_S:
                yet_s = (now - began) / count * (len(missing) - count)
                print(f"{what}: {len(tasks) - len(missing) + count} of {len(tasks)}, "
                      f"{yet_s:.0f} s left of it", file=sys.stderr, flush=True)  # fmt: skip
                told = now
    return found
