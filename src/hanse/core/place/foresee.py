"""What would be rented for a job from now on, if all goes as it is expected to.

The choice is the one that is made while the job runs (`renting.choose`), asked at some moments
between now and the deadline with what would be known and done by then: machines are often brought
late, when it is clear that they are needed. What is known of the items grows as they are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from hanse.core.place.offer import Offer
from hanse.core.place.renting import Group, Kind, Lack, choose
from hanse.core.words import duration
from hanse.ids import SiteId
from hanse.model.aims import HOUR_NS

_LOOKS = 50  # from now to the deadline


class Bought(NamedTuple):
    """So many machines of a kind, asked for so long from now; `asked`: they are on their way."""

    kind: Kind
    many: int
    at_ns: float
    asked: bool = False

    @property
    def up_ns(self) -> float:
        """When they begin their first items."""
        return self.at_ns + self.kind.start_ns

    def does(self, since_ns: float, until_ns: float) -> float:
        """Work in that time."""
        until_ns = min(until_ns, self.up_ns + self.kind.lasts_ns)
        usable_ns = max(0.0, until_ns - max(since_ns, self.up_ns))
        return self.many * usable_ns * self.kind.slots * self.kind.speed

    def cost(self, work: float) -> float:
        """Nano, if they do so much together: from when they are asked for until they are gone."""
        return self.many * self.kind.cost(work / self.many)

    def offer(self, name: str) -> Offer:
        """They, as a site to a plan."""
        slots, hour = self.kind.slots, self.kind.rental.tariff.price_nano
        return Offer(
            SiteId(name), self.many * slots, self.kind.speed, hour / slots / HOUR_NS, self.up_ns,
            self.kind.lasts_ns,
        )  # fmt: skip


class Items(NamedTuple):
    """How many are left, and how many what is known rests on."""

    left: int
    timed: float


def foresee(lack: Lack, kinds: Sequence[Kind], items: Items) -> tuple[list[Bought], list[str]]:
    """What is brought, and when; with the reasons for that, or why nothing is."""
    time_ns = lack.time_ns
    if time_ns is None or not lack.left.sure or not kinds:
        choice = choose(lack, kinds)
        return _bought(choice.bring, kinds, 0.0), choice.reasons
    coming = [Bought(kind, many, 0.0) for kind, many in lack.on_way()]
    lack = lack._replace(held=())
    found: list[Bought] = []
    reasons: list[str] = []
    done = spent = 0.0
    step_ns = time_ns / _LOOKS
    for look in range(_LOOKS if time_ns > 0 else 1):
        if done >= lack.left.mean:
            break
        at_ns = look * step_ns
        choice = choose(later(lack, coming + found, items, at_ns, done, spent), _room(kinds, found))
        found += _bought(choice.bring, kinds, at_ns)
        if choice.reasons and (choice.bring or not reasons):
            when = f"in {duration(int(at_ns))}: " if look else ""
            reasons += [when + reason for reason in choice.reasons]
        work, nano = _step(lack.sites, coming + found, at_ns, at_ns + step_ns)
        done, spent = done + work, spent + nano
    return found, reasons


def _bought(bring: dict[str, int], kinds: Sequence[Kind], at_ns: float) -> list[Bought]:
    named = {kind.rental.name: kind for kind in kinds}
    return [Bought(named[name], count, at_ns) for name, count in bring.items() if count]


def _room(kinds: Sequence[Kind], found: Sequence[Bought]) -> list[Kind]:
    """The kinds, less those machines."""
    taken: dict[str, int] = {}
    for each in found:
        name = each.kind.rental.name
        taken[name] = taken.get(name, 0) + each.many
    return [
        kind._replace(room=max(0, kind.room - taken.get(kind.rental.name, 0))) for kind in kinds
    ]


def later(
    lack: Lack, found: Sequence[Bought], items: Items, at_ns: float, done: float, spent: float
) -> Lack:
    """What it lacks at that moment, so much having been done and spent."""
    left, time_ns = lack.left, lack.time_ns
    assert time_ns is not None
    mean = left.mean - done
    high = mean + (left.high - left.mean) * _narrowed(items, mean / left.mean)
    coming = [
        Group(each.kind._replace(start_ns=max(0.0, each.up_ns - at_ns)), each.many)
        for each in found
    ]
    sites = [
        offer._replace(start_ns=max(0.0, offer.start_ns - at_ns), lasts_ns=offer.lasts_ns - at_ns)
        for offer in lack.sites
    ]
    return lack._replace(
        left=left._replace(mean=mean, high=high), time_ns=time_ns - at_ns,
        money=None if lack.money is None else lack.money - spent, sites=sites, coming=coming,
    )  # fmt: skip


def _narrowed(items: Items, part: float) -> float:
    """By how much less is not known, once this part is left: as `Work.left` has it."""

    def chance(left: float, timed: float) -> float:
        return left + left * left / max(timed, 1.0)

    whole = chance(items.left, items.timed)
    then = chance(part * items.left, items.timed + (1 - part) * items.left)
    return sqrt(then / whole) if whole else 1.0


def _step(
    sites: Sequence[Offer], found: Sequence[Bought], since_ns: float, until_ns: float
) -> tuple[float, float]:
    """Work that is done in that time, and what it costs."""
    work = nano = 0.0
    for offer in sites:
        begin_ns = max(since_ns, 0.0 if offer.open else offer.start_ns)
        usable_ns = max(0.0, min(until_ns, offer.lasts_ns + begin_ns) - begin_ns)
        part = usable_ns * offer.slots * offer.speed
        work, nano = work + part, nano + part * offer.unit
    for each in found:
        work += each.does(since_ns, until_ns)
        paid_ns = max(0.0, until_ns - max(since_ns, each.at_ns))
        nano += each.many * paid_ns * each.kind.rental.tariff.price_nano / HOUR_NS
    return work, nano
