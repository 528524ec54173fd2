"""Which machines are rented for a job where some of them can be taken away.

What is short by the job's own sites is shared out to streams of work, each as much as one machine
does until the deadline; and each stream is placed as `zones` places a job that fills one machine:
it runs on, moves to another offer, waits while there is slack, begins a sure machine at the last
moment, leaves it again. Items can run anywhere, so streams are alike and lose little when they
move: the old machine goes on until the new one is there. What a loss takes is the time until the
next machine works, and half an item.

How many streams there are is chosen by what they cost: more of them have more slack each, so more
of the work waits for machines that are cheap, and each pays for its start. They are chosen anew
when what is left has changed, and for less only.

The safety net reckons with what may be left in 19 of 20 cases, and with the sure machines that may
be brought at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse import limits
from hanse.core.place import renting
from hanse.core.place.exact import rounded
from hanse.core.place.renting import Choice, Held, Kind, Lack, Move, site_does, tail_ns
from hanse.core.place.spells import Pool
from hanse.core.place.tables import NotYet, Tables
from hanse.core.place.zones import HOUR, Moving, Standing, Where, Zone, Zones
from hanse.core.words import duration, money
from hanse.model.aims import NANO

_MOST = 64  # streams
_AGAIN = 0.15  # their number is chosen anew when work or time have changed by such a part
_BETTER = 0.98  # of the cost: to change it
_NO_SURE = 50.0  # times the dearest: what a sure machine costs where there is none
_MORE = 1.3  # times the work that is left: tables reach so far, as estimates go up and down
_LATER = "what machines that can be taken away will cost is worked out at the next looks"
_WAITS = "to wait for a machine that can be taken away costs less than one that is sure"
_PRICES = 50  # steps of a price, for a factor of e, so tables can be kept


class Need(NamedTuple):
    """What the streams have to do.

    Attributes:
        work: that is expected.
        more: that may come beside it.
        time_ns: until when.
    """

    work: float
    more: float
    time_ns: float


class _Chosen(NamedTuple):
    """How many streams there are, and what that was chosen by."""

    streams: int
    work: float
    time_ns: float


class Streams:
    """Of one job. The pools are of the kinds that can be taken away, by name, and shared."""

    def __init__(
        self, pools: Mapping[str, Pool], fits: float = 2.0, tables: Tables | None = None
    ) -> None:
        """`fits`: see `tables`, which are shared, too."""
        self._pools, self._fits = pools, fits
        self._tables = Tables() if tables is None else tables
        self._names: list[str] = []  # of the kinds, which are the zones
        self._zones: Zones | None = None
        self._moving: dict[tuple[int, int], Moving] = {}
        self._power = 0.0  # of a stream
        self._counted: _Chosen | None = None

    def choose(self, lack: Lack, kinds: Sequence[Kind], now_ns: int) -> Choice:
        """What to bring and leave now. `kinds` are all that can run the job; those that may not be
        brought now have no room."""
        need = _need(lack, kinds)
        if need is None or need.work <= 0:
            return renting.nothing()
        if need.time_ns <= 0 and renting.forsaken(lack):
            return renting.carry_on(lack, kinds)
        if need.time_ns <= 0:
            return renting.nothing("its deadline is too near for a machine to help")
        self._learn(lack, kinds)
        count = self._count(need, kinds, lack.held, now_ns)
        if count is None:
            return self._all(lack, kinds, need)
        return _Look(self, lack, kinds, need, count, now_ns).choice()

    def _all(self, lack: Lack, kinds: Sequence[Kind], need: Need) -> Choice:
        """Everything that may be brought can only just do it, or cannot."""
        short = need.work + need.more
        short -= sum(each.kind.does(need.time_ns) for each in lack.held if not each.followed)
        useful = [kind for kind in kinds if kind.room > 0 and kind.does(need.time_ns) > 0]
        if short <= 0:
            return renting.nothing()
        if not useful and renting.forsaken(lack):
            return renting.carry_on(lack, kinds)
        if not useful:
            return renting.nothing(f"{renting.needs(lack)}, and nothing more can be brought now")
        return renting.buy(lack, useful, short, need.time_ns)

    # --- zones ----------------------------------------------------------------------------------
    def _learn(self, lack: Lack, kinds: Sequence[Kind]) -> None:
        """What machines cost and take now, to `zones`."""
        spot = [kind for kind in kinds if kind.rental.tariff.spot]
        first = min(spot, key=lambda kind: (kind.unit, kind.rental.name))
        self._power = first.power
        lost_ns = lack.left.rest / first.speed
        prices = [rounded(kind.unit * first.power * HOUR / NANO, _PRICES) for kind in kinds]
        dearest = max(prices) * _NO_SURE
        has_sure = len(spot) < len(kinds)
        zones = [
            Zone(
                kind.rental.name, kind.rental.tariff.region,
                price if kind.rental.tariff.spot else math.inf,
                math.inf if kind.rental.tariff.spot and has_sure
                else dearest if kind.rental.tariff.spot else price,
            )
            for kind, price in zip(kinds, prices, strict=True)
        ]  # fmt: skip
        names = [zone.name for zone in zones]
        start_ns = min(
            (k.rental.tariff.start_ns for k in kinds if not k.rental.tariff.spot), default=0
        )
        for a in range(len(kinds)):
            for b, kind in enumerate(kinds):
                begins_ns = max(start_ns, kind.rental.tariff.start_ns)
                self._moving[a, b] = Moving(int(begins_ns + lost_ns), 0.0)
        if self._zones is None or names != self._names:
            self._names = names
            pools = [self._pools.get(name) or Pool() for name in names]
            self._zones = Zones(
                zones, self._moving, 0, limits.RENT_LOOK_NS, pools, _MORE, self._fits,
                self._tables,
            )  # fmt: skip
        else:
            self._zones.zones[:] = zones
        self._zones.unready = False

    @property
    def zones(self) -> Zones:
        assert self._zones is not None
        return self._zones

    def zone(self, kind: str) -> int:
        return self._names.index(kind)

    # --- how many -------------------------------------------------------------------------------
    def _count(
        self, need: Need, kinds: Sequence[Kind], held: Sequence[Held], now_ns: int
    ) -> int | None:
        """How many streams; None if all that there may be cannot do it."""
        room = sum(kind.room * kind.power for kind in kinds)
        room += sum(each.kind.power for each in held)
        most = min(_MOST, int(room / self._power + 0.01))
        start_ns = max(move.ns for move in self._moving.values())
        time_ns = need.time_ns - start_ns - limits.RENT_LOOK_NS
        if time_ns <= 0:
            return None
        least = max(1, math.ceil(need.work / (self._power * time_ns) - 1e-6))
        if least > most:
            return None
        was = self._counted
        if was is not None and _near(need.work, was.work) and _near(need.time_ns, was.time_ns):
            return min(max(was.streams, least), most)
        tried = {least, least + 1, 2 * least, 4 * least, 8 * least}
        if was is not None:
            tried.add(was.streams)
        try:
            costs = {
                n: self._costs(n, need, kinds, now_ns) for n in sorted(tried) if least <= n <= most
            }
        except NotYet:  # as many as there are
            there = sum(each.kind.power for each in held if not each.followed) / self._power
            return min(max(round(there) if was is None else was.streams, least), most)
        best = min(costs, key=lambda n: (costs[n], n))
        if was is not None and costs.get(was.streams, math.inf) * _BETTER < costs[best]:
            best = was.streams
        self._counted = _Chosen(best, need.work, need.time_ns)
        return best

    def _costs(self, count: int, need: Need, kinds: Sequence[Kind], now_ns: int) -> float:
        """Of so many streams until the end: work, losses and waits by the tables of `zones`, and
        what a machine takes to come and go."""
        first = min(kinds, key=lambda kind: (kind.unit, kind.rental.name))
        around_ns = first.rental.tariff.start_ns + first.rental.idle_ns
        around = first.rental.cost_nano(around_ns) / NANO
        standing = self.standing(count, need, None, 0, now_ns)
        return count * (self.zones.cost(standing) + around)

    def standing(
        self, count: int, need: Need, where: Where | None, starting_ns: float, now_ns: int,
        sure_power: float = math.inf,
    ) -> Standing:  # fmt: skip
        """How things stand with one stream of so many. What may come beside the expected work needs
        no time that sure machines, all that may be brought, do not need for the whole."""
        power = count * self._power
        last = power if sure_power == math.inf else sure_power
        kept_ns = max(0.0, (need.work + need.more) / last - need.work / power)
        return Standing(
            now_ns, int(need.work / power), int(need.time_ns - kept_ns),
            Where(0, None) if where is None else where, int(starting_ns),
        )  # fmt: skip

    @property
    def power(self) -> float:
        return self._power

    # --- for who looks ahead --------------------------------------------------------------------
    @property
    def wanted_power(self) -> float:
        """Of all streams together, as of the last choice."""
        return self._power * (self._counted.streams if self._counted is not None else 1)

    def begin_again(self) -> None:
        """Nothing was chosen yet; tables are kept."""
        self._counted = None
        if self._zones is not None:
            self._zones.begin_again()


class _Look:
    """One decision about all streams of a job."""

    def __init__(
        self, streams: Streams, lack: Lack, kinds: Sequence[Kind], need: Need, count: int,
        now_ns: int,
    ) -> None:  # fmt: skip
        self.streams, self.lack, self.need = streams, lack, need
        self.known: dict[tuple[Where | None, int], list[Where]] = {}
        self.count, self.now_ns = count, now_ns
        self.kinds = {kind.rental.name: kind for kind in kinds}
        self.room = {name: kind.room for name, kind in self.kinds.items()}
        self.bring: dict[str, int] = {}
        self.moves: list[Move] = []
        self.leave: dict[str, str] = {}
        self.reasons: list[str] = []
        self.waits = False
        self.sure = [kind for kind in kinds if not kind.rental.tariff.spot]
        self.sure_power = sum(kind.room * kind.power for kind in self.sure) + sum(
            each.kind.power for each in lack.held if not each.kind.rental.tariff.spot
        )
        if not self.sure_power:  # there is no safety net to be kept time for
            self.sure_power = math.inf

    def choice(self) -> Choice:
        wanted = self.count * self.streams.power
        held = [each for each in self.lack.held if not each.followed]
        spare = sum(each.kind.power for each in held) - wanted
        for each in held:
            spare -= self._decide(each, spare)
        if spare < -0.02 * self.streams.power:
            self._fill(-spare)
        cost = self._cost() if self.bring or self.moves else 0.0
        room = self.lack.money
        if room is not None and cost:
            # `cost` has what those do, too, that were brought.
            others = self.lack._replace(sites=self.lack.linked(), held=())
            room -= renting.own_cost(others, self.need.time_ns)
            if cost > room:
                return self._too_dear(cost, room)
        return Choice(self.bring, cost, self.reasons, self.moves, self.leave, self.waits)

    def _too_dear(self, cost: float, room: float) -> Choice:
        """Nothing is brought."""
        names = renting.named(self.bring) or " and ".join(
            f"1 {move.kind} in place of {move.machine}" for move in self.moves
        )
        why = f"{names} would be brought, but not all that is left can be paid for then: "
        return Choice({}, 0.0, [why + renting.too_dear(cost, room)], leave=self.leave)

    def _standing(self, where: Where | None, starting_ns: float) -> Standing:
        """Of one stream."""
        return self.streams.standing(
            self.count, self.need, where, starting_ns, self.now_ns, self.sure_power
        )

    def _options(self, standing: Standing) -> list[Where]:
        """Those of machines that are alike are the same."""
        known = self.known.get((standing.where, standing.starting_ns))
        if known is None:
            known = self.streams.zones.options(standing)
            self.known[standing.where, standing.starting_ns] = known
        return known

    # --- machines that there are ----------------------------------------------------------------
    def _decide(self, each: Held, spare: float) -> float:
        """Whether one runs on; returns the power that is given up by that."""
        spot = each.kind.rental.tariff.spot
        stay = Where(self.streams.zone(each.kind.rental.name), not spot)
        starting_ns = 0.0 if each.up else each.kind.start_ns
        standing = self._standing(stay, starting_ns)
        for option in self._options(standing):
            if option.sure and spot:
                why = "if this one is taken away later, there is no time to begin another"
                self._move(each, self._sure(standing), why)
                return 0.0
            if option == stay or option.sure or each.kept:
                return 0.0
            if not each.up or self.moves or self.leave:
                return 0.0  # one after the other
            if spare >= each.kind.power * 0.98:
                self.leave[each.id] = "the others of its job do what is left in time"
                return each.kind.power
            if option.sure is None:
                self.leave[each.id] = _WAITS
                return each.kind.power
            name = self.streams.zones.zones[option.zone].name
            if self.room.get(name, 0) > 0:
                self._move(each, self.kinds[name], "what is left is expected to cost less there")
                return 0.0
        return 0.0

    def _move(self, each: Held, kind: Kind | None, why: str) -> None:
        if kind is None:
            return
        name = kind.rental.name
        self.room[name] -= 1
        words = f"1 {name} will be brought in place of {each.id}: {why}"
        self.moves.append(Move(each.id, name, words))
        self.reasons.append(words)

    def _sures(self, standing: Standing) -> list[Kind]:
        """Machines that nobody takes away: the cheapest that makes it first."""
        return sorted(self.sure, key=lambda kind: (
            standing.work_ns + kind.start_ns > standing.time_ns, kind.unit, kind.rental.name
        ))  # fmt: skip

    def _sure(self, standing: Standing) -> Kind | None:
        found = self._sures(standing)
        return next((kind for kind in found if self.room[kind.rental.name] > 0), None)

    # --- machines that are missing --------------------------------------------------------------
    def _fill(self, power: float) -> None:
        standing = self._standing(None, 0.0)
        options = self._options(standing)
        zones = self.streams.zones.zones
        names = [zones[option.zone].name for option in options if option.sure is False]
        last = options[-1]
        if last.sure:
            names += [kind.rental.name for kind in self._sures(standing)]
        if last.sure and math.isinf(self.sure_power):
            names += sorted(self.kinds, key=lambda name: self.kinds[name].unit)
        for name in names:
            kind = self.kinds[name]
            while self.room[name] > 0 and power > 0.02 * kind.power:
                self.room[name] -= 1
                self.bring[name] = self.bring.get(name, 0) + 1
                power -= kind.power
        self._explain(standing, last, power)

    def _explain(self, standing: Standing, last: Where, missing: float) -> None:
        needs, short = renting.needs(self.lack), missing > 0.02 * self.streams.power
        if self.bring:
            told = f"{needs}: {renting.named(self.bring)} will be brought"
            if short and last.sure:
                told += ", which is all that may be, and not enough"
            elif not any(self.kinds[name].rental.tariff.spot for name in self.bring):
                told += self._why_sure(standing)
            self.reasons.insert(0, f"{told}; what is left is expected to cost {self._money()}")
        elif short and last.sure:
            self.reasons.append(f"{needs}, and nothing more can be brought now")
        self.waits = short and (self.streams.zones.unready or not last.sure)
        if short and self.streams.zones.unready:
            self.reasons.append(_LATER)
        elif short and not last.sure:
            spare_ns = max(0, self.streams.zones.spare_ns(standing))
            waits = _WAITS if self.sure else "no machine is to be had now, so one is waited for"
            self.reasons.append(f"{waits}, for {duration(spare_ns)} at most")

    def _why_sure(self, standing: Standing) -> str:
        """Why machines that nobody takes away, and not others."""
        cheapest = min(self.kinds.values(), key=lambda kind: (kind.unit, kind.rental.name))
        if not cheapest.rental.tariff.spot:
            return ", as it costs the least"
        if self.streams.zones.spare_ns(standing) < 0:
            return ", as there is no time to wait for machines that cost less"
        return ", as it would cost more to wait for machines that can be taken away"

    def _money(self) -> str:
        return f"about {money(self._cost())}"

    def _cost(self) -> float:
        """Nano, of all streams until the end."""
        standing = self.streams.standing(self.count, self.need, None, 0.0, self.now_ns)
        zones = self.streams.zones
        try:
            return self.count * zones.cost(standing) * NANO
        except NotYet:
            return self.count * zones.most(standing) * NANO


def _need(lack: Lack, kinds: Sequence[Kind]) -> Need | None:
    """What is short by the sites that are not rented for the job; None if nothing is."""
    assert lack.time_ns is not None
    time_ns = lack.time_ns - tail_ns(lack)
    have = sum(site_does(site, time_ns) for site in lack.linked())
    have += sum(many * kind.does(time_ns) for kind, many in lack.coming)
    mean, high = lack.left.mean, lack.left.high
    vague = renting.vague(lack)
    if vague:
        low = max(2 * mean - high, mean / 2)
        return Need(low - have, 0.0, time_ns) if low > have else None
    if mean - have > renting.MARGIN * mean:
        return Need(mean - have, max(0.0, high - mean), time_ns)
    more = sum(max(kind.room, 0) * kind.does(time_ns) for kind in kinds)
    more += sum(each.kind.does(time_ns) for each in lack.held)
    if high - have >= more * (1 - 2 * renting.MARGIN) and high > have:
        return Need(high - have, 0.0, time_ns)
    return None


def _near(now: float, then: float) -> bool:
    return abs(now - then) <= _AGAIN * then
