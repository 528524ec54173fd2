"""What would be rented for a job from now on where machines can be taken away.

`place.streams`, which is what rents them, is run forward: asked again and again what to bring and
leave, with what would be done, spent and known by then. Which offers have machines at which moment
nobody knows. So that is done for a few courses of events, which are spread evenly over how long by
what was seen offers have machines and have none; the mean of their costs and of their ends is what
is expected, and what it may come to is the dearest of them, and the latest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import NamedTuple

from hanse import limits
from hanse.core.place.exact import ln
from hanse.core.place.foresee import Bought, Items, later
from hanse.core.place.offer import Offer
from hanse.core.place.renting import MARGIN, Held, Kind, Lack, site_does
from hanse.core.place.spells import Pool, means_of
from hanse.core.place.streams import Streams
from hanse.core.place.zones import HOUR
from hanse.core.words import duration
from hanse.ids import SiteId

_COURSES = 5
_GOLDEN = 0.6180339887498949  # multiples of it are spread evenly, however many there are
_LOOKS = 40  # until the deadline, if nothing happens
_MOST = 400  # looks in all
_FINE = 200  # of the time left: steps are no finer, nor than a look of the renter
_FITS = 8.0  # tables that are this much too large do
_LATE = 1.5  # times the time left: a job that takes longer is not followed further
_KNOWN = HOUR  # what was seen longer ago tells nothing of now


class Course(NamedTuple):
    """One course of events. Times are nanoseconds from now.

    Attributes:
        machines: what is brought or on its way, with the work that it does and its cost in nano.
        here: the same of machines that are there already, by id.
        end_ns: when what is expected to be left is done.
        cost: of all machines.
        whole: it was all done.
    """

    machines: list[tuple[Bought, float, float]]
    here: list[tuple[str, float, float]]
    reasons: list[str]
    end_ns: float
    cost: float
    whole: bool


class Ahead(NamedTuple):
    """What was seen of offers, and tables that were made by that. Nobody else changes it."""

    pools: Mapping[str, Pool]
    streams: Streams

    @staticmethod
    def of(pools: Mapping[str, Pool]) -> Ahead:
        pools = deepcopy(dict(pools))
        return Ahead(pools, Streams(pools, _FITS))


def courses(
    lack: Lack, kinds: Sequence[Kind], ahead: Ahead, items: Items, now_ns: int
) -> list[Course]:
    """Those that are looked at, from the one that costs least on. `now_ns` is on the clock of the
    pools."""
    pools, streams = ahead
    found = []
    for number in range(_COURSES):
        streams.begin_again()
        found.append(_Run(streams, lack, kinds, pools, items, number, now_ns).course())
    return sorted(found, key=lambda course: (not course.whole, course.cost, course.end_ns))


class _Sky:
    """When one offer has machines, in one course of events."""

    def __init__(
        self, kind: Kind, pool: Pool, rates: tuple[float, float], u: float, now_ns: int, held: bool
    ) -> None:
        """`held`: one of them is up, so there are some, also where no more may be brought."""
        self._lost, self._back = rates
        self._u = u
        known = pool.was_up if now_ns - pool.seen_ns <= _KNOWN else None
        usual = self._back / (self._lost + self._back)
        there = known if known is not None else self._next() < usual
        self.up = held or (kind.room > 0 and there)
        self.until_ns = self._span_ns()

    def _next(self) -> float:
        self._u = (self._u + _GOLDEN) % 1.0
        return self._u

    def _span_ns(self) -> float:
        rate = self._lost if self.up else self._back
        return -ln(max(1e-9, 1 - self._next())) / rate * HOUR

    def pass_to(self, at_ns: float) -> bool:
        """Whether machines that there were are gone."""
        went = False
        while self.until_ns <= at_ns:
            went |= self.up
            self.up = not self.up
            self.until_ns += self._span_ns()
        return went


class _Machine:
    """One that was brought."""

    __slots__ = ("at_ns", "ends_ns", "id", "instead", "kind", "lost", "up_ns", "work")

    def __init__(self, id: str, kind: Kind, at_ns: float, instead: str = "") -> None:
        self.id, self.kind, self.at_ns, self.instead = id, kind, at_ns, instead
        self.up_ns = at_ns + kind.start_ns
        self.ends_ns: float | None = None
        self.lost = False
        self.work = 0.0

    def cost(self, end_ns: float) -> float:
        """Nano, if it is needed no more by then."""
        until_ns = end_ns if self.ends_ns is None else self.ends_ns
        paid_ns = max(0.0, until_ns - self.at_ns)
        if not self.lost:
            paid_ns += self.kind.rental.idle_ns
        return self.kind.rental.cost_nano(paid_ns) + self.kind.carry * self.work


class _Run:
    """One course of events, as it goes."""

    def __init__(
        self, streams: Streams, lack: Lack, kinds: Sequence[Kind], pools: Mapping[str, Pool],
        items: Items, number: int, now_ns: int,
    ) -> None:  # fmt: skip
        assert lack.time_ns is not None
        self.streams, self.kinds, self.items, self.now_ns = streams, kinds, items, now_ns
        self.held = {each.id for each in lack.held}
        self.up = {each.id for each in lack.held if each.up}
        self.lack = lack._replace(sites=lack.linked(), held=())
        self.time_ns = lack.time_ns
        self.machines = [_Machine(each.id, each.kind, 0.0) for each in lack.held]
        self.room = {kind.rental.name: _limit(kind, lack.held) for kind in kinds}
        spot = [kind for kind in kinds if kind.rental.tariff.spot]
        known = [pools.get(kind.rental.name) or Pool() for kind in spot]
        up = {each.kind.rental.name for each in lack.held if each.up}
        self.skies = {
            kind.rental.name: _Sky(
                kind, pool, rates, _start(number, n), now_ns, kind.rental.name in up
            )
            for n, (kind, pool, rates) in enumerate(zip(spot, known, means_of(known), strict=True))
        }
        self.at_ns = self.done = self.spent = 0.0
        self.reasons: list[str] = []

    def course(self) -> Course:
        mean = self.lack.left.mean
        for _ in range(_MOST):
            if self.done >= mean or self.at_ns >= _LATE * self.time_ns:
                break
            self._pass()
            self._choose()
            self._go_on(self._step_ns())
        machines, here = [], []
        for one in self.machines:
            cost = one.cost(self.at_ns)
            if one.id in self.up:
                here.append((one.id, one.work, cost))
            else:
                bought = Bought(one.kind, 1, one.at_ns, asked=one.id in self.held)
                machines.append((bought, one.work, cost))
        cost = sum(part[2] for part in machines) + sum(part[2] for part in here)
        whole = self.done >= mean * (1 - 1e-9)
        return Course(_alike(machines), here, self.reasons, self.at_ns, cost, whole)

    @property
    def _there(self) -> list[_Machine]:
        return [one for one in self.machines if one.ends_ns is None]

    # --- what happens ---------------------------------------------------------------------------
    def _pass(self) -> None:
        for name, sky in self.skies.items():
            if sky.pass_to(self.at_ns):
                for one in self._there:
                    if one.kind.rental.name == name:
                        one.ends_ns, one.lost = self.at_ns, True
        up = {one.instead for one in self._there if one.up_ns <= self.at_ns}
        for one in self._there:
            if one.id in up:
                one.ends_ns = self.at_ns

    def _step_ns(self) -> float:
        """Until something may change."""
        moments = [sky.until_ns for sky in self.skies.values()]
        moments += [one.up_ns for one in self._there]
        fine_ns = max(float(limits.RENT_LOOK_NS), self.time_ns / _FINE)
        moments += [self.at_ns + max(fine_ns, self._slack_ns())]
        next_ns = min((each for each in moments if each > self.at_ns), default=self.at_ns)
        return min(max(next_ns - self.at_ns, fine_ns), self.time_ns / _LOOKS)

    def _slack_ns(self) -> float:
        """What is left beside the time that the work takes on as many machines as are wanted."""
        left_ns = self.time_ns * (1 - MARGIN) - self.at_ns
        work = self.lack.left.mean - self.done
        work -= sum(site_does(site, left_ns) for site in self.lack.sites)
        start_ns = max(kind.rental.tariff.start_ns for kind in self.kinds)
        return left_ns - start_ns - work / max(1e-30, self.streams.wanted_power)

    def _go_on(self, step_ns: float) -> None:
        """Work is done meanwhile; if it is all that there is, until then."""
        until_ns = self.at_ns + step_ns
        sites = [(site, _usable(site, self.at_ns, until_ns)) for site in self.lack.sites]
        works = [
            (one, max(0.0, until_ns - max(self.at_ns, one.up_ns)) * one.kind.power)
            for one in self._there
        ]
        done = sum(part for _, part in sites) + sum(part for _, part in works)
        share = min(1.0, (self.lack.left.mean - self.done) / done) if done else 1.0
        for one, part in works:
            one.work += share * part
            price = one.kind.rental.tariff.price_nano / HOUR
            self.spent += share * step_ns * price
        self.spent += share * sum(part * site.unit for site, part in sites)
        self.done += share * done
        self.at_ns += share * step_ns

    # --- what is decided ------------------------------------------------------------------------
    def _choose(self) -> None:
        held = [
            Held(
                one.id, one.kind._replace(start_ns=max(0.0, one.up_ns - self.at_ns)),
                one.up_ns <= self.at_ns,
                followed=any(other.instead == one.id for other in self._there),
            )
            for one in self._there
        ]  # fmt: skip
        lack = later(self.lack, (), self.items, self.at_ns, self.done, self.spent)
        up = [_offer(each) for each in held if each.up]
        lack = lack._replace(held=held, sites=[*lack.sites, *up])
        kinds = [kind._replace(room=self._room(kind)) for kind in self.kinds]
        choice = self.streams.choose(lack, kinds, self.now_ns + int(self.at_ns))
        brought = False
        for name, count in choice.bring.items():
            brought |= self._bring(name, count)
        for move in choice.moves:
            brought |= self._bring(move.kind, 1, move.machine)
        for one in self._there:
            if one.id in choice.leave:
                one.ends_ns = self.at_ns
        if choice.reasons and (brought or not self.reasons):
            when = f"in {duration(int(self.at_ns))}: " if self.at_ns else ""
            self.reasons += [when + reason for reason in choice.reasons]

    def _room(self, kind: Kind) -> int:
        name = kind.rental.name
        if name in self.skies and not self.skies[name].up:
            return 0
        return self.room[name] - sum(one.kind.rental.name == name for one in self._there)

    def _bring(self, name: str, count: int, instead: str = "") -> bool:
        kind = next(kind for kind in self.kinds if kind.rental.name == name)
        for _ in range(count):
            id = f"+{len(self.machines)}"
            self.machines.append(_Machine(id, kind, self.at_ns, instead))
        return count > 0


def _start(number: int, zone: int) -> float:
    """Where a course begins in the even spread, for each offer another way."""
    return ((number + 0.5) / _COURSES + zone * _GOLDEN * _GOLDEN) % 1.0


def _limit(kind: Kind, held: Sequence[Held]) -> int:
    """How many of the kind there may be for the job at once. One that can be taken away, and of
    which none can be brought now, will be there again."""
    mine = sum(each.kind.rental.name == kind.rental.name for each in held)
    if kind.room <= 0 and kind.rental.tariff.spot:
        return kind.rental.most
    return max(0, kind.room) + mine


def _usable(site: Offer, since_ns: float, until_ns: float) -> float:
    """Work that it does in that time."""
    begin_ns = 0.0 if site.open else site.start_ns
    until_ns = min(until_ns, begin_ns + site.lasts_ns)
    return max(0.0, until_ns - max(since_ns, begin_ns)) * site.slots * site.speed


def _offer(held: Held) -> Offer:
    """A machine that is up, as a site."""
    kind = held.kind
    price = kind.rental.tariff.price_nano / kind.slots / HOUR
    return Offer(
        SiteId(held.id), kind.slots, kind.speed, price, 0.0, kind.lasts_ns, kind.carry, open=True,
        sunk=True,
    )  # fmt: skip


def _alike(machines: Sequence[tuple[Bought, float, float]]) -> list[tuple[Bought, float, float]]:
    """Those that were asked for at the same moment count together."""
    found: dict[tuple[str, float, bool], tuple[Bought, float, float]] = {}
    for one, work, cost in machines:
        key = one.kind.rental.name, one.at_ns, one.asked
        before = found.get(key)
        if before is not None:
            one = before[0]._replace(many=before[0].many + 1)
            work, cost = work + before[1], cost + before[2]
        found[key] = one, work, cost
    return list(found.values())
