"""One job on spot machines that come and go: real availability, beside the offline optimum.

Time goes in ticks of the trace, and within a tick in steps. A machine costs from the tick in which
it is begun, works after 720 s (840 s if what was saved lies in another region), and is lost at the
beginning of a tick in which its zone has none. Work that was done is not lost. An hour costs what
the trace says; what was saved (50 GB) is paid for when it leaves its region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from placement.trace import Trace

from hanse.core.place.zones import Moving, Standing, Where, Zone, Zones


class Policy(Protocol):
    def decide(self, tick: int, now: Standing, tried: Tried) -> Where: ...


class Tried:
    """Whether a zone has a machine in this tick: who asks has tried to begin one."""

    def __init__(self, trace: Trace, tick: int) -> None:
        self._trace, self._tick = trace, tick

    def __call__(self, zone: int) -> bool:
        return bool(self._trace.available[self._tick, zone])


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
    for tick in range(min(len(trace.available), -(-deadline // trace.tick))):
        tried = Tried(trace, tick)
        if where is not None and where.sure is False and not trace.available[tick, where.zone]:
            where, starting = Where(where.zone, None), 0
        step, ns = tick * trace.tick, trace.ns
        now = Standing(ns(step), ns(left), ns(deadline - step), where, ns(starting))
        before = where
        where = policy.decide(tick, now, tried)
        if where.sure is None:
            if before is None:
                where = None
            continue
        assert where.sure or trace.available[tick, where.zone]
        if where != before:
            starting = trace.restart if before is None else trace.overhead(before.zone, where.zone)
            cost += 0.0 if before is None else trace.egress[before.zone, where.zone]
            moves += 1
        used = min(trace.tick, starting + left)
        price = trace.sure[where.zone] if where.sure else trace.spot[tick, where.zone]
        cost += price * used * trace.step_s / 3600
        sure += used if where.sure else 0
        left -= max(0, used - starting)
        starting = max(0, starting - trace.tick)
        if left <= 0:
            return Outcome(cost, step + used, sure, moves)
    return Outcome(cost, -1, sure, moves)


class Hanse:
    """The core's own choice. `before` is what was seen of the trace earlier, in full, and ended so
    many ticks before this part."""

    def __init__(self, trace: Trace, before: Trace | None, gap: int = 0) -> None:
        self.trace = trace
        self.ran: int | None = None  # the zone of the spot machine that runs
        count = len(trace.zones)
        moving = {
            (a, b): Moving(trace.ns(trace.overhead(a, b)), float(trace.egress[a, b]))
            for a in range(count)
            for b in range(count)
        }
        zones = [
            Zone(name, region, float(trace.spot[0, n]), float(trace.sure[n]))
            for n, (name, region) in enumerate(zip(trace.zones, trace.regions, strict=True))
        ]
        self.zones = Zones(zones, moving, trace.ns(trace.restart), trace.ns(trace.tick))
        if before is not None:
            ticks = len(before.available)
            for tick in range(ticks):
                for zone in range(count):
                    up = bool(before.available[tick, zone])
                    self.zones.see(zone, up, trace.ns((tick - ticks - gap) * trace.tick))

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
