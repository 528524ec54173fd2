"""Simpler ways to run one job on spot machines, as their authors describe them.

All keep the deadline by the same safety net: a sure machine is begun when waiting a tick longer
would be too late.
"""

from __future__ import annotations

from collections.abc import Sequence

from placement.spot import Tried
from placement.trace import Trace

from hanse.core.place.zones import HOUR, Standing, Where


class Greedy:
    """Spot whenever there is one, the cheapest first; nothing else until the safety net."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def decide(self, tick: int, now: Standing, tried: Tried) -> Where:
        late = _late(self.trace, now)
        if now.where is not None and now.where.sure is not None and (now.where.sure or not late):
            return now.where if now.where.sure else self._on_spot(tick, now, tried)
        if late:
            return Where(_sure(self.trace, now), True)
        return self._spot(tick, now, tried) or Where(now.where.zone if now.where else 0, None)

    def _on_spot(self, tick: int, now: Standing, tried: Tried) -> Where:
        assert now.where is not None
        return now.where

    def _spot(self, tick: int, now: Standing, tried: Tried) -> Where | None:
        for zone in self._ordered(tick):
            if tried(zone):
                return Where(zone, False)
        return None

    def _ordered(self, tick: int) -> list[int]:
        return sorted(range(len(self.trace.zones)), key=lambda n: self.trace.spot[tick, n])


class UniformProgress(Greedy):
    """Wu et al., "Can't Be Late" (NSDI 2024): as much done at any time as even progress asks, else
    a sure machine, until it is ahead by two restarts."""

    def __init__(self, trace: Trace, work: int, deadline: int) -> None:
        super().__init__(trace)
        self.work, self.deadline = trace.ns(work), trace.ns(deadline)

    def decide(self, tick: int, now: Standing, tried: Tried) -> Where:
        done = self.work - now.work_ns
        even = self.work * (self.deadline - now.time_ns) // self.deadline
        if _late(self.trace, now) and not (now.where and now.where.sure is False):
            stay = now.where is not None and now.where.sure
            return now.where if stay and now.where else Where(_sure(self.trace, now), True)
        if now.where is not None and now.where.sure is False:
            return super().decide(tick, now, tried)
        if now.where is not None and now.where.sure:
            if done < even + 2 * self.trace.ns(self.trace.restart) or _late(self.trace, now, 2):
                return now.where
            return self._spot(tick, now, tried) or Where(now.where.zone, None)
        found = self._spot(tick, now, tried)
        if found is not None:
            return found
        if done < even:
            return Where(_sure(self.trace, now), True)
        return Where(now.where.zone if now.where else 0, None)


class Cheapest(UniformProgress):
    """The same, and moves whenever a cheaper zone has a machine: price alone."""

    def _on_spot(self, tick: int, now: Standing, tried: Tried) -> Where:
        assert now.where is not None
        slack = now.time_ns - now.work_ns - now.starting_ns
        if now.starting_ns or slack < self.trace.ns(2 * self.trace.far + self.trace.tick):
            return now.where
        for zone in sorted(range(len(self.trace.zones)), key=lambda n: self.trace.spot[tick, n]):
            if self.trace.spot[tick, zone] >= self.trace.spot[tick, now.where.zone]:
                return now.where
            if tried(zone):
                return Where(zone, False)
        return now.where


class Markov(Greedy):
    """Each zone a Markov chain of two states, fitted once: to the zone where an hour of progress is
    the cheapest, losses at that rate included, and away from one if that pays until the next."""

    def __init__(self, trace: Trace, before: Trace) -> None:
        super().__init__(trace)
        self.lost = []  # for an hour, by zone
        for zone in range(len(trace.zones)):
            up = before.available[:, zone]
            ends = int((up[:-1] & ~up[1:]).sum())
            self.lost.append((ends + 1) / (up.sum() * trace.tick * trace.step_s / 3600 + 10))

    def _rate(self, tick: int, zone: int) -> float:
        restart_h = self.trace.restart * self.trace.step_s / 3600
        return float(self.trace.spot[tick, zone]) * (1 + self.lost[zone] * restart_h)

    def _on_spot(self, tick: int, now: Standing, tried: Tried) -> Where:
        assert now.where is not None
        here = now.where.zone
        slack = now.time_ns - now.work_ns - now.starting_ns
        if now.starting_ns or slack < self.trace.ns(2 * self.trace.far + self.trace.tick):
            return now.where
        for zone in self._ordered(tick):
            lasts_h = min(1 / self.lost[zone], now.work_ns / HOUR)
            saves = (self._rate(tick, here) - self._rate(tick, zone)) * lasts_h
            takes_h = self.trace.overhead(here, zone) * self.trace.step_s / 3600
            restart = self.trace.spot[tick, zone] * takes_h
            if saves > restart + self.trace.egress[here, zone] and tried(zone):
                return Where(zone, False)
        return now.where

    def _ordered(self, tick: int) -> list[int]:
        return sorted(range(len(self.trace.zones)), key=lambda n: self._rate(tick, n))


def _late(trace: Trace, now: Standing, ticks: int = 1) -> bool:
    """Whether a sure machine that is begun at the next tick would be too late."""
    works = 0
    if now.where is not None and now.where.sure is not None:
        works = max(0, trace.ns(trace.tick) - now.starting_ns)
    return now.work_ns - works + trace.ns(trace.restart) > now.time_ns - trace.ns(
        ticks * trace.tick
    )


def _sure(trace: Trace, now: Standing) -> int:
    """The cheapest that makes it."""
    if now.where is None:
        return int(trace.sure.argmin())
    near = [n for n in range(len(trace.zones)) if trace.regions[n] == trace.regions[now.where.zone]]
    zones: Sequence[int] = near
    if now.work_ns + trace.ns(trace.far) <= now.time_ns:
        zones = range(len(trace.zones))
    return min(
        zones, key=lambda n: trace.sure[n] * (now.work_ns + trace.ns(trace.restart)) / 3.6e12
    )


__all__ = ["Cheapest", "Greedy", "Markov", "UniformProgress"]
