"""Traces of spot machines: which zone had some when, at what price.

A trace is a pair of files: `NAME_zones.csv`, one row for each zone, and `NAME_..._zones.csv.gz`,
one row for each tick. Whatever else the folder holds is left alone, but for a table of egress
prices (`*egress*.csv`).
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import statistics
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

RESTART_S, FAR_S = 720, 840  # until a machine works: in the region of what was saved, and elsewhere
SAVED_GB = 50.0
_TICK_S = 600  # where the trace does not tell
_STEP_S = 120
_TIMES = ("time", "timestamp", "datetime", "time_s", "unix", "unix_s", "epoch", "utc", "date", "at")
_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "spot"
OF_TRACES = ("spot zones", "rented machines")  # groups of rows of the table that need it
DATA = Path(os.environ.get("HANSE_SPOT_DATA", _BESIDE))


@dataclass(frozen=True)
class Trace:
    """Time goes in ticks of `tick` steps; a step is of so many seconds that all spans are whole."""

    zones: list[str]
    regions: list[str]
    available: np.ndarray  # tick, zone: bool
    spot: np.ndarray  # tick, zone: for an hour
    sure: np.ndarray  # zone: for an hour
    egress: np.ndarray  # zone, zone: of what is saved
    step_s: int = _STEP_S
    tick: int = _TICK_S // _STEP_S

    def part(self, start: int, stop: int) -> Trace:
        return replace(self, available=self.available[start:stop], spot=self.spot[start:stop])

    def only(self, picks: list[int]) -> Trace:
        return replace(
            self, zones=[self.zones[n] for n in picks], regions=[self.regions[n] for n in picks],
            available=self.available[:, picks], spot=self.spot[:, picks], sure=self.sure[picks],
            egress=self.egress[np.ix_(picks, picks)],
        )  # fmt: skip

    @property
    def restart(self) -> int:
        """In steps, as are `far` and `overhead`."""
        return RESTART_S // self.step_s

    @property
    def far(self) -> int:
        return FAR_S // self.step_s

    def overhead(self, source: int, target: int) -> int:
        return self.restart if self.regions[source] == self.regions[target] else self.far

    def ns(self, steps: int) -> int:
        return steps * self.step_s * 10**9


def named(folder: Path = DATA) -> dict[str, Trace]:
    """Every trace of the folder, by name. A file of ticks goes with the table of zones that its
    name begins like; with the only one there is, if there is one."""
    tables = {path.name.removesuffix("_zones.csv"): path for path in folder.glob("*_zones.csv")}
    found = {}
    for ticks in sorted(folder.glob("*_zones.csv.gz")):
        name = ticks.name.removesuffix("_zones.csv.gz")
        fits = [stem for stem in tables if name.startswith(stem)] or list(tables)
        if not fits or (len(fits) > 1 and not name.startswith(max(fits, key=len))):
            raise FileNotFoundError(f"{ticks} has no table of its zones beside it: *_zones.csv")
        found[name] = load(tables[max(fits, key=len)], ticks)
    return found


def left_out(traces: Mapping[str, Trace], folder: Path = DATA) -> str:
    """What is not measured for want of data, in a sentence; empty if all is."""
    if traces:
        return ""
    return (
        f"Left out: all rows of {' and '.join(OF_TRACES)}, as there is no spot data in {folder} "
        "(HANSE_SPOT_DATA names its folder)."
    )


def load(table: Path, ticks: Path) -> Trace:
    """Raises ValueError, which names the file, for one that is no trace."""
    try:
        return _load(table, ticks)
    except KeyError as error:
        raise ValueError(f"{ticks}: it or {table.name} has no column {error}") from None
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as error:
        raise ValueError(f"{ticks}, with {table.name}, is no trace: {error}") from None


def _load(table: Path, ticks: Path) -> Trace:
    with table.open() as file:
        rows = {row["zone"]: row for row in csv.DictReader(file)}
    with gzip.open(ticks, "rt") as file:
        times = list(csv.DictReader(file))
    if not times:
        raise ValueError("it has no rows")
    zones = [name for name in rows if f"{name}:available" in times[0]]
    if not zones:
        raise ValueError("it names no zone of that table")
    regions = [rows[name].get("region") or name.rpartition("-")[0] or name for name in zones]
    sure = np.array([_number(rows[name]["on_demand_usd_per_hour"], math.inf) for name in zones])
    up = np.array([[_yes(time[f"{name}:available"]) for name in zones] for time in times])
    spot = np.array([_prices(rows[name], name, times) for name in zones]).T
    tick_s = _tick_s(times)
    step_s = math.gcd(tick_s, _STEP_S)
    prices = _egress(table.parent)
    egress = np.array([[_per_gb(prices, a, b) * SAVED_GB for b in regions] for a in regions])
    return Trace(zones, regions, up, spot, sure, egress, step_s, tick_s // step_s)


def _yes(text: str | None) -> bool:
    """What is not told is not there."""
    return (text or "").strip().lower() in ("1", "1.0", "true", "yes")


def _number(text: str | None, default: float) -> float:
    return float(text) if text and text.strip() else default


def _prices(row: dict[str, str], zone: str, times: list[dict[str, str]]) -> list[float]:
    """One that is not told is as it was before, and at first as the table of zones says."""
    found = []
    last = _number(row.get("spot_usd_per_hour"), math.inf)
    for time in times:
        last = _number(time.get(f"{zone}:spot_usd_per_hour"), last)
        found.append(last)
    return found


def _tick_s(times: list[dict[str, str]]) -> int:
    """By a column of times: seconds, milliseconds, or as ISO 8601 writes them."""
    column = next((name for name in times[0] if name.strip().lower() in _TIMES), None)
    if column is None or len(times) < 2:
        return _TICK_S
    moments = [_moment(time[column]) for time in times]
    usual = statistics.median(b - a for a, b in pairwise(moments))
    if moments[0] > 1e11:
        usual /= 1000
    # Whole steps of at least 10 s: more is learnt by no job, and costs time to work out.
    return max(10, round(usual / 10) * 10)


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.strip()).timestamp()


def _egress(folder: Path) -> dict[tuple[str, str], float]:
    rows: Iterable[dict[str, str]] = []
    for path in sorted(folder.glob("*egress*.csv")):
        with path.open() as file:
            rows = [*rows, *csv.DictReader(file)]
    return {(row["from_region"], row["to_region"]): float(row["price_usd_per_gb"]) for row in rows}


def _per_gb(prices: dict[tuple[str, str], float], source: str, target: str) -> float:
    """As the table says; else list prices of a large cloud: within a continent, and between."""
    if source == target:
        return 0.0
    if (source, target) in prices:
        return prices[source, target]
    near = source.split("-")[0] == target.split("-")[0]
    return (0.08 if source.startswith("asia") else 0.02) if near else 0.08
