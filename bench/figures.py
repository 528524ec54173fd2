"""Recorded figures, read back: per measure and contestant, its runs or why it has none."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Runs:
    """What a contestant did in one measure."""

    values: list[float] = field(default_factory=list)
    trouble: str = ""  # not offered, failed, wrong, hung
    said: str = ""

    @property
    def median(self) -> float | None:
        """None if it has no figure, or a wrong answer in any round."""
        return None if self.trouble or not self.values else statistics.median(self.values)


@dataclass
class Record:
    """Everything that one run of the benchmarks wrote down."""

    machine: dict[str, Any] = field(default_factory=dict)
    parts: int = 0  # runs that were appended to one file
    settings: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, Runs]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Runs))
    )
    series: dict[str, list[list[float]]] = field(default_factory=dict)  # memory over time, by peer

    def medians(self, measure: str) -> dict[str, float]:
        known = self.runs.get(measure, {})
        return {peer: m for peer, runs in known.items() if (m := runs.median) is not None}

    def figures(self) -> Mapping[str, Mapping[str, float]]:
        return {measure: self.medians(measure) for measure in self.runs}


def read(path: Path) -> Record:
    """The figures of one file."""
    record = Record()
    with path.open() as lines:
        for line in lines:
            _add(record, json.loads(line))
    return record


def _add(record: Record, each: dict[str, Any]) -> None:
    measure = each["measure"]
    if measure == "machine":
        record.machine = each["value"]
        record.parts += 1
        return
    if measure == "about":
        record.settings[each["peer"]] = each["value"]
        return
    runs = record.runs[measure][each["peer"]]
    if each["status"] == "ok":
        runs.values.append(each["value"])
    else:
        runs.trouble, runs.said = each["status"], each.get("said", "")
    if "series" in each:
        record.series[each["peer"]] = each["series"]
