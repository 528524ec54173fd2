"""Where a job that fills one machine runs next, when spot machines come and go in many zones.

Such a job moves as a whole: it saves, begins again elsewhere, and pays for that in time, in money
for the minutes in which nothing is done, and in egress. It may also wait, while there is slack; and
on-demand machines are always there, at a price.

What is decided, and from what:

- Where to go, and whether to go at all: by the price of an hour of progress, with the cost of
  arriving and of being lost again spread over how long the zone is expected to last (as SkyNomad,
  2026, which weighs price, lifetime and migration in one sum). Moving must pay for itself.
- Whether to wait for a cheaper zone: slack is spent where it saves most. From how often which price
  is the best to be had follows how much waiting each price would take; slack goes to the dearest.
  Waiting comes before paying, as what is not known yet may turn out well.
- Whether to wait for any spot machine, or pay for a sure one: `waiting` works that out.
- The last slack is kept for the switch to a machine that is sure: the rule that keeps the deadline
  ("Can't Be Late", NSDI 2024, the safety net).

Nobody is asked how things stand in other zones: zones are tried in the order of the answer, and the
first that has a machine is taken. A try that fails costs nothing, and is learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse.core.place.exact import ln
from hanse.core.place.hazard import Hazard
from hanse.core.place.waiting import Odds, Phases, Waiting

HOUR = 3600 * 10**9
_TABLES = 64
_SPARED = 0.25  # of all slack: this much is not spent on waiting for a lower price
_GROWS_UP, _GROWS_DOWN = 2 * HOUR, 2 * HOUR // 3  # from then on something has lasted


class Zone(NamedTuple):
    """Prices are for an hour of what the job needs."""

    name: str
    region: str
    spot: float  # inf: it has none
    sure: float  # on demand; inf: it has none


class Where(NamedTuple):
    """A machine, or none (`sure` is None) with the last save in that zone."""

    zone: int
    sure: bool | None


class Standing(NamedTuple):
    """How things stand with the job. Times in nanoseconds."""

    now_ns: int
    work_ns: int  # that is still to be done, on one machine
    time_ns: int  # until the deadline
    where: Where | None  # None: it never ran
    starting_ns: int = 0  # until the machine that it has begins to work


class Moving(NamedTuple):
    """What it takes to begin at one zone with what was saved at another."""

    ns: int
    money: float


class Pool:
    """What is known of the spot machines of one zone."""

    __slots__ = ("gaps", "hazard", "seen_ns", "since_ns", "times", "up")

    def __init__(self) -> None:
        self.hazard = Hazard(prior_losses=1.0, prior_ns=10.0 * HOUR)
        self.gaps = Hazard(prior_losses=1.0, prior_ns=2.0 * HOUR)  # of outages: they end
        self.times = [4.0 * HOUR, 1.0 * HOUR]  # seen up and down, and a belief before that
        self.up: bool | None = None
        self.since_ns = 0  # it is as it is at least since then
        self.seen_ns = 0

    @property
    def share(self) -> float:
        """Of the time in which there is a machine."""
        return self.times[0] / (self.times[0] + self.times[1])

    def see(self, up: bool, now_ns: int) -> None:
        """There is a machine, or none. Between two looks that agree nothing is taken to change."""
        if self.up is not None and now_ns - self.seen_ns <= HOUR:
            span_ns = now_ns - self.seen_ns
            self.times[0 if self.up else 1] += span_ns
            age = self.seen_ns - self.since_ns
            known = self.hazard if self.up else self.gaps
            known.observe(age, age + span_ns, lost=up is not self.up)
        if up != self.up:
            self.since_ns = now_ns
        self.up, self.seen_ns = up, now_ns

    def gap(self, now_ns: int) -> int:
        """For how long there has been none."""
        return 0 if self.up is not False else max(0, now_ns - self.since_ns)

    def age(self, now_ns: int) -> int:
        return max(0, now_ns - self.since_ns) if self.up else 0


class Zones:
    """One job's choice among zones."""

    def __init__(
        self, zones: Sequence[Zone], moving: Mapping[tuple[int, int], Moving], start_ns: int,
        every_ns: int,
    ) -> None:  # fmt: skip
        """`moving` names each pair of zones; `start_ns` is what a first start takes, `every_ns` how
        often it is decided."""
        self.zones = list(zones)
        self.pools = [Pool() for _ in zones]
        self._moving = moving
        self._start = Moving(start_ns, 0.0)
        self._every_ns = every_ns
        self._first_slack = 0.0
        self._tables: dict[tuple[float, ...], tuple[Waiting, int, int]] = {}

    def see(self, zone: int, up: bool, now_ns: int) -> None:
        self.pools[zone].see(up, now_ns)

    # --- decisions ------------------------------------------------------------------------------
    def options(self, now: Standing) -> list[Where]:
        """What to try, in this order. The last one is sure to be had, or is to do nothing."""
        stay = now.where if now.where is not None and now.where.sure is not None else None
        if now.work_ns <= 0:
            return [Where(now.where.zone if now.where else 0, None)]
        if not self._can_wait(now, stay):
            return [self._sure(now, stay)]
        rates = self._ranked(now)
        if stay is not None and not stay.sure:
            return [*self._better(now, stay, rates), stay]
        if stay is not None:
            return self._from_sure(now, stay, rates)
        self._first_slack = max(self._first_slack, float(now.time_ns - now.work_ns))
        limit, near_sure = self._limit(now), min(zone.sure for zone in self.zones) / 2
        usual = [(rate, n) for rate, n in rates if self.zones[n].spot < near_sure]
        tries = [Where(n, False) for _, n in usual if self.zones[n].spot <= limit]
        more = [Where(n, False) for _, n in usual if self.zones[n].spot > limit]
        dear = [Where(n, False) for _, n in rates if self.zones[n].spot >= near_sure]
        nowhere = Where(now.where.zone if now.where else 0, None)
        if tries and more and self._slack(now) > self._reserve(now):
            return [*tries, nowhere]
        waiting, slack_ns = self._waiting(now), self._slack(now) + self._restart_ns(now)
        if not more and len(tries) == 1 and self.pools[tries[0].zone].up:
            old = self.pools[tries[0].zone].age(now.now_ns) > _GROWS_UP
            if not waiting.begins(now.work_ns, slack_ns, old):
                tries = []
        if usual and waiting.waits(now.work_ns, slack_ns, self._long_gone(now)):
            return [*tries, *more, nowhere]
        return [*tries, *more, *dear, self._sure(now, None)]

    def _can_wait(self, now: Standing, stay: Where | None) -> bool:
        """Whether a sure machine still makes it if it is begun at the next look: the safety net.
        One that stays where it is loses nothing, until it is lost."""
        works_ns = 0
        if stay is not None:
            works_ns = max(0, self._every_ns - now.starting_ns)
        if stay is not None and stay.sure:
            return now.work_ns + self._restart_ns(now) * 2 + self._every_ns <= now.time_ns
        left_ns = now.work_ns - works_ns + self._restart_ns(now)
        return left_ns <= now.time_ns - self._every_ns

    def _restart_ns(self, now: Standing) -> int:
        return self._start.ns if now.where is None else self._move(now.where, now.where.zone).ns

    def _move(self, where: Where | None, zone: int) -> Moving:
        return self._start if where is None else self._moving[where.zone, zone]

    def _sure(self, now: Standing, stay: Where | None) -> Where:
        """The cheapest that makes it: where it is if that is sure, or has no slack to be left."""
        if stay is not None and stay.sure:
            return stay
        if stay is not None and now.starting_ns + now.work_ns > now.time_ns - self._every_ns:
            pass
        best, least = 0, math.inf
        for n, zone in enumerate(self.zones):
            move = self._move(now.where, n)
            if move.ns + now.work_ns <= now.time_ns or now.where is None or n == now.where.zone:
                cost = zone.sure * (move.ns + now.work_ns) / HOUR + move.money
                if cost < least:
                    best, least = n, cost
        return Where(best, True)

    # --- where to -------------------------------------------------------------------------------
    def _ranked(self, now: Standing) -> list[tuple[float, int]]:
        """Zones by the price of an hour of progress from now on, the cheapest first."""
        rates = []
        for n, zone in enumerate(self.zones):
            if math.isfinite(zone.spot):
                rates.append((self._rate(now, n, arriving=True), n))
        return sorted(rates)

    def _rate(self, now: Standing, zone: int, *, arriving: bool) -> float:
        """The price of an hour of progress there: of arriving, and of having to leave again."""
        pool, price = self.pools[zone], self.zones[zone].spot
        move = self._move(now.where, zone) if arriving else Moving(now.starting_ns, 0.0)
        span_ns = now.work_ns + move.ns
        lasts_ns = max(1.0, pool.hazard.lasts_ns(pool.age(now.now_ns), span_ns))
        lost = 1 - pool.hazard.survival(pool.age(now.now_ns), span_ns)
        gain_ns = max(lasts_ns - move.ns, 0.02 * lasts_ns)
        dear = self._slack_price(now)
        if arriving and now.where is not None and now.where.sure is not None:
            move = move._replace(money=move.money + dear * move.ns / HOUR)
        loss = self._loss(now) + dear * self._restart_ns(now) / HOUR
        return (price * lasts_ns + (move.money + lost * loss) * HOUR) / gain_ns

    def _loss(self, now: Standing) -> float:
        """What it costs to be lost: to begin again, near or far, at a usual price."""
        prices = sorted(zone.spot for zone in self.zones)
        usual = prices[len(prices) // 2] if math.isfinite(prices[len(prices) // 2]) else prices[0]
        return usual * self._restart_ns(now) / HOUR + 1.0

    def _slack_price(self, now: Standing) -> float:
        """What an hour of slack is worth: nothing while there is twice as much as losses are
        expected to take; where it runs out, what a sure machine costs more."""
        prices = sorted(zone.spot for zone in self.zones)
        over = min(zone.sure for zone in self.zones) - prices[len(prices) // 2]
        often = sum(pool.hazard.rate(HOUR) for pool in self.pools) / len(self.pools)
        restart = self._restart_ns(now)
        needed = restart * (1 + 2 * now.work_ns * often)
        short = (needed + restart - self._slack(now)) / max(needed, 1.0)
        return max(0.0, over) * min(1.0, max(0.0, short))

    def _better(
        self, now: Standing, stay: Where, rates: Sequence[tuple[float, int]]
    ) -> list[Where]:
        """Zones that are worth leaving this one for, which works: what is saved until one of both
        is lost must pay for the move, and for the slack that it takes."""
        slack_ns = self._slack(now)
        own = self._rate(now, stay.zone, arriving=False)
        found = []
        for rate, zone in rates:
            move = self._move(stay, zone)
            if zone != stay.zone and rate < own * 0.995 and slack_ns > move.ns + self._every_ns:
                found.append(Where(zone, False))
        return found

    def _from_sure(
        self, now: Standing, stay: Where, rates: Sequence[tuple[float, int]]
    ) -> list[Where]:
        """What is better than the sure machine that runs: a spot one, or to stop and wait."""
        waiting = self._waiting(now)
        slack_ns = self._slack(now)
        sure = self.zones[stay.zone].sure
        found = [
            Where(zone, False)
            for rate, zone in rates
            if waiting.leaves(now.work_ns, slack_ns, self.pools[zone].age(now.now_ns) > _GROWS_UP)
            and self.zones[zone].spot < sure
        ]
        stops = waiting.stops(now.work_ns, slack_ns, self._long_gone(now))
        return [*found, Where(stay.zone, None) if stops else stay]

    def _long_gone(self, now: Standing) -> bool:
        return min(pool.gap(now.now_ns) for pool in self.pools) > _GROWS_DOWN

    def probes(self, now: Standing) -> list[int]:
        """Zones worth a look though nothing may be begun there: while a sure machine runs, how long
        a cheap one has been there tells whether to change."""
        on_sure = now.where is not None and now.where.sure
        if not on_sure or self._slack(now) < 2 * self._restart_ns(now):
            return []
        return [zone for _, zone in self._ranked(now)][:1]

    def _waiting(self, now: Standing) -> Waiting:
        """The table for what is known by now; kept while that is much the same."""
        cheap = min(zone.sure for zone in self.zones) / 2
        pools = [n for n, zone in enumerate(self.zones) if zone.spot < cheap]
        pools = pools or [n for n, zone in enumerate(self.zones) if math.isfinite(zone.spot)]
        best = min(pools, key=lambda n: (self.zones[n].spot, n))
        up = _phases([self.pools[n].hazard for n in pools], _GROWS_UP, 1 / len(pools))
        down = _phases([self.pools[n].gaps for n in pools], _GROWS_DOWN, 1.0)
        # Outages come together, in a region and beyond: never is it taken to be certain that there
        # is another one.
        alone = max(0.05, math.prod(1 - self.pools[n].share for n in pools if n != best))
        key = (*(round(6 * ln(rate * HOUR)) for rate in (*up[:2], *down[:2])),
               round(10 * alone), self.zones[best].spot)  # fmt: skip
        table = self._tables.get(key)
        if table is None or table[1] < now.work_ns or table[2] < now.time_ns - now.work_ns:
            sure = min(zone.sure for zone in self.zones)
            odds = Odds(self.zones[best].spot, sure, up, alone, down, self._restart_ns(now))
            work, slack = now.work_ns, now.time_ns - now.work_ns
            table = self._tables[key] = Waiting(odds, work, slack), work, slack
            if len(self._tables) > _TABLES:
                del self._tables[next(iter(self._tables))]
        return table[0]

    # --- slack ----------------------------------------------------------------------------------
    def _slack(self, now: Standing) -> float:
        begin = self._restart_ns(now)
        if now.where is not None and now.where.sure is not None:
            begin = now.starting_ns
        return float(now.time_ns - now.work_ns - begin)

    def _reserve(self, now: Standing) -> float:
        """Slack for the switches that are still to be expected: there and back for each loss."""
        best = min(range(len(self.zones)), key=lambda n: (self.zones[n].spot, n))
        pool = self.pools[best]
        losses = now.work_ns * pool.hazard.rate(2 * HOUR)
        alone = math.prod(1 - one.share for one, zone in zip(self.pools, self.zones, strict=True)
                          if math.isfinite(zone.spot) and one is not pool)  # fmt: skip
        needed = self._restart_ns(now) * (1 + 2 * losses * alone) + 2 * self._every_ns
        return max(needed, _SPARED * self._first_slack)

    def _limit(self, now: Standing) -> float:
        """The highest price that is paid before slack is: waiting for what is dearer takes all the
        slack there is, on the whole."""
        order = sorted(range(len(self.zones)), key=lambda n: self.zones[n].spot)
        spare_ns = self._slack(now) - self._reserve(now)
        if spare_ns <= 0:
            return math.inf
        none = 1.0
        chances = []  # price, and the chance that nothing cheaper is to be had
        for n in order:
            if math.isfinite(self.zones[n].spot):
                chances.append((self.zones[n].spot, none))
                none *= 1 - self.pools[n].share
        limit = chances[0][0] if chances else math.inf
        for price, dearer in chances:
            if now.work_ns * dearer / max(1e-9, 1 - dearer) > spare_ns:
                limit = price
        return limit


def _phases(hazards: Sequence[Hazard], grows_ns: int, weight: float) -> Phases:
    """What several hazards come to together, before and after that age."""
    young = sum(hazard.summed(0, grows_ns) for hazard in hazards) / grows_ns
    later_ns = 6 * grows_ns
    old = sum(hazard.summed(grows_ns, later_ns) for hazard in hazards) / later_ns
    return Phases(young * weight, old * weight, float(grows_ns))
