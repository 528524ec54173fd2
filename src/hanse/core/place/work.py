"""How much of a job is left, and how sure that is, where items may differ a thousandfold.

Items are timed on sites of different speeds. Sites are compared by the mean logarithm of their
times, which a heavy tail hardly moves, where their mean times would mislead for thousands of items.
What is left is counted in nanoseconds of a slot of speed 1.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from math import inf, sqrt
from typing import NamedTuple

from hanse.core.place.exact import exp, ln
from hanse.ids import SiteId

_HINT_VARIANCE = 0.005  # of the logarithm of a speed that a site tells of itself
_BLIND_VARIANCE = 0.5  # of one that tells nothing
_LONGEST = 32  # items that the tail is judged by
_INDEX, _INDEX_WEIGHT = 0.5, 4.0  # what tails are like before there are such
_BEYOND_MEAN = 0.3  # of all items: lognormal and Pareto ones alike
_SURE = 1.65  # deviations: 19 of 20 cases
_PRIOR_SPREAD = 2.0  # batches' worth of belief that items differ as waiting times do


class _Timed:
    """What one site has shown."""

    __slots__ = ("batches", "busy", "items", "logs", "longest", "square_logs", "squares")

    def __init__(self) -> None:
        self.items = self.batches = 0
        self.busy = self.squares = self.logs = self.square_logs = 0.0
        self.longest: list[float] = []  # of its batches, by the mean of their items; ascending


class Tail(NamedTuple):
    """The chance that an item is longer than `x`: share * (x / at) ** (-1 / shape), beyond `at`.
    The shape is Hill's (1975), from the longest items that were seen. Between the mean and `at`
    another power joins the two."""

    at: float
    share: float
    shape: float
    mean: float

    def over(self, x: float) -> float:
        if self.at <= 0:
            return 0.0
        if x <= self.mean:
            return 1 - (1 - _BEYOND_MEAN) * x / self.mean
        if x >= self.at:
            return self.share * exp(max(-600.0, -ln(x / self.at) / self.shape))
        power = ln(_BEYOND_MEAN / self.share) / ln(self.at / self.mean)
        return _BEYOND_MEAN * exp(-power * ln(x / self.mean))

    def longer(self, chance: float) -> float:
        """What an item is longer than by such a chance."""
        if self.at <= 0:
            return 0.0
        if chance < self.share:
            return self.at * exp(min(30.0, ln(self.share / max(chance, 1e-12)) * self.shape))
        if chance >= _BEYOND_MEAN or self.at <= self.mean:
            return self.mean
        power = ln(_BEYOND_MEAN / self.share) / ln(self.at / self.mean)
        return self.mean * exp(ln(_BEYOND_MEAN / chance) / power)

    def excess(self, x: float) -> float:
        """How much of an item is beyond x, on average over all items; for x beyond `at`."""
        shape = min(self.shape, 0.9)
        return self.over(x) * x * shape / (1 - shape)

    def goes_on(self, age: float, x: float) -> float:
        """The chance that an item which has come to `age` is longer than x."""
        if self.at <= 0:
            return 0.0
        return min(1.0, self.over(x) / max(self.over(age), 1e-250))


class Left(NamedTuple):
    """Work that is left: an expectation, and what it stays within in about 19 of 20 cases."""

    mean: float
    high: float
    rest: float  # of an item at any moment of its run
    each: float  # of an item from its begin
    tail: Tail
    sure: bool  # something has been timed
    whole: float = 0.0  # of all items, those that are done too
    spread: float = 0.0  # of what nobody has begun, once what runs is known: from mean to high
    running: Mapping[SiteId, float] = {}  # of items that have begun, where they run

    def unbegun(self) -> Left:
        """Without the items that run: their own slots do those."""
        if not self.running:
            return self
        mean = max(0.0, self.mean - sum(self.running.values()))
        return self._replace(mean=mean, high=mean + self.spread)

    def last(self, slots: int) -> float:
        """How much work a slot must have time for when it begins its last item, so that among all
        slots some LATE items are too long on average."""
        if not self.sure or self.tail.at <= 0:
            return self.rest
        low, high = self.tail.at, self.tail.at * 1e4
        for _ in range(40):
            middle = (low + high) / 2
            if slots * self.tail.excess(middle) > LATE * self.each:
                low = middle
            else:
                high = middle
        return max(self.rest, high)


LATE = 0.05


class Work:
    """What is known of the items of one job."""

    def __init__(self) -> None:
        self._timed: dict[SiteId, _Timed] = {}
        self._hints: dict[SiteId, float] = {}
        self._speeds: dict[SiteId, float] = {}
        self._fresh = False  # the speeds are those of all that was observed
        self._moments: tuple[float, float, float] | None = None  # None: not those of all
        self._tail: Tail | None = None

    def hint(self, site: SiteId, speed: float | None) -> None:
        """The site says that it is so fast."""
        if speed is not None and speed > 0:
            told = ln(speed)
            if self._hints.get(site) != told:
                self._hints[site] = told
                self._stale()

    def observe(self, site: SiteId, items: int, busy_ns: int) -> None:
        timed = self._timed.get(site)
        if timed is None:
            timed = self._timed[site] = _Timed()
        busy = float(max(busy_ns, items))
        timed.items += items
        timed.batches += 1
        timed.busy += busy
        timed.squares += busy * busy / items
        if len(timed.longest) < _LONGEST or busy / items > timed.longest[0]:
            insort(timed.longest, busy / items)
            del timed.longest[:-_LONGEST]
        log = ln(busy / items)
        timed.logs += log
        timed.square_logs += log * log
        self._stale()

    def _stale(self) -> None:
        self._fresh = False
        self._moments = self._tail = None

    @property
    def items(self) -> int:
        return sum(timed.items for timed in self._timed.values())

    # --- speeds ---------------------------------------------------------------------------------
    def speed(self, site: SiteId) -> float:
        """How fast it is, where 1 is what a site of hint 1 is, or the sites that were timed are on
        the whole."""
        if not self._fresh:
            self._speeds = self._fit()
            self._fresh = True
        found = self._speeds.get(site)
        return exp(self._hints.get(site, 0.0)) if found is None else found

    def _fit(self) -> dict[SiteId, float]:
        """Time = work / speed. What its site's hint and its own times say, weighed by how sure each
        is; the level is common to all."""
        logs = squares = 0.0
        count = 0
        for site, timed in self._timed.items():
            hint = self._hints.get(site, 0.0)
            logs += timed.logs + hint * timed.batches
            squares += timed.square_logs - timed.logs * timed.logs / timed.batches
            count += timed.batches
        if not count:
            return {}
        level = logs / count
        within = (squares + 1.0) / max(1, count - len(self._timed) + 1)
        found = {}
        for site, timed in self._timed.items():
            told = self._hints.get(site)
            prior = _BLIND_VARIANCE if told is None else _HINT_VARIANCE
            seen = level - timed.logs / timed.batches  # the logarithm of its speed, as measured
            noise = within / timed.batches
            found[site] = exp((seen * prior + (told or 0.0) * noise) / (prior + noise))
        return found

    # --- what is left ---------------------------------------------------------------------------
    def moments(self) -> tuple[float, float, float]:
        """Mean work of one item, its relative variance, and how many items both rest on."""
        if self._moments is None:
            self._moments = self._sum_up()
        return self._moments

    def _sum_up(self) -> tuple[float, float, float]:
        busy = squares = 0.0
        items = batches = 0
        for site, timed in self._timed.items():
            speed = self.speed(site)
            busy += timed.busy * speed
            squares += timed.squares * speed * speed
            items += timed.items
            batches += timed.batches
        if not items:
            return 0.0, 1.0, 0.0
        mean = busy / items
        seen = max(0.0, squares - busy * mean) / (mean * mean)
        return mean, (seen + _PRIOR_SPREAD) / (batches - 1 + _PRIOR_SPREAD), float(items)

    def left(
        self, begun: Iterable[tuple[SiteId, int]], coming: int, within_ns: float = inf
    ) -> Left:
        """What is left of `coming` items that nobody has begun, and of those that run: on which
        site, and for how long so far. An item that runs is no work for other slots: it counts for
        what its own can do of it `within_ns`."""
        mean, variance, items = self.moments()
        begun = list(begun)
        ages = [age * self.speed(site) for site, age in begun]
        most = [max(0.0, within_ns) * self.speed(site) for site, _ in begun]
        if not items:  # an item takes as long as the longest has run, at least
            longest = max(ages, default=0.0)
            total = (coming + len(ages)) * longest
            tail = Tail(longest, _BEYOND_MEAN, _INDEX, longest)
            return Left(total, 2 * total, longest, longest, tail, sure=bool(longest))
        told = [age for age in ages if age > mean]
        for _ in range(3 if told else 0):  # the short ones ended first: see estimate._with_running
            wholes = sum(whole_of(age, mean, variance) for age in told)
            mean = (items * self.moments()[0] + wholes) / (items + len(told))
        rests = [
            min(whole_of(age, mean, variance) - age, cap)
            for age, cap in zip(ages, most, strict=True)
        ]
        running: dict[SiteId, float] = {}
        for (site, _), one in zip(begun, rests, strict=True):
            running[site] = running.get(site, 0.0) + one
        rest = (variance + 1) / 2 * mean
        total = coming * mean + sum(rests)
        each = variance * mean * mean
        chance = each * (coming + coming * coming / items)
        spread = _SURE * sqrt(each * (coming + coming * coming / (items + len(begun))))
        high = total + _SURE * sqrt(chance + rest * rest * len(rests))
        whole = total + items * self.moments()[0]
        return Left(total, high, rest, mean, self.tail(), True, whole, spread, running)

    def tail(self) -> Tail:
        """Of the longest items that were seen, those that still run not among them."""
        if self._tail is None:
            self._tail = self._judge()
        return self._tail

    def _judge(self) -> Tail:
        longest = sorted(
            one * self.speed(site) for site, timed in self._timed.items() for one in timed.longest
        )
        batches = sum(timed.batches for timed in self._timed.values())
        mean = self.moments()[0]
        count = min(len(longest) - 1, _LONGEST, batches // 10)
        if count < 1:
            return Tail(mean, _BEYOND_MEAN, _INDEX, mean)
        at = longest[-count - 1]
        logs = sum(ln(one / at) for one in longest[-count:])
        index = (logs + _INDEX * _INDEX_WEIGHT) / (count + _INDEX_WEIGHT)
        if at <= mean:
            return Tail(mean, _BEYOND_MEAN, index, mean)
        return Tail(at, min(_BEYOND_MEAN, count / batches), index, mean)


def whole_of(age: float, mean: float, variance: float) -> float:
    """How much an item is that has shown so much of itself. Items that are all alike take their
    mean, and past it as long again as they are over it; waiting times go on as if they had just
    begun."""
    alike = max(mean, 2 * age - mean)
    share = min(variance, 1.0)
    beyond = max(variance - 1, 0.0) / 2 * age  # the tail is heavier than that
    return share * (age + mean) + (1 - share) * alike + beyond
