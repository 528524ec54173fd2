"""How many machines of which kind to rent for a job: the cheapest that meet its deadline.

A job may have machines brought when the sites that there are cannot finish it in time, or when no
site can run it at all. What is short is filled from the kinds whose work costs least, counting that
a machine is paid for while it comes up, and in whole steps if it is billed so; the last of them may
be of another kind, if one of those costs less than what is left over of a larger one.

How much work is left is not known. So machines come

- for what is needed even if items turn out short, at once;
- for what is expected, once that is known well, or machines would soon come too late;
- for what may be left in 19 of 20 cases, when all that could be brought can only just do that; but
  not by the first few items of a job, which tell nothing yet.

What is short by less than what an estimate errs by brings nothing, so nothing flaps; whoever brings
and sends away (`core.renter`) keeps what is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from hanse.core.place.offer import Offer
from hanse.core.place.spells import Pool
from hanse.core.place.work import Left
from hanse.core.words import duration, money
from hanse.model.aims import HOUR_NS
from hanse.model.rental import Rental

MARGIN = 0.02  # of the time left: what estimates err by
_TAIL = 0.05  # of all time: what is kept for the last items at most
_VAGUE, _LEARN = 1.5, 0.1  # an estimate may be vaguer than this for such a part of all time
_LATE = 0.25  # of all time: within so much more a late job is done that no site can run
_STARTS = 3.0  # machines are not waited with once there is time for so many starts only


class Kind(NamedTuple):
    """A kind of machine, to one job."""

    rental: Rental
    slots: int
    speed: float  # of a slot: work per nanosecond
    room: int  # how many more there may be
    start_ns: float  # from now until its first item
    lasts_ns: float = math.inf  # how long it is expected to stay
    carry: float = 0.0  # nano per unit of work, for bytes that it has to fetch

    @property
    def power(self) -> float:
        """Work per nanosecond."""
        return self.slots * self.speed

    @property
    def unit(self) -> float:
        """Nano per unit of work, once it runs."""
        return self.rental.tariff.price_nano / HOUR_NS / self.power + self.carry

    def does(self, time_ns: float) -> float:
        """Work of one machine that is brought now, within so long."""
        usable_ns = min(time_ns - self.start_ns, self.lasts_ns)
        return max(0.0, usable_ns) * self.power

    def cost(self, work: float) -> float:
        """Nano, for one machine that comes, does so much, idles for a while and goes."""
        paid_ns = self.start_ns + work / self.power + self.rental.idle_ns
        return self.rental.cost_nano(paid_ns) + self.carry * work


class Group(NamedTuple):
    """So many machines that are alike."""

    kind: Kind
    many: int


class Held(NamedTuple):
    """A machine that was brought for the job. `kind.start_ns` is what it takes yet until its first
    item.

    Attributes:
        up: it takes part: it is one of the sites.
        kept: it is not left of its own accord now, as it is paid for or has only come.
        followed: another is on its way in its place.
    """

    id: str
    kind: Kind
    up: bool
    kept: bool = False
    followed: bool = False


class Lack(NamedTuple):
    """What a job asks for, and what it has."""

    left: Left
    time_ns: float | None  # until its deadline
    whole_ns: float  # from its beginning to that
    money: float | None  # left of its budget
    sites: Sequence[Offer]  # that it may use
    coming: Sequence[Group] = ()  # others' machines that will have room for it
    held: Sequence[Held] = ()  # its own

    def linked(self) -> list[Offer]:
        """Its sites that were not brought for it."""
        own = {each.id for each in self.held}
        return [site for site in self.sites if site.site not in own]

    def on_way(self) -> list[Group]:
        """Machines that are no sites of it yet."""
        return [*self.coming, *grouped(each.kind for each in self.held if not each.up)]


def grouped(kinds: Iterable[Kind]) -> list[Group]:
    """Machines, one by one, as groups of those that are alike."""
    found: dict[tuple[str, float, float, float], Group] = {}
    for kind in kinds:
        key = kind.rental.name, kind.start_ns, kind.speed, kind.carry
        found[key] = Group(kind, found[key].many + 1 if key in found else 1)
    return list(found.values())


class Rents(NamedTuple):
    """What could be rented for a job, what was, and by name why others cannot."""

    kinds: Sequence[Kind]
    held: Sequence[Held]
    refused: dict[str, str]
    pools: Mapping[str, Pool]  # what was seen of those that can be taken away


class Move(NamedTuple):
    """A machine of that kind is brought, and goes on in place of this one."""

    machine: str
    kind: str
    why: str


class Choice(NamedTuple):
    """What to bring, by the names of the offers, what that is expected to cost, and why.

    Attributes:
        moves: for which of its machines another one is brought, in its place.
        leave: those that are left with nothing in their place, and why.
        waits: more is needed, and is to be brought later.
    """

    bring: dict[str, int]
    cost: float
    reasons: list[str]
    moves: Sequence[Move] = ()
    leave: Mapping[str, str] = {}
    waits: bool = False


def by_streams(lack: Lack, kinds: Sequence[Kind]) -> bool:
    """Whether `place.streams` decides: machines may be taken away, and it is known how much work
    there is, and until when."""
    spot = any(kind.rental.tariff.spot for kind in kinds)
    return spot and lack.left.sure and lack.time_ns is not None


def choose(lack: Lack, kinds: Sequence[Kind]) -> Choice:
    """What to bring now. The kinds are those that can run the job and may be brought at all."""
    if not lack.left.sure:
        return _first(lack, kinds)
    if lack.time_ns is None:
        if lack.sites or lack.on_way() or not (lack.left.mean or lack.left.high):
            return nothing()
        return _first(lack, kinds)
    time_ns = lack.time_ns - tail_ns(lack)
    useful = [kind for kind in kinds if kind.room > 0 and kind.does(time_ns) > 0]
    if (time_ns <= 0 or not useful) and forsaken(lack):
        return carry_on(lack, kinds)
    if time_ns <= 0:
        return nothing("its deadline is too near for a machine to help")
    short = _short(lack, kinds, time_ns)
    if short <= 0:
        return nothing()
    if not useful:
        why = "is up in time" if any(kind.room > 0 for kind in kinds) else "can be brought now"
        return nothing(f"the sites that there are will not finish it in time, and nothing {why}")
    return buy(lack, useful, short, time_ns)


def nothing(*reasons: str) -> Choice:
    return Choice({}, 0.0, list(reasons))


def forsaken(lack: Lack) -> bool:
    """Nobody works for it, nor will."""
    return lack.left.mean > 0 and not (lack.sites or lack.on_way())


def carry_on(lack: Lack, kinds: Sequence[Kind]) -> Choice:
    """For a job that will be late and that no site can run: what does the rest within a part of the
    time that it was given, or soon after the first machine is up, for least."""
    there = [kind for kind in kinds if kind.room > 0]
    if not there:
        return nothing("no site can run it, and no machine that could can be brought now")
    start_ns = min(kind.start_ns for kind in there)
    time_ns = max(_LATE * lack.whole_ns, _STARTS * start_ns, start_ns + lack.left.rest)
    useful = [kind for kind in there if kind.does(time_ns) > 0]
    found = buy(lack, useful, lack.left.mean, time_ns)
    if not found.bring:
        return nothing(f"it will be late: {found.reasons[0]}")
    late = "its deadline has passed" if (lack.time_ns or 0.0) <= 0 else "nothing is up in time"
    why = f"no site can run it, and {late}: {named(found.bring)} will be brought to do the rest"
    return found._replace(reasons=[f"{why}, for about {money(found.cost)}"])


def _first(lack: Lack, kinds: Sequence[Kind]) -> Choice:
    """Nothing has been timed yet: one machine, if there is none that could."""
    if lack.sites or lack.on_way():
        return nothing()
    found = [kind for kind in kinds if kind.room > 0]
    if lack.time_ns is not None:  # if nothing is up in time, it is carried on all the same
        found = [kind for kind in found if kind.start_ns < lack.time_ns] or found
    spot = [kind for kind in found if kind.rental.tariff.spot]
    if not spot and _may_wait(lack, kinds):
        why = "no site can run it: for a while, one that can be taken away is waited for"
        return nothing(why)._replace(waits=True)
    found = spot if _may_wait(lack, kinds) else found
    if not found:
        return nothing("no site can run it, and no machine that could can be brought now")
    best = min(found, key=lambda kind: (kind.unit, kind.rental.name))
    cost = best.cost(0.0)
    if lack.money is not None and cost > lack.money:
        return nothing(too_dear(cost, lack.money))
    why = "no site can run it: one machine is brought, and its items are timed there"
    return Choice({best.rental.name: 1}, cost, [why])


# --- how much is short --------------------------------------------------------------------------
def tail_ns(lack: Lack) -> float:
    """What is kept for items that begin last."""
    slots = sum(offer.slots for offer in lack.sites)
    slots += sum(many * kind.slots for kind, many in lack.on_way())
    speeds = [offer.speed for offer in lack.sites] or [1.0]
    tail_ns = min(lack.left.last(max(1, slots)) / max(speeds), _TAIL * lack.whole_ns)
    return tail_ns + MARGIN * max(0.0, lack.time_ns or 0.0)


def _short(lack: Lack, kinds: Sequence[Kind], time_ns: float) -> float:
    """Work that has to be done by others, of what is to be reckoned with now."""
    have = sum(site_does(offer, time_ns) for offer in lack.sites)
    have += sum(many * kind.does(time_ns) for kind, many in lack.on_way())
    mean, high = lack.left.mean, lack.left.high
    if mean * (1 + MARGIN) <= have and high <= have:
        return 0.0
    useful = [kind for kind in kinds if kind.room > 0]
    more = sum(kind.room * kind.does(time_ns) for kind in useful)
    unsure = vague(lack)
    if not unsure and high - have >= more * (1 - 2 * MARGIN):
        return high - have
    if mean - have <= MARGIN * mean:
        return 0.0
    start_ns = max((kind.start_ns for kind in useful), default=0.0)
    if time_ns < _STARTS * start_ns + 1:
        return mean - have
    surely = 2 * mean - high - have  # also if the items turn out short
    return surely if unsure or surely <= 0 else mean - have


def vague(lack: Lack) -> bool:
    """Too little is known to bring what is expected, and there is time to learn."""
    return _early(lack) and lack.left.high > _VAGUE * lack.left.mean


def _early(lack: Lack) -> bool:
    return (lack.time_ns or 0.0) > (1 - _LEARN) * lack.whole_ns


def _may_wait(lack: Lack, kinds: Sequence[Kind]) -> bool:
    """Whether a machine that costs less may come."""
    sure = [kind.unit for kind in kinds if not kind.rental.tariff.spot]
    spot = [kind.unit for kind in kinds if kind.rental.tariff.spot]
    return bool(spot) and (not sure or min(spot) < min(sure)) and _early(lack)


def site_does(offer: Offer, time_ns: float) -> float:
    usable_ns = min(time_ns - (0.0 if offer.open else offer.start_ns), offer.lasts_ns)
    return max(0.0, usable_ns) * offer.slots * offer.speed


# --- what to buy --------------------------------------------------------------------------------
def buy(lack: Lack, kinds: Sequence[Kind], short: float, time_ns: float) -> Choice:
    bring, left_over = cover(short, kinds, lambda kind: kind.does(time_ns))
    cost = cost_of(bring, kinds, short, lambda kind: kind.does(time_ns))
    names = named(bring)
    if lack.money is not None:
        room = lack.money - own_cost(lack, time_ns)
        if cost > room:
            return nothing(f"its deadline would take {names}: {too_dear(cost, room)}")
    words = f"{needs(lack)}: {names} will be brought, for about {money(cost)}"
    if left_over > 0:
        words += ", which is all that may be, and not enough"
    return Choice(bring, cost, [words])


def cover(
    work: float, kinds: Sequence[Kind], does: Callable[[Kind], float]
) -> tuple[dict[str, int], float]:
    """The cheapest machines that do so much together, and what work is left over if all that may
    be brought are too few.

    The cheapest by their work come first; the last machines, which may have less to do than they
    could, are of whichever kind does the rest for least.
    """
    ranked = sorted(kinds, key=lambda kind: (kind.cost(does(kind)) / does(kind), kind.rental.name))
    best: tuple[float, dict[str, int]] | None = None
    taken: dict[str, int] = {}
    rest = work
    for n, kind in enumerate(ranked):
        for last in ranked[n:]:
            count = math.ceil(rest / does(last))
            if count <= last.room:
                whole = {**taken, last.rental.name: count}
                found = cost_of(whole, kinds, work, does), whole
                best = found if best is None or found[0] < best[0] else best
        count = min(kind.room, int(rest / does(kind)))
        if count:
            taken[kind.rental.name] = count
            rest -= count * does(kind)
        if rest <= 0:
            break
    if best is not None:
        return best[1], 0.0
    return {kind.rental.name: kind.room for kind in ranked}, rest


def cost_of(
    bring: dict[str, int], kinds: Sequence[Kind], work: float, does: Callable[[Kind], float]
) -> float:
    """Of bringing these for so much work: the cheapest do all that they can."""
    cost = 0.0
    ranked = sorted(kinds, key=lambda kind: (kind.cost(does(kind)) / does(kind), kind.rental.name))
    for kind in ranked:
        count, each = bring.get(kind.rental.name, 0), does(kind)
        full = min(count, int(work / each))
        cost += full * kind.cost(each)
        work -= full * each
        if count > full:
            cost += kind.cost(max(0.0, work)) + (count - full - 1) * kind.cost(0.0)
            work = 0.0
    return cost


def own_cost(lack: Lack, time_ns: float) -> float:
    """What the sites that there are will cost, the cheapest first."""
    work, cost = lack.left.mean, 0.0
    for offer in sorted(lack.sites, key=lambda offer: (offer.unit, offer.site)):
        part = min(work, site_does(offer, time_ns))
        cost += part * offer.unit
        work -= part
    return cost + sum(many * kind.cost(kind.does(time_ns)) for kind, many in lack.on_way())


def needs(lack: Lack) -> str:
    power = sum(offer.slots * offer.speed for offer in lack.sites)
    power += sum(many * kind.power for kind, many in lack.on_way())
    if not power:
        return "no site that there is can run it"
    needs, has = duration(int(lack.left.mean / power)), duration(int(lack.time_ns or 0))
    return f"the sites that there are would need {needs}, and its deadline is in {has}"


def named(bring: dict[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in bring.items())


def too_dear(cost: float, room: float) -> str:
    return f"that costs about {money(cost)}, and its budget has room for {money(max(0.0, room))}"
