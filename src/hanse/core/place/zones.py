"""Where a job that fills one machine runs next, when spot machines come and go in many zones.

Such a job moves as a whole: it saves, begins again elsewhere, and pays for that in time, in money
for the minutes in which nothing is done, and in egress. It may also wait, while there is slack; and
on-demand machines are always there, at a price.

What is decided, and from what:

- What each choice costs until the end is looked up one step ahead in the tables of `chain`, worked
  out from the rates that were learnt: running on, moving to another zone, waiting, beginning a sure
  machine, leaving it. The least is taken; a change must save `_MARGIN` of all that is still to
  come, so nothing flaps.
- The last slack is kept for the switch to a machine that is sure: the rule that keeps the deadline
  ("Can't Be Late", NSDI 2024, the safety net), whatever was learnt.
- Rates fade: what was seen three days ago counts half. A zone of which little is known is taken to
  be as the others are (`spells`).
- Most machines that are lost are lost young. How likely one has lasted follows from when its zone
  was seen last, and how; of one that runs, also from how long it has.

Nobody is asked how things stand in other zones: zones are tried in the order of the answer, and the
first that has a machine is taken. A try that fails costs nothing, and is learnt from.

Where spot machines are to be had in one zone only, what is likely there now follows from what was
seen last, and how long ago (`lone`): the longer nobody looked, the more likely is it that a machine
that is there is one of those that last. So a job that pays for a sure machine tries again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse.core.place.chain import Chain, Rank
from hanse.core.place.exact import rounded
from hanse.core.place.lone import Lone, States, Terms
from hanse.core.place.spells import BACK, LOST, Pool, Rates, hazards, rates_of
from hanse.core.place.sums import NEVER
from hanse.core.place.tables import NotYet, Reach, Tables

HOUR = 3600 * 10**9
_TOP = 6  # zones that the tables tell apart
_MARGIN = 0.002  # of what is still to be paid
_EVEN = 1e-6  # as much is no gain: what makes no difference is done now
_GRID = 4  # steps of a rate, for a factor of e
_ROUNDS = 3  # at the first look, until it is known what slack is worth


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


class Zones:
    """One job's choice among zones."""

    def __init__(
        self, zones: Sequence[Zone], moving: Mapping[tuple[int, int], Moving], start_ns: int,
        every_ns: int, pools: Sequence[Pool] | None = None, more: float = 1.0, fits: float = 2.0,
        tables: Tables | None = None,
    ) -> None:  # fmt: skip
        """`moving` names each pair of zones; `start_ns` is what a first start takes, `every_ns` how
        often it is decided. Jobs may share what was seen, their `pools`, and `tables`; `more` and
        `fits` are of these, see `Reach`. Who lets `fits` be much has few of them made."""
        self.zones = list(zones)
        self.pools = [Pool() for _ in zones] if pools is None else list(pools)
        self._moving = moving
        self._start = Moving(start_ns, 0.0)
        self._every_ns = every_ns
        self._more, self._fits = more, fits
        self._slack_price: float | None = None  # as of the last look; None: there was none
        self._tables = Tables() if tables is None else tables
        self.unready = False  # tables were asked for, and are still to be made

    def see(self, zone: int, up: bool, now_ns: int) -> None:
        self.pools[zone].see(up, now_ns)

    def begin_again(self) -> None:
        """There was no look yet; tables are kept."""
        self._slack_price = None

    # --- decisions ------------------------------------------------------------------------------
    def options(self, now: Standing) -> list[Where]:
        """What to try, in this order. The last one is sure to be had, or is to do nothing."""
        stay = now.where if now.where is not None and now.where.sure is not None else None
        if now.work_ns <= 0:
            return [Where(now.where.zone if now.where else 0, None)]
        if not self._can_wait(now, stay):
            return [stay if stay is not None and stay.sure else self._sure(now)]
        try:
            return self._by_tables(now, stay)
        except NotYet:  # it goes on as it does
            self.unready = True
            return [stay or Where(now.where.zone if now.where else 0, None)]

    def _by_tables(self, now: Standing, stay: Where | None) -> list[Where]:
        if (alone := self._only()) is not None:
            return self._alone(alone, now, stay)
        view = self._view(now, stay)
        if stay is None:
            return self._from_nothing(now, view)
        return self._from_sure(stay, view) if stay.sure else self._from_spot(stay, view)

    def _can_wait(self, now: Standing, stay: Where | None) -> bool:
        """Whether a sure machine still makes it if it is begun at the next look: the safety net.
        One that stays where it is loses nothing, until it is lost."""
        if stay is not None and stay.sure:
            return now.work_ns + self._restart_ns(now) * 2 + self._every_ns <= now.time_ns
        works_ns = 0 if stay is None else max(0, self._every_ns - now.starting_ns)
        return self.spare_ns(now) + works_ns >= 0

    def spare_ns(self, now: Standing) -> int:
        """For how long nothing needs to run yet; less than nothing: it is too late to wait."""
        return now.time_ns - self._every_ns - now.work_ns - self._restart_ns(now)

    def _from_spot(self, stay: Where, view: _View) -> list[Where]:
        own = view.runs(stay.zone) * (1 - _MARGIN)
        return [*(Where(n, False) for cost, n in view.arrivals if cost < own), stay]

    def _from_sure(self, stay: Where, view: _View) -> list[Where]:
        """A spot machine in place of the sure one that runs, or to stop and wait."""
        found = [
            Where(n, False)
            for cost, n in view.arrivals
            if cost < view.stays(view.rank(n)) * (1 - _MARGIN)
        ]
        stops = view.waits(view.none) < view.stays(view.none) * (1 - _MARGIN)
        return [*found, Where(stay.zone, None) if stops else stay]

    def _from_nothing(self, now: Standing, view: _View) -> list[Where]:
        sure = self._sure(now)
        move = self._move(now.where, sure.zone)
        begin = self.zones[sure.zone].sure * move.ns / HOUR + move.money
        found = []
        for cost, n in view.arrivals:
            rank = view.rank(n)
            if cost <= min(view.waits(rank), begin + view.stays(rank)):
                found.append(Where(n, False))
        if view.waits(view.none) < (begin + view.stays(view.none)) * (1 - _EVEN):
            return [*found, Where(now.where.zone if now.where else 0, None)]
        return [*found, sure]

    def _restart_ns(self, now: Standing) -> int:
        return self._start.ns if now.where is None else self._move(now.where, now.where.zone).ns

    def _move(self, where: Where | None, zone: int) -> Moving:
        return self._start if where is None else self._moving[where.zone, zone]

    def _sure(self, now: Standing) -> Where:
        """The cheapest that makes it; the nearest always may."""
        best, least = 0, math.inf
        for n, zone in enumerate(self.zones):
            move = self._move(now.where, n)
            if move.ns + now.work_ns <= now.time_ns or now.where is None or n == now.where.zone:
                cost = zone.sure * (move.ns + now.work_ns) / HOUR + move.money
                if cost < least:
                    best, least = n, cost
        return Where(best, True)

    def cost(self, now: Standing) -> float:
        """What the rest is expected to cost, where nothing runs and no spot machine can be had at
        this moment. Raises NotYet."""
        sure = self._sure(now)
        begin = self.zones[sure.zone].sure * self._move(now.where, sure.zone).ns / HOUR
        if (alone := self._only()) is not None:
            lone, work, slack = self._lone(alone, now, None)
            down = self._belief(alone, lone, now)[1]
            return min(lone.waits(down, work, slack), begin + lone.stays(down, work, slack))
        view = self._view(now, None)
        return min(view.waits(view.none), begin + view.stays(view.none))

    def most(self, now: Standing) -> float:
        """What it costs on a sure machine all of the time."""
        sure = min(range(len(self.zones)), key=lambda n: self.zones[n].sure)
        move_ns = self._move(now.where, sure).ns
        return self.zones[sure].sure * (move_ns + now.work_ns) / HOUR

    # --- a single zone --------------------------------------------------------------------------
    def _only(self) -> int | None:
        """The only zone that has spot machines."""
        finite = [n for n, zone in enumerate(self.zones) if math.isfinite(zone.spot)]
        sure = any(math.isfinite(zone.sure) for zone in self.zones)
        return finite[0] if len(finite) == 1 and sure else None

    def _alone(self, zone: int, now: Standing, stay: Where | None) -> list[Where]:
        """There is nowhere to move to: a spot machine runs on; a sure one is left where that pays,
        and where there is none, the question is how long to wait."""
        if stay is not None and not stay.sure:
            return [stay]
        lone, work, slack = self._lone(zone, now, stay)
        up, down = self._belief(zone, lone, now)
        begin, margin, sure = 0.0, 1 - _MARGIN, stay
        if sure is None:
            sure, margin = self._sure(now), 1 - _EVEN
            move = self._move(now.where, sure.zone)
            begin = self.zones[sure.zone].sure * move.ns / HOUR + move.money
        arrives = self._move(now.where, zone).money + lone.moved(up, work, slack)
        found = []
        if arrives < (begin + lone.stays(up, work, slack)) * margin:
            found.append(Where(zone, False))
        if lone.waits(down, work, slack) < (begin + lone.stays(down, work, slack)) * margin:
            return [*found, Where(now.where.zone if now.where else 0, None)]
        return [*found, sure]

    def _belief(self, zone: int, lone: Lone, now: Standing) -> tuple[States, States]:
        """What its spell is like, if there is a machine now, and if there is none."""
        pool = self.pools[zone]
        if pool.unknown:
            return lone.belief(True, 0.0, math.inf)
        age = max(0, pool.seen_ns - pool.since_ns) / HOUR
        ago = max(0, now.now_ns - pool.seen_ns) / HOUR
        return lone.belief(pool.was_up is not False, age, ago)

    def _lone(self, zone: int, now: Standing, stay: Where | None) -> tuple[Lone, float, float]:
        """Tables, which are kept while what is known stays much the same, and for which work and
        slack they are to be asked."""
        begins = [zone, self._sure(now).zone]
        restart_ns = max(self._restart_ns(now), *(self._move(now.where, n).ns for n in begins))
        spare_ns = now.time_ns - now.work_ns - restart_ns - self._every_ns
        if stay is not None:
            spare_ns -= now.starting_ns
        work, slack = now.work_ns / HOUR, max(0, spare_ns) / HOUR
        pool = self.pools[zone]
        lost = [pool.care * rate for rate in hazards([pool.ups], LOST)[0]]
        back = hazards([pool.downs], BACK)[0]
        sure = min(zone.sure for zone in self.zones)
        terms = Terms(self.zones[zone].spot, sure, restart_ns / HOUR)
        reach = Reach(work, slack, self._more, self._fits)
        return self._tables.lone(lost, back, terms, reach), work, slack

    # --- what choices cost ----------------------------------------------------------------------
    def _view(self, now: Standing, stay: Where | None) -> _View:
        restart_ns = self._restart_ns(now)
        starting_ns = 0 if stay is None else now.starting_ns
        spare_ns = now.time_ns - now.work_ns - starting_ns - restart_ns - self._every_ns
        work, slack = now.work_ns / HOUR, max(0, spare_ns) / HOUR
        held = stay.zone if stay is not None and not stay.sure else None
        rates = rates_of(self.pools, work, now.now_ns)
        reach = Reach(work, slack, self._more, self._fits)
        for _ in range(1 if self._slack_price is not None else _ROUNDS):
            top, chain = self._table(rates, held, restart_ns / HOUR, reach)
            self._slack_price = chain.slack_price(0, work, slack) if top else 0.0
        old = [pool.aged(each, now.now_ns) for pool, each in zip(self.pools, rates, strict=True)]
        view = _View(top, chain, work, slack, old, [])
        for n in top:
            move = self._move(now.where, n)
            then = chain.runs(view.rank(n), work, slack - move.ns / HOUR, old[n])
            cost = self.zones[n].spot * move.ns / HOUR + move.money + then
            if n != held and cost < NEVER:
                view.arrivals.append((cost, n))
        view.arrivals.sort()
        return view

    def _table(
        self, rates: Sequence[Rates], held: int | None, restart: float, reach: Reach
    ) -> tuple[list[int], Chain]:
        """Zones by what an hour of progress costs there, and the tables for these; kept while what
        is known stays much the same."""
        finite = [n for n, zone in enumerate(self.zones) if math.isfinite(zone.spot)]
        dear = self._slack_price or 0.0
        carry, whole = {}, {}
        for n in finite:
            others = [self._moving[other, n].money for other in finite if other != n]
            carry[n] = sum(others) / max(1, len(others))
            price = self.zones[n].spot
            whole[n] = price + rates[n].lost * (restart * (price + dear) + carry[n]), n
        top = sorted(finite, key=whole.__getitem__)[:_TOP]
        if held is not None and held not in top:
            top[-1] = held
        ranks = [
            Rank(self.zones[n].spot, Rates(*(rounded(rate, _GRID) for rate in rates[n])), carry[n])
            for n in top
        ]
        sure = min(zone.sure for zone in self.zones)
        return top, self._tables.chain(ranks, sure, restart, reach)


class _View(NamedTuple):
    """The tables as read at one moment."""

    top: list[int]  # zones, by rank
    chain: Chain
    work: float
    slack: float
    old: Sequence[float]  # by zone: how likely a machine there has lasted
    arrivals: list[tuple[float, int]]  # cost until the end, and to which zone; ascending

    @property
    def none(self) -> int:
        return len(self.top)

    def rank(self, zone: int) -> int:
        return self.top.index(zone)

    def runs(self, zone: int) -> float:
        return self.chain.runs(self.rank(zone), self.work, self.slack, self.old[zone])

    def waits(self, rank: int) -> float:
        return self.chain.waits(rank, self.work, self.slack)

    def stays(self, rank: int) -> float:
        return self.chain.stays(rank, self.work, self.slack)
