"""What a home has seen of spot machines: those that it could rent, and those that are linked.

That a machine was there, was lost after so long, or could not be had: `place.spells` makes rates of
it, for offers by their names and for linked machines by their regions, and each of them leans on
all others as far as little is known of it. A machine that was given up, or still runs, counts for
the time that it was there (censored data), and what was seen long ago for little.

A rented machine is a site too; it is told of by whoever rents, and counts to its offer alone. The
home's own machine teaches nothing: nobody would be there to see its loss.

What may not live here: clocks and files; whoever owns a home keeps what is told by `told`, and
gives it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Annotated

import msgspec
from msgspec import Meta

from hanse import limits
from hanse.core.place.spells import EDGES, LOST, Pool, class_of, hazards, lasts
from hanse.core.site import Site
from hanse.core.words import duration
from hanse.ids import SiteId
from hanse.model.aims import HOUR_NS
from hanse.model.rental import Rental, Rented

_SHOWN = 0.05  # losses below this have faded: nobody is told of them
_FOLLOW_NS = 60 * limits.SECOND  # how often linked machines are looked at
_AGAIN_NS = 600 * limits.SECOND  # sooner than this after the last one a loss tells nothing new
_OLD_NS = 30 * 24 * HOUR_NS  # what was last seen so long ago has faded to a thousandth
_MOST_NS = 1 << 62
_FOR_EVER = 1e5  # hours

_Number = Annotated[float, Meta(ge=0, le=1e9)]
_ByAge = Annotated[list[_Number], Meta(min_length=len(EDGES), max_length=len(EDGES))]
_Ns = Annotated[int, Meta(ge=0, le=_MOST_NS)]
_Chance = Annotated[float, Meta(ge=0, le=1)]
_Name = Annotated[str, Meta(max_length=limits.SPOT_NAME)]


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one offer or region, as it is kept.

    Attributes:
        up, lost: hours of machines that were there, and how often one was lost, by age
            (`place.spells.EDGES`), as far as that has not faded.
        down, back: hours in which there was none, and how often there was one again.
        ago_ns: how long ago it was last known.
        there: what it was like then; None: nobody knows.
        for_ns: for how long it had been so.
        was_old, was_any: how likely a machine was old when that began, and how likely it was one
            as there is at any moment.
    """

    up: _ByAge
    lost: _ByAge
    down: _ByAge
    back: _ByAge
    ago_ns: _Ns
    there: bool | None = None
    for_ns: _Ns = 0
    was_old: _Chance = 0.0
    was_any: _Chance = 0.0


class Age(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a linked machine that is there."""

    incarnation: _Ns
    age_ns: _Ns


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one run of a home leaves to the next."""

    offers: Annotated[dict[_Name, Seen], Meta(max_length=limits.SPOT_OFFERS)] = {}
    regions: Annotated[dict[_Name, Seen], Meta(max_length=limits.SPOT_REGIONS)] = {}
    ages: Annotated[dict[_Name, Age], Meta(max_length=limits.SPOT_AGES)] = {}


class Spots:
    """Of all machines that can be taken away."""

    def __init__(self, rentals: Iterable[Rental] = ()) -> None:
        self.pools: dict[str, Pool] = {}  # of offers
        self.regions: dict[str, Pool] = {}  # of linked machines
        self.rented: dict[SiteId, str] = {}  # sites that were rented: their offers
        self.own: SiteId | None = None  # the site at the home itself
        self.changes = 0  # grows with whatever is learnt
        self._earlier: dict[str, tuple[int, int]] = {}  # incarnations, and since when they are
        self._unknown = Pool()
        self._rates: dict[Pool, list[float]] = {}  # as of now; empty: to be worked out
        self._followed_ns: int | None = None
        self.offer(rentals)

    def offer(self, rentals: Iterable[Rental]) -> None:
        """These could be rented."""
        for each in rentals:
            if each.tariff.spot:
                self.pools.setdefault(each.name, Pool())

    # --- what is seen of offers -----------------------------------------------------------------
    def look(self, machines: Iterable[Rented], now_ns: int) -> None:
        """These are there."""
        count = dict.fromkeys(self.pools, 0)
        for machine in machines:
            if machine.kind in count:
                count[machine.kind] += 1
        for name, pool in self.pools.items():
            if count[name]:
                pool.see(True, now_ns, count[name])
                self._learnt()
            elif pool.was_up:
                pool.rest()
                self._learnt()

    def lost(self, kind: str, others: int, now_ns: int) -> None:
        """A machine was taken away, and so many of the kind are still there."""
        if (pool := self.pools.get(kind)) is not None:
            pool.lose(now_ns, others)
            self._learnt()

    def refused(self, kind: str, others: int, now_ns: int) -> None:
        """None could be brought. Where others of the kind are there, that says little."""
        if (pool := self.pools.get(kind)) is not None and not others:
            pool.see(False, now_ns)
            self._learnt()

    # --- what is seen of linked machines --------------------------------------------------------
    def begins(self, site: Site, now_ns: int) -> None:
        """An incarnation speaks for the site that did not in this run of the home. It may have done
        so in an earlier one; what became of others meanwhile nobody saw."""
        incarnation, since_ns = self._earlier.pop(site.id, (0, now_ns))
        site.up_ns = min(since_ns, now_ns) if incarnation == site.incarnation else now_ns
        site.watched_ns = now_ns

    def watch(self, site: Site, now_ns: int, *, lost: bool = False) -> None:
        """It was there until now, or until a while after it was last heard of; then it was lost, or
        it may live on."""
        if site.up_ns is None or not self._teaches(site):
            return
        until_ns = max(site.watched_ns, min(now_ns, site.heard_ns + limits.LEASE_TTL_NS))
        if lost:  # again and again it is a process that does not come up: no machine is taken so
            lost = site.lost_ns is None or until_ns - site.lost_ns >= _AGAIN_NS
            site.lost_ns = until_ns if lost else site.lost_ns
        pool = self._region(site.tariff.region)
        pool.watch(site.up_ns, site.watched_ns, until_ns, lost=lost)
        site.watched_ns = until_ns
        self._learnt()

    def follow(self, sites: Iterable[Site], now_ns: int) -> None:
        """Count what is there now, if that was not done a moment ago."""
        if self._followed_ns is not None and now_ns - self._followed_ns < _FOLLOW_NS:
            return
        self._followed_ns = now_ns
        for site in sites:
            self.watch(site, now_ns)
        for pool in self.regions.values():
            pool.fade(now_ns)

    @contextmanager
    def aside(self, sites: Iterable[Site]) -> Iterator[None]:
        """What is counted inside counts there alone: whoever asks what would be teaches nothing."""
        before = self.pools, self.regions, self._rates, self.changes, self._followed_ns
        watched = [(site, site.watched_ns) for site in sites]
        self.pools, self.regions = deepcopy((self.pools, self.regions))
        self._rates = {}
        try:
            yield
        finally:
            self.pools, self.regions, self._rates, self.changes, self._followed_ns = before
            for site, watched_ns in watched:
                site.watched_ns = watched_ns

    def _teaches(self, site: Site) -> bool:
        """A machine that said it would be taken away was counted as lost then."""
        tariff = site.tariff
        return tariff.spot and not tariff.rented and not site.leaving and site.id != self.own

    def _region(self, name: str) -> Pool:
        pool = self.regions.get(name)
        if pool is None:
            if len(self.regions) >= limits.SPOT_REGIONS:
                known = self.regions
                del known[min(known, key=lambda each: (known[each].up + known[each].lost, each))]
            pool = self.regions[name] = Pool()
        return pool

    def _learnt(self) -> None:
        self.changes += 1
        self._rates = {}

    # --- what follows ---------------------------------------------------------------------------
    def lasts_ns(self, now_ns: int) -> dict[str, float]:
        """How long a machine of each offer is expected to stay from now on, with care."""
        found = {}
        for name, pool in self.pools.items():
            losses = [pool.care * rate for rate in self._losses(pool)]
            found[name] = lasts(losses, pool.age(True, now_ns), _FOR_EVER) * HOUR_NS
        return found

    def loss_ns(self, site: Site, now_ns: int) -> int:
        """Mean time between losses of machines like it, at its age."""
        pool, age = self._like(site, now_ns)
        return int(min(HOUR_NS / self._losses(pool)[class_of(age)], _MOST_NS))

    def stays_ns(self, site: Site, now_ns: int, horizon_ns: int) -> float:
        """How long it is expected to run on, within the horizon."""
        pool, age = self._like(site, now_ns)
        return lasts(self._losses(pool), age, horizon_ns / HOUR_NS) * HOUR_NS

    def _like(self, site: Site, now_ns: int) -> tuple[Pool, float]:
        """Whose losses it shares, and its age in hours as they count it."""
        offered = self.pools.get(self.rented.get(site.id, ""))
        if offered is not None:
            return offered, offered.age(True, now_ns)
        born_ns = now_ns if site.up_ns is None else site.up_ns
        return self.regions.get(site.tariff.region, self._unknown), (now_ns - born_ns) / HOUR_NS

    def _losses(self, pool: Pool) -> list[float]:
        """For an hour, by class of age."""
        if not self._rates:
            pools = [self._unknown, *self.pools.values(), *self.regions.values()]
            rates = hazards([each.ups for each in pools], LOST)
            self._rates = dict(zip(pools, rates, strict=True))
        return self._rates[pool]

    def words(self, kind: str) -> str:
        """What was seen of one offer; empty if that is nothing."""
        pool = self.pools.get(kind)
        if pool is None:
            return ""
        said = []
        if pool.up > 0:
            often = "never lost" if pool.lost < _SHOWN else f"lost {_times(pool.lost)}"
            said.append(f"{often} in {duration(int(pool.up * HOUR_NS))}")
        if pool.down > 0:
            said.append(f"not to be had for {duration(int(pool.down * HOUR_NS))}")
        return ", ".join(said)

    # --- what is kept ---------------------------------------------------------------------------
    def told(self, sites: Iterable[Site], now_ns: int) -> Told:
        """Everything that another run could use, of these sites too."""
        there = [each for each in sites if each.up_ns is not None and self._teaches(each)]
        self._followed_ns = None
        self.follow(there, now_ns)
        ages = {
            each.id: Age(incarnation=each.incarnation, age_ns=now_ns - (each.up_ns or 0))
            for each in there
            if len(each.id) <= limits.SPOT_NAME
        }
        return Told(
            offers=_told(self.pools, now_ns, limits.SPOT_OFFERS),
            regions=_told(self.regions, now_ns, limits.SPOT_REGIONS),
            ages=dict(list(ages.items())[: limits.SPOT_AGES]),
        )

    def recall(self, told: Told, ago_ns: int, now_ns: int) -> None:
        """What an earlier run has told so long ago."""
        then_ns = now_ns - ago_ns
        for name, seen in told.offers.items():
            _recall(self.pools, name, seen, then_ns, now_ns)
        for name, seen in told.regions.items():
            _recall(self.regions, name, seen, then_ns, now_ns)
        for name, age in told.ages.items():
            self._earlier[name] = age.incarnation, then_ns - age.age_ns
        self._learnt()


def _told(pools: dict[str, Pool], now_ns: int, most: int) -> dict[str, Seen]:
    told = {
        name: Seen(
            up=pool.ups.hours, lost=pool.ups.ends, down=pool.downs.hours, back=pool.downs.ends,
            ago_ns=max(0, now_ns - pool.seen_ns), there=pool.was_up,
            for_ns=max(0, pool.seen_ns - pool.since_ns), was_old=pool.was_old, was_any=pool.was_any,
        )
        for name, pool in pools.items()
        if len(name) <= limits.SPOT_NAME
        and (pool.up or pool.lost or pool.down or pool.was_up is not None)
    }  # fmt: skip
    return dict(list(told.items())[:most])


def _recall(pools: dict[str, Pool], name: str, seen: Seen, then_ns: int, now_ns: int) -> None:
    seen_ns = then_ns - seen.ago_ns
    if now_ns - seen_ns > _OLD_NS:
        return
    pool = pools.setdefault(name, Pool())
    pool.ups.hours, pool.ups.ends = list(seen.up), list(seen.lost)
    pool.downs.hours, pool.downs.ends = list(seen.down), list(seen.back)
    pool.was_up, pool.seen_ns, pool.since_ns = seen.there, seen_ns, seen_ns - seen.for_ns
    pool.was_old = seen.was_old
    pool.was_any = min(seen.was_any, 1 - seen.was_old)


def _times(count: float) -> str:
    whole = max(1, round(count))
    return {1: "once", 2: "twice"}.get(whole, f"{whole} times")
