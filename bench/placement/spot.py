"""One job on spot machines that come and go: real availability, beside the offline optimum.

Time goes in ticks of the trace, and within a tick in steps of 120 s. A machine costs from the tick
in which it is begun, works after 720 s (840 s if what was saved lies in another region), and is
lost at the beginning of a tick in which its zone has none. One that is begun and not used, to see
whether there is one, costs a minute. Work that was done is not lost. An hour costs what the trace
says; what was saved (50 GB) is paid for when it leaves its region. The optimum knows all of the
trace: dynamic programming over zone, kind of machine, start-up time and progress.
"""

from __future__ import annotations

import csv
import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hanse.core.place.zones import Moving, Standing, Where, Zone, Zones

STEP_S = 120
TICK = 5  # steps
RESTART, FAR = 6, 7  # steps until a machine works
SAVED_GB = 50.0
_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "spot"
DATA = Path(os.environ.get("HANSE_SPOT_DATA", _BESIDE))


@dataclass(frozen=True)
class Trace:
    zones: list[str]
    regions: list[str]
    available: np.ndarray  # tick, zone: bool
    spot: np.ndarray  # tick, zone: for an hour
    sure: np.ndarray  # zone: for an hour
    egress: np.ndarray  # zone, zone: of what is saved

    def part(self, start: int, stop: int) -> Trace:
        return Trace(self.zones, self.regions, self.available[start:stop], self.spot[start:stop],
                     self.sure, self.egress)  # fmt: skip

    def only(self, picks: list[int]) -> Trace:
        return Trace([self.zones[n] for n in picks], [self.regions[n] for n in picks],
                     self.available[:, picks], self.spot[:, picks], self.sure[picks],
                     self.egress[np.ix_(picks, picks)])  # fmt: skip

    def overhead(self, source: int, target: int) -> int:
        return RESTART if self.regions[source] == self.regions[target] else FAR


def load(folder: Path = DATA) -> Trace:
    with (folder / "h100x16_zones.csv").open() as file:
        rows = list(csv.DictReader(file))
    zones = [row["zone"] for row in rows]
    regions = [row["region"] for row in rows]
    sure = np.array([float(row["on_demand_usd_per_hour"]) for row in rows])
    with gzip.open(folder / "h100x16_13_zones.csv.gz", "rt") as file:
        ticks = list(csv.DictReader(file))
    available = np.array([[tick[f"{z}:available"] == "1" for z in zones] for tick in ticks])
    spot = np.array([[float(tick[f"{z}:spot_usd_per_hour"]) for z in zones] for tick in ticks])
    egress = np.array([[_per_gb(a, b) * SAVED_GB for b in regions] for a in regions])
    return Trace(zones, regions, available, spot, sure, egress)


def _per_gb(source: str, target: str) -> float:
    """List prices of the cloud that the zones are of: within a continent, and between them."""
    if source == target:
        return 0.0
    near = source.split("-")[0] == target.split("-")[0]
    return (0.08 if source.startswith("asia") else 0.02) if near else 0.08


# --- running a policy ---------------------------------------------------------------------------
class Policy(Protocol):
    def decide(self, tick: int, now: Standing, tried: Tried) -> Where: ...


class Tried:
    """Whether a zone has a machine in this tick: who asks has tried to begin one."""

    def __init__(self, trace: Trace, tick: int) -> None:
        self._trace, self._tick = trace, tick
        self.begun: set[int] = set()

    def __call__(self, zone: int) -> bool:
        up = bool(self._trace.available[self._tick, zone])
        if up:
            self.begun.add(zone)
        return up


@dataclass(frozen=True)
class Outcome:
    cost: float
    steps: int  # when the work was done; -1: never
    sure_steps: int
    moves: int


def play(trace: Trace, policy: Policy, work: int, deadline: int) -> Outcome:
    """Run the job of so many steps of work. Where the policy stays and the zone has no machine any
    more, the job has none."""
    cost, left, starting, sure, moves = 0.0, work, 0, 0, 0
    where: Where | None = None
    for tick in range(min(len(trace.available), -(-deadline // TICK))):
        tried = Tried(trace, tick)
        if where is not None and where.sure is False and not trace.available[tick, where.zone]:
            where, starting = Where(where.zone, None), 0
        step = tick * TICK
        now = Standing(ns(step), ns(left), ns(deadline - step), where, ns(starting))
        before = where
        where = policy.decide(tick, now, tried)
        for zone in tried.begun - {where.zone if where.sure is False else -1}:
            if before != Where(zone, False):
                cost += trace.spot[tick, zone] / 60  # it was begun, and given back
        if where.sure is None:
            if before is None:
                where = None
            continue
        assert where.sure or trace.available[tick, where.zone]
        if where != before:
            starting = RESTART if before is None else trace.overhead(before.zone, where.zone)
            cost += 0.0 if before is None else trace.egress[before.zone, where.zone]
            moves += 1
        used = min(TICK, starting + left)
        price = trace.sure[where.zone] if where.sure else trace.spot[tick, where.zone]
        cost += price * used * STEP_S / 3600
        sure += used if where.sure else 0
        left -= max(0, used - starting)
        starting = max(0, starting - TICK)
        if left <= 0:
            return Outcome(cost, step + used, sure, moves)
    return Outcome(cost, -1, sure, moves)


def ns(steps: int) -> int:
    return steps * STEP_S * 10**9


class Hanse:
    """The core's own choice. `before` is what was seen of the trace earlier, in full, and ended so
    many ticks before this part."""

    def __init__(self, trace: Trace, before: Trace | None, gap: int = 0) -> None:
        self.trace = trace
        self.ran: int | None = None  # the zone of the spot machine that runs
        count = len(trace.zones)
        moving = {
            (a, b): Moving(ns(trace.overhead(a, b)), float(trace.egress[a, b]))
            for a in range(count)
            for b in range(count)
        }
        zones = [
            Zone(name, region, float(trace.spot[0, n]), float(trace.sure[n]))
            for n, (name, region) in enumerate(zip(trace.zones, trace.regions, strict=True))
        ]
        self.zones = Zones(zones, moving, ns(RESTART), ns(TICK))
        if before is not None:
            ticks = len(before.available)
            for tick in range(ticks):
                for zone in range(count):
                    up = bool(before.available[tick, zone])
                    self.zones.see(zone, up, ns((tick - ticks - gap) * TICK))

    def decide(self, tick: int, now: Standing, tried: Tried) -> Where:
        zones = self.zones
        for n, zone in enumerate(zones.zones):
            zones.zones[n] = zone._replace(spot=float(self.trace.spot[tick, n]))
        if now.where is not None and now.where.sure is False:
            zones.see(now.where.zone, True, now.now_ns)
        elif now.where is not None and self.ran is not None:
            zones.see(self.ran, False, now.now_ns)  # it was lost
        self.ran = None
        for where in zones.options(now):
            if where.sure is not False:
                return where
            self.ran = where.zone
            if where == now.where:
                return where
            up = tried(where.zone)
            zones.see(where.zone, up, now.now_ns)
            if up:
                return where
            self.ran = None
        raise AssertionError("the last option is always to be had")


# --- the optimum --------------------------------------------------------------------------------
def optimum(trace: Trace, work: int, deadline: int) -> float:
    """The least cost of any schedule, all of the trace known. Infinite if there is none."""
    count = len(trace.zones)
    ticks = min(len(trace.available), -(-deadline // TICK))
    infinite = np.full(work + 1, np.inf)
    hours = STEP_S / 3600
    # By zone: nothing runs and the save is there; a spot or a sure machine, and how many steps
    # (0, 1, 2) it needs yet before it works. Progress is the index.
    idle = [infinite.copy() for _ in range(count)]
    runs = {(n, k): [infinite.copy() for _ in range(3)] for n in range(count) for k in (0, 1)}
    fresh = 0.0  # nothing was ever begun
    best = np.inf
    for tick in range(ticks):
        room = deadline - tick * TICK
        here = [np.minimum.reduce([idle[n], *runs[n, 0], *runs[n, 1]]) for n in range(count)]
        arrive = {}
        for n in range(count):
            for far in (False, True):
                options = [
                    here[a] + trace.egress[a, n]
                    for a in range(count)
                    if (trace.regions[a] != trace.regions[n]) == far
                ]
                arrive[n, far] = np.minimum.reduce(options) if options else infinite
            first = infinite.copy()
            first[0] = fresh
            arrive[n, False] = np.minimum(arrive[n, False], first)
        nexts = {}
        for (n, kind), states in runs.items():
            price = (trace.sure[n] if kind else trace.spot[tick, n]) * hours
            new = [infinite.copy() for _ in range(3)]
            if kind or trace.available[tick, n]:
                for far in (False, True):
                    new[(FAR if far else RESTART) - TICK] = arrive[n, far] + price * TICK
                for starting, costs in enumerate(states):
                    gain = TICK - starting
                    done = costs[max(0, work - gain) : work]
                    for k in range(len(done)):
                        used = starting + work - (max(0, work - gain) + k)
                        if used <= room and done[k] + price * used < best:
                            best = done[k] + price * used
                    new[0][gain:] = np.minimum(new[0][gain:], costs[:-gain] + price * TICK)
                new[0][work] = np.inf
            nexts[n, kind] = new
        idle, runs = here, nexts
    return float(best)
