"""What bytes from other regions add to what is expected of a job.

What each item reads travels with it; what all items share travels once to each site and to each
machine, however few items it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.place.allot import Chunks, Part, allot
from hanse.core.place.foresee import Bought
from hanse.core.place.offer import Offer
from hanse.ids import SiteId


class Moved(NamedTuple):
    """What a site is expected to fetch from other regions, and nano for that."""

    nbytes: float
    nano: float

    def plus(self, other: tuple[float, float], part: float) -> Moved:
        """With so much of that."""
        return Moved(self.nbytes + part * other[0], self.nano + part * other[1])


class Bytes(NamedTuple):
    """Of a job, as of one moment. Pairs are bytes, and nano for them.

    Attributes:
        items: that are left.
        regions: of all sites.
        whole: by region: what all items that are left would fetch if they were done there. Where
            there are chunks, sites fetch by these, so only regions of machines that can be
            brought are here.
        once: what a site has yet to fetch of what all items share.
        fresh: the same, by region, of a machine that has nothing of it.
        chunks: of a job whose items say where their data lies.
    """

    items: int
    regions: Mapping[SiteId, str]
    whole: Mapping[str, tuple[int, int]]
    once: Mapping[SiteId, tuple[int, int]]
    fresh: Mapping[str, tuple[int, int]]
    chunks: Chunks | None

    @staticmethod
    def of(home: Home, job: Job, items: int, offers: Sequence[Offer]) -> Bytes:
        regions = {site.id: site.tariff.region for site in home.sites.values()}
        brought = {one.tariff.region for one in home.rentals.values()}
        every = brought.union(regions.values())
        assert job.place is not None
        fresh = {region: home.fetches_fresh(job.place, region) for region in sorted(every)}
        chunks = home.chunks(job, offers)
        return Bytes(
            items, regions,
            home.fetches(job, sorted(every if chunks is None else brought)),
            {site.id: home.fetches_once(job, site) for site in home.sites.values()},
            fresh, chunks,
        )  # fmt: skip

    def allotted(self, works: Mapping[SiteId, float]) -> Mapping[SiteId, Part]:
        """Where items say where their data lies, each site takes what is near it first."""
        return {} if self.chunks is None else allot(self.chunks, works)

    def at_site(self, site: SiteId, share: float, part: Part | None, own: float) -> Moved:
        """What it fetches if it does that share of the work.

        Args:
            part: what it takes, if sites did all of it.
            own: what of it sites do.
        """
        moved = Moved(0.0, 0.0)
        if part is not None:
            moved = moved.plus((part.nbytes, part.nano), own)
        elif self.chunks is None:
            moved = moved.plus(self.whole[self.regions[site]], share)
        return moved.plus(self.once[site], self.begins(share))

    def at_machines(self, each: Bought, share: float) -> float:
        """Nano for what those fetch that do that share together."""
        region = each.kind.rental.tariff.region
        moved = Moved(0.0, 0.0).plus(self.whole[region], share)
        return moved.plus(self.fresh[region], each.many * self.begins(share / each.many)).nano

    def each(self, site: SiteId, mean: float) -> float:
        """Nano per unit of work, of so much in all, beside what all items share."""
        return self.whole[self.regions[site]][1] / mean

    def begins(self, share: float) -> float:
        """How likely it is that somebody with such a share begins an item at all."""
        return min(1.0, share * self.items)
