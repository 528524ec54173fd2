"""For how long spot machines are to be had, and not: what a home learns of it, all of it.

Spells of real spot machines are either short or long: one that was up for hours is lost twenty
times more rarely than one that came a moment ago, and a zone that has had none for hours stays so.
Rates are constant within classes of age, each a Bayes estimate: the class over all pools, how often
this pool's spells end beside those of the others, and the class of this pool, each leaning on the
one before. A spell that was not seen to end counts with its time (right-censored data). What was
seen fades: after three days it counts half. (SkyNomad, 2026, predicts lifetimes by survival
analysis too.)

Two kinds of pools are told in their own way. Of an offer, or a zone, it is seen at each look
whether it has machines: `Pool.see` and `lose`; ages are those of the zone's spell. Of machines that
link by themselves each is followed: `Pool.watch`; ages are their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hanse.core.place.exact import exp
from hanse.model.aims import HOUR_NS

EDGES = (0.0, 0.4, 1.5, 6.0)
"""Ages in hours at which the classes begin."""
LOST, BACK = 0.1, 0.5  # ends for an hour, up and down, before anything is seen
LEAST = 1e-3  # ends for an hour: no machine is believed to be surer
GROWN = 1.5  # hours: what has lasted so long is old, see `Rates`
_OTHERS = 1.0  # what the other zones weigh in mean rates, in losses
CARE = 1.0  # standard deviations: slack that is spent does not come back, so losses are overrated
_BEFORE = (2.5, 1.4, 0.7, 0.35)  # before anything is seen: times the mean rate
_WEIGHT = 2.0  # of what is leant on, in ends
_ALIKE = 4.0  # ends: however much was seen of one pool, it tells of others no more than this
_HALF_HOURS = 72.0  # after so long what was seen counts half
_SMALL = 1e-3  # of a horizon
_LOOKS = HOUR_NS  # two looks that are further apart tell nothing of the time between


class Spells:
    """Of one pool, up or down: hours watched and ends seen, by class of age."""

    __slots__ = ("ends", "hours")

    def __init__(self) -> None:
        self.hours = [0.0] * len(EDGES)
        self.ends = [0.0] * len(EDGES)

    def fade(self, keeps: float) -> None:
        self.hours = [keeps * hours for hours in self.hours]
        self.ends = [keeps * ends for ends in self.ends]

    def count(self, age: float, hours: float, *, ended: bool, many: int = 1) -> None:
        """It, or so many alike, was watched for so long from that age on, which is not long: nobody
        knows when within that it ended."""
        at = class_of(age + hours / 2)
        self.hours[at] += many * hours
        self.ends[at] += ended

    def watch(self, start: float, stop: float, *, ended: bool) -> None:
        """It was watched from one age to the other, and ended then or goes on."""
        last = class_of(stop)
        for at in range(class_of(start), last + 1):
            high = EDGES[at + 1] if at < last else stop
            self.hours[at] += max(0.0, high - max(start, EDGES[at]))
        self.ends[last] += ended


def class_of(age: float) -> int:
    at = len(EDGES) - 1
    while at and age < EDGES[at]:
        at -= 1
    return at


def hazards(pools: Sequence[Spells], prior: float) -> list[list[float]]:
    """For each pool, ends for an hour by class of age. `prior` is the rate before anything is
    seen. Pools differ, so one of which much was seen does not make up what is common to all."""
    weights = [1.0 if len(pools) == 1 else _weight(each, prior) for each in pools]
    seen = list(zip(weights, pools, strict=True))
    mean = (sum(weight * sum(each.ends) for weight, each in seen) + 1) / (
        sum(weight * sum(each.hours) for weight, each in seen) + 1 / prior
    )
    common = []
    for at, times in enumerate(_BEFORE):
        ends = sum(weight * each.ends[at] for weight, each in seen)
        hours = sum(weight * each.hours[at] for weight, each in seen)
        common.append((ends + _WEIGHT) / (hours + _WEIGHT / (times * mean)))
    found = []
    for each in pools:
        expected = sum(hours * rate for hours, rate in zip(each.hours, common, strict=True))
        scale = (sum(each.ends) + _WEIGHT) / (expected + _WEIGHT)
        found.append([
            (ends + _WEIGHT) / (hours + _WEIGHT / (scale * rate))
            for ends, hours, rate in zip(each.ends, each.hours, common, strict=True)
        ])  # fmt: skip
    return found


def _weight(seen: Spells, prior: float) -> float:
    """Of a pool in what is common to all. By what was watched, too: by what ended alone, pools of
    which little ends would weigh more than others."""
    return 1 / (1 + max(sum(seen.ends), prior * sum(seen.hours)) / _ALIKE)


def lasts(rates: Sequence[float], age: float, horizon: float) -> float:
    """Hours for which one of that age is expected to go on, of so many; `rates` by class."""
    total, alive, end = 0.0, 1.0, age + horizon
    for at in range(class_of(age), len(EDGES)):
        low = max(age, EDGES[at])
        high = min(end, EDGES[at + 1]) if at + 1 < len(EDGES) else end
        if high <= low:
            break
        ends = rates[at] * (high - low)
        stays = exp(-min(600.0, ends))
        small = ends < 1e-4  # where nothing would be left of the difference
        total += alive * ((high - low) * (1 - ends / 2) if small else (1 - stays) / rates[at])
        alive *= stays
    return min(total, horizon)


def alive(rates: Sequence[float], age: float) -> float:
    """How likely one comes to be so old."""
    ends = 0.0
    for at, rate in enumerate(rates):
        high = min(age, EDGES[at + 1]) if at + 1 < len(EDGES) else age
        ends += rate * max(0.0, high - EDGES[at])
    return exp(-min(600.0, ends))


def steady(life: float, horizon: float) -> float:
    """The ends for an hour, the same at every age, by which one would last so many hours of the
    horizon."""
    part = life / horizon if horizon > 0 else 1.0
    short = 1.0 - part
    if short < _SMALL:  # of (1 - e^-ends) / ends, what comes first: nothing of it gets lost
        ends = 2 * short * (1 + 2 * short / 3)
    else:
        ends = 1 / max(part, 1e-9)  # over the horizon: that is `part`, by Newton
        for _ in range(20):
            alive = exp(-min(600.0, ends))
            ends -= (1 - alive - ends * part) / (alive - part)
    return max(ends / horizon, LEAST) if horizon > 0 else LEAST


class Rates(NamedTuple):
    """Of a zone, for an hour: losses of machines that came lately, and how many of these grow old;
    losses of old ones; and how often there are machines again."""

    young: float
    grows: float
    old: float
    back: float

    @property
    def aged(self) -> float:
        """How likely one that is there at any moment is old."""
        return self.grows / (self.grows + self.old)

    @property
    def lost(self) -> float:
        """Ends for an hour of one that is there at any moment."""
        return self.aged * self.old + (1 - self.aged) * self.young

    @property
    def share(self) -> float:
        """Of the time in which there is one."""
        return self.back / (self.back + self.lost)


class Pool:
    """What was seen of spot machines that are alike."""

    __slots__ = (
        "downs", "machines", "seen_ns", "since_ns", "ups", "was_any", "was_old", "was_up",
    )  # fmt: skip

    def __init__(self) -> None:
        self.was_up: bool | None = None  # None: what comes next tells nothing of the time before
        self.machines = 1  # that there were, if any
        self.seen_ns = 0
        self.since_ns = 0  # it has been so at least since then
        self.was_old = 0.0  # how likely a machine was old then, by what was seen before
        self.was_any = 0.0  # and how likely it was one as there is at any moment; else it was young
        self.ups, self.downs = Spells(), Spells()

    @property
    def up(self) -> float:
        """Hours of machines that were there, as far as they did not fade."""
        return sum(self.ups.hours)

    @property
    def lost(self) -> float:
        """How often one was lost, as far as that did not fade."""
        return sum(self.ups.ends)

    @property
    def down(self) -> float:
        """Hours in which there was none, as far as they did not fade."""
        return sum(self.downs.hours)

    @property
    def back(self) -> float:
        """How often there was one again, as far as that did not fade."""
        return sum(self.downs.ends)

    @property
    def care(self) -> float:
        """Losses are taken to be so many times as likely as they seem: the less was seen of them,
        the more."""
        return 1 + CARE / math.sqrt(self.lost + _OTHERS)

    # --- a zone, or an offer --------------------------------------------------------------------
    def see(self, up: bool, now_ns: int, machines: int = 1) -> None:
        """There are so many machines, or none. Between two looks that agree nothing is taken to
        change."""
        span_ns = now_ns - self.seen_ns
        anew = up is not self.was_up or span_ns > _LOOKS
        found = (0.0, 0.0)  # what was seen to begin is young
        if anew and (self.was_up is None or not 0 <= span_ns <= _LOOKS):
            ((_, back),) = means_of([self])
            found = self._likely(now_ns, back)
        self._fade(span_ns)
        if self.was_up is not None and 0 < span_ns <= _LOOKS:
            age = max(0, self.seen_ns - self.since_ns) / HOUR_NS
            spells, many = (self.ups, self.machines) if self.was_up else (self.downs, 1)
            spells.count(age, span_ns / HOUR_NS, ended=up is not self.was_up, many=many)
        if anew:
            self.since_ns, (self.was_old, self.was_any) = now_ns, found
        self.was_up, self.seen_ns, self.machines = up, now_ns, machines

    def lose(self, now_ns: int, others: int) -> None:
        """One machine was lost, and so many others are still there."""
        was_up = self.was_up is not False  # or it was gone before it was seen
        self.see(was_up, now_ns, others)
        self.ups.count((now_ns - self.since_ns) / HOUR_NS if was_up else 0.0, 0.0, ended=True)
        self.was_up = others > 0
        if self.was_up is not was_up:
            self.since_ns, self.was_old, self.was_any = now_ns, 0.0, 0.0

    def rest(self) -> None:
        """Machines were given up: whether there would be one is not known any more."""
        if self.was_up:
            self.was_up = None

    def age(self, up: bool, now_ns: int) -> float:
        """Hours for which it has been so, as far as is known."""
        known = self.was_up is up and now_ns - self.seen_ns <= _LOOKS
        return (now_ns - self.since_ns) / HOUR_NS if known else 0.0

    @property
    def unknown(self) -> bool:
        """Nothing was counted of it, and nobody looks at it now."""
        return self.was_up is None and not (self.up or self.down or self.lost)

    def aged(self, rates: Rates, now_ns: int) -> float:
        """How likely a machine that is there now is old."""
        old, any_age = self._likely(now_ns, rates.back)
        return old + any_age * rates.aged

    def _likely(self, now_ns: int, back: float) -> tuple[float, float]:
        """How likely a machine that is there now is old by what was seen, and how likely it is one
        as there is at any moment: another one, as nobody has looked for a while. `back`: how
        often for an hour there are machines again."""
        if self.unknown:
            return 0.0, 1.0
        old = any_age = 0.0
        if self.was_up is not False:
            grown = min(1.0, max(0, self.seen_ns - self.since_ns) / HOUR_NS / GROWN)
            old, any_age = grown + (1 - grown) * self.was_old, (1 - grown) * self.was_any
        hours = max(0, now_ns - self.seen_ns) / HOUR_NS
        same = exp(-min(600.0, hours / (1 / back + GROWN)))
        return same * old, same * any_age + 1 - same

    # --- machines that are followed one by one --------------------------------------------------
    def watch(self, begun_ns: int, since_ns: int, now_ns: int, *, lost: bool) -> None:
        """A machine that began once was watched from some moment on, and is there now or was
        lost."""
        self.fade(now_ns)
        start, stop = (since_ns - begun_ns) / HOUR_NS, (now_ns - begun_ns) / HOUR_NS
        self.ups.watch(start, stop, ended=lost)

    def fade(self, now_ns: int) -> None:
        self._fade(now_ns - self.seen_ns)
        self.seen_ns = max(self.seen_ns, now_ns)

    def _fade(self, span_ns: int) -> None:
        if span_ns > 0:
            keeps = exp(-min(600.0, 0.6931471805599453 * (span_ns / HOUR_NS) / _HALF_HOURS))
            self.ups.fade(keeps)
            self.downs.fade(keeps)


def means_of(pools: Sequence[Pool]) -> list[tuple[float, float]]:
    """For each zone, ends for an hour: of its machines, and of the times without."""
    lost = (sum(pool.lost for pool in pools) + 1) / (sum(pool.up for pool in pools) + 1 / LOST)
    back = (sum(pool.back for pool in pools) + 1) / (sum(pool.down for pool in pools) + 1 / BACK)
    found = []
    for pool in pools:
        ends = (pool.back + _OTHERS) / (pool.down + _OTHERS / back)
        found.append(((pool.lost + _OTHERS) / (pool.up + _OTHERS / lost), ends))
    return found


def rates_of(pools: Sequence[Pool], horizon: float, now_ns: int) -> list[Rates]:
    """For each zone, its losses with care. Young machines are told by how long they last up to
    `GROWN`, and how many do until then; old ones by how much of so many hours they last, of one
    that is there now from its age on."""
    classes = hazards([pool.ups for pool in pools], LOST)
    found = []
    for pool, rates, (_, back) in zip(pools, classes, means_of(pools), strict=True):
        lost = [pool.care * rate for rate in rates]
        life, stays = lasts(lost, 0.0, GROWN), alive(lost, GROWN)
        age = max(GROWN, pool.age(True, now_ns))
        old = steady(lasts(lost, age, horizon), horizon)
        found.append(Rates(max((1 - stays) / life, old), max(stays / life, LEAST), old, back))
    return found
