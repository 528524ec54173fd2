"""Which bytes are expected to travel, once it is known which site does how much of the work.

Each site begins with what is nearest to it, of what it may take, and goes on to the next once that
is begun by somebody: that is followed as if items were a fluid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse.core.place.near import Lot, Share
from hanse.core.place.offer import Offer
from hanse.ids import SiteId

_LEAST = 1e-9  # of all items: less than that is nothing


class Chunks(NamedTuple):
    """The chunks of a job as of one moment, for its offers, which are in the same order."""

    offers: Sequence[Offer]
    lots: Sequence[Lot]
    fetched: Sequence[Sequence[float]]  # by lot and offer: bytes that one item fetches there
    shares: Share  # what each may take, in order


class Part(NamedTuple):
    """What one site is expected to take, of items that nobody has begun."""

    work: float
    nbytes: float  # from other regions
    nano: float  # for these


def allot(chunks: Chunks, works: Mapping[SiteId, float]) -> dict[SiteId, Part]:
    """`works` is how much of the work each site does."""
    items = _flown(chunks, works)
    found = {}
    for at, offer in enumerate(chunks.offers):
        work = nbytes = nano = 0.0
        for number, lot in enumerate(chunks.lots):
            count = items[at][number]
            work += count * lot.work
            nbytes += count * chunks.fetched[number][at]
            nano += count * lot.carry[at]
        found[offer.site] = Part(work, nbytes, nano)
    return found


def _flown(chunks: Chunks, works: Mapping[SiteId, float]) -> list[list[float]]:
    """Items by site and lot: each takes what it may until it has done its part of the work."""
    lots = chunks.lots
    number = {lot.chunk: n for n, lot in enumerate(lots)}
    each = [lot.work or 1.0 for lot in lots]
    rest = [lot.items * work for lot, work in zip(lots, each, strict=True)]
    whole, told = sum(rest), sum(works.get(offer.site, 0.0) for offer in chunks.offers)
    parts = [whole * works.get(o.site, 0.0) / told if told else 0.0 for o in chunks.offers]
    order = [[number[chunk] for chunk in chunks.shares.get(offer.site, {}) if chunk in number]
             for offer in chunks.offers]  # fmt: skip
    found = [[0.0] * len(lots) for _ in chunks.offers]
    for _ in range(len(lots) + len(parts)):
        takes = {
            at: next((n for n in order[at] if rest[n] > _LEAST * whole), None)
            for at, part in enumerate(parts)
            if part > _LEAST * whole
        }
        powers: dict[int, float] = {}
        for at, n in takes.items():
            if n is not None:
                powers[n] = powers.get(n, 0.0) + chunks.offers[at].power
        spans = [rest[n] / power for n, power in powers.items()]
        spans += [parts[at] / chunks.offers[at].power for at, n in takes.items() if n is not None]
        if not spans:
            break
        for at, n in takes.items():
            if n is not None:
                done = min(spans) * chunks.offers[at].power
                found[at][n] += done / each[n]
                rest[n] -= done
                parts[at] -= done
    return found
