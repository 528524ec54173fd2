"""Which site works on which chunk of a job's data, where each item reads its own part.

An item that runs in the region of its data moves nothing; elsewhere each byte has a price, and the
item may still be cheaper there, or in time only there. Chunks are cut into pieces, and `chunks`
places the pieces as it would place data sets. That is followed where it pays: sites then take items
of the chunks that they were given, in the order in which they are the right place for them. Where
it does not, or where time is all that counts, every site takes any item, those near it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from heapq import nsmallest
from itertools import pairwise
from typing import NamedTuple

from hanse.core.place.chunks import Choice, score, settle
from hanse.core.place.data import ByChunk, Places
from hanse.core.place.efforts import Efforts
from hanse.core.place.offer import Offer
from hanse.core.place.plan import ALL
from hanse.ids import SiteId
from hanse.model.ranges import Range

_PIECES = 24  # that all chunks are cut into, about
_MARGIN = 0.03  # of the time left: so much sooner than it has to a dearer site begins
_DOUBT = 0.05  # of the time left: so much may turn out to be no lack
_LAST = 1.5  # items: ... and so many
_LIKE = 1.001  # so much dearer is as cheap
_NONE: Mapping[int, int] = {}

Share = dict[SiteId, dict[int, int]]  # how many items of which chunks each site may take, in order


class Lot(NamedTuple):
    """What nobody has begun of a chunk."""

    chunk: int
    items: int
    work: float  # of one item, at speed 1; 0: nothing is known of any
    timed: int  # items of it that it rests on
    carry: Sequence[float]  # nano for one item's bytes, by offer
    runs: int = 0  # items of it that run, and will be timed soon


Parts = dict[SiteId, tuple[float, float]]  # of what is in the lots: work, and nano expected


class Followed(NamedTuple):
    shares: Share
    cost: float  # nano expected, of what is in the lots
    end_ns: float
    parts: Parts


class Near:
    """Of one job whose items say where their data lies: what its sites may take."""

    __slots__ = ("efforts", "everywhere", "parts", "ready", "shares", "strict")

    def __init__(self) -> None:
        self.efforts = Efforts()
        self.ready = ByChunk(Places())
        self.shares: Share = {}
        self.strict = False  # sites keep to their chunks
        self.parts: Parts = {}  # then: what each site is expected to do
        self.everywhere: set[SiteId] = set()  # where all that is leased may run

    def free(self, places: Places, ranges: Sequence[Range] = ()) -> ByChunk:
        """The job's ready items from now on."""
        self.ready = ByChunk(places, ranges)
        self.ready.turned = True
        return self.ready

    def chunk_for(self, site: SiteId) -> int | None:
        """Of which chunk the site takes items next; None: of none."""
        for chunk, most in self.shares.get(site, _NONE).items():
            if most > 0 and self.ready.chunks.get(chunk):
                return chunk
        return None

    def allows(self, site: SiteId) -> bool:
        """Whether there is something for the site to take; or to take over, once all is leased."""
        if not self.ready:
            return not self.strict or site in self.everywhere
        return self.chunk_for(site) is not None

    def next_for(self, site: SiteId, most: int) -> Range | None:
        """What the site would take, so many items at most."""
        chunk = self.chunk_for(site)
        if chunk is None:
            return None
        return self.ready.next_of(chunk, min(most, self.shares[site][chunk]))

    def take(self, site: SiteId, most: int) -> Range:
        """Take that. It must be allowed."""
        chunk = self.chunk_for(site)
        assert chunk is not None
        span = self.ready.next_of(chunk, min(most, self.shares[site][chunk]))
        if self.shares[site][chunk] < ALL:
            self.shares[site][chunk] -= span[1] - span[0]
        self.ready.remove(*span)
        return span


def any_where(offers: Sequence[Offer], lots: Sequence[Lot]) -> Share:
    """Every site takes all, first what loses the most if others take it."""
    return {
        offer.site: {lot.chunk: ALL for lot in ranked}
        for offer, ranked in zip(offers, _ranked(offers, lots), strict=True)
    }


def probe(shares: Share, lots: Sequence[Lot], leased: Set[int]) -> Share:
    """The same, but one item only of each chunk of which none was timed; none, if one runs."""
    most = {lot.chunk: int(lot.chunk not in leased) for lot in lots if not lot.timed}
    return {
        site: {chunk: min(most.get(chunk, ALL), count) for chunk, count in share.items()}
        for site, share in shares.items()
    }


def follow(
    offers: Sequence[Offer], lots: Sequence[Lot], busy: Sequence[float], time_ns: float | None
) -> Followed:
    """The cheapest way in which all is done in time; `busy` are nanoseconds for which the sites
    have work already. Without a time: the cheapest."""
    cost = [[_cost(offer, lot, at) for at, offer in enumerate(offers)] for lot in lots]
    if time_ns is None or any(lot.items and not lot.work for lot in lots):
        return _cheapest(offers, lots, cost)
    pieces = _pieces(lots)
    powers = [offer.power for offer in offers]
    rows = {
        (number, items): [
            Choice(items * nano, items * lots[number].work / power)
            for nano, power in zip(cost[number], powers, strict=True)
        ]
        for number, items in set(pieces)
    }
    choices = [rows[piece] for piece in pieces]
    way = settle(choices, time_ns, busy)
    _, total = score(choices, way, time_ns, busy)
    given: list[dict[int, int]] = [{} for _ in offers]
    times = list(busy)
    parts: Parts = {}
    for (number, items), at, row in zip(pieces, way, choices, strict=True):
        given[at][number] = given[at].get(number, 0) + items
        times[at] += row[at].time_ns
        _add(parts, offers[at].site, items * lots[number].work, row[at].cost)
    _put_off(given, offers, lots, cost, times, time_ns)
    shares: Share = {}
    for number, lot in enumerate(lots):
        if not lot.items:
            given[min(range(len(offers)), key=lambda at: cost[number][at])][number] = 0
    seconds = [_least_two(row) for row in cost]
    for at, offer in enumerate(offers):
        order = sorted(given[at], key=lambda n: (_loses(cost[n], seconds[n], at), lots[n].chunk))
        shares[offer.site] = {
            lots[n].chunk: ALL if given[at][n] == lots[n].items else given[at][n] for n in order
        }
    return Followed(shares, total, max(times, default=0.0), parts)


def _put_off(
    given: Sequence[dict[int, int]], offers: Sequence[Offer], lots: Sequence[Lot],
    cost: Sequence[Sequence[float]], times: Sequence[float], time_ns: float,
) -> None:  # fmt: skip
    """What a dearer site is given as there seems to be a little too little time elsewhere waits
    until that site has just time for it: it may turn out that there was enough."""
    home = [row.index(min(row)) for row in cost]
    lack = [has - time_ns for has in times]  # if each did all that it is the cheapest site for
    away = [(at, n) for at, those in enumerate(given) for n in those
            if cost[n][at] > cost[n][home[n]] * _LIKE]  # fmt: skip
    for at, number in away:
        work = given[at][number] * lots[number].work
        lack[home[number]] += work / offers[home[number]].power
    for at, number in away:
        last_ns = _MARGIN * time_ns + _LAST * lots[number].work / offers[at].speed
        doubted = lack[home[number]] < _DOUBT * time_ns and not offers[at].sunk
        if doubted and time_ns - times[at] > last_ns:
            has = given[home[number]]  # which may take it, if there is time
            has[number] = has.get(number, 0) + given[at].pop(number)


def _add(parts: Parts, site: SiteId, work: float, nano: float) -> None:
    before = parts.get(site, (0.0, 0.0))
    parts[site] = before[0] + work, before[1] + nano


def _cheapest(
    offers: Sequence[Offer], lots: Sequence[Lot], cost: Sequence[Sequence[float]]
) -> Followed:
    shares: Share = {offer.site: {} for offer in offers}
    total, times = 0.0, [0.0] * len(offers)
    parts: Parts = {}
    for lot, row in zip(lots, cost, strict=True):
        # Where nothing is known of the work, the price of the time decides between equals.
        best = min(row)
        unit = min(o.alone for o, c in zip(offers, row, strict=True) if c == best)
        likes = [
            at for at, offer in enumerate(offers)
            if row[at] <= best * _LIKE and (lot.work or offer.alone <= unit * _LIKE)
        ]  # fmt: skip
        power = sum(offers[at].power for at in likes)
        for at in likes:
            shares[offers[at].site][lot.chunk] = ALL
            times[at] += lot.items * lot.work / power
            share = lot.items * offers[at].power / power
            _add(parts, offers[at].site, share * lot.work, share * row[at])
        total += lot.items * best
    for offer, ranked in zip(offers, _ranked(offers, lots), strict=True):
        found = shares[offer.site]
        shares[offer.site] = {lot.chunk: ALL for lot in ranked if lot.chunk in found}
    return Followed(shares, total, max(times, default=0.0), parts)


def _cost(offer: Offer, lot: Lot, at: int) -> float:
    return lot.work * offer.cost / offer.speed + lot.carry[at]


def _least_two(row: Sequence[float]) -> tuple[float, float]:
    """The least, and the least of the others; where there is one alone, that twice."""
    found = nsmallest(2, row) or [0.0]
    return found[0], found[-1]


def _loses(row: Sequence[float], least: tuple[float, float], at: int) -> float:
    """How much more an item costs at this site than at the best of the others."""
    return row[at] - least[row[at] == least[0]]


def _ranked(offers: Sequence[Offer], lots: Sequence[Lot]) -> list[list[Lot]]:
    """For each site: by what their bytes cost there and not at others; the largest of equals
    first."""
    least = [_least_two(lot.carry) for lot in lots]
    order = sorted(range(len(lots)), key=lambda n: (-lots[n].items, lots[n].chunk))
    found = []
    for at in range(len(offers)):
        loses = [_loses(lot.carry, two, at) for lot, two in zip(lots, least, strict=True)]
        found.append([lots[n] for n in sorted(order, key=loses.__getitem__)])
    return found


def _pieces(lots: Sequence[Lot]) -> list[tuple[int, int]]:
    """Lots by number, cut: so many items each."""
    found = []
    count = max(2, _PIECES // max(1, len(lots)))
    for number, lot in enumerate(lots):
        cuts = [lot.items * n // count for n in range(count + 1)]
        found += [(number, b - a) for a, b in pairwise(cuts) if b > a]
    return found
