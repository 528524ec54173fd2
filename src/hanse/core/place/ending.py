"""How long before a deadline the last items begin, at each site.

An item that begins late and turns out long is what deadlines are missed by. Time that is kept for
that is time of cheap sites, whose work dearer ones do instead. So two things are weighed: what it
saves to do one more item at a site, and the chance that this item is too long even for the fastest
site. Where sites cost about the same, or items differ much, more time is kept than where the next
site is many times as dear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hanse.core.place.offer import Offer
from hanse.core.place.work import Left
from hanse.ids import SiteId

_MISSED = 0.4  # of what the job costs: what a missed deadline weighs as much as
_AT_MOST = 0.07  # of what the job costs: more is not spent for that
_LEAST = 0.6  # of the time that is weighed: this much is kept whatever it costs
_LONGEST = 0.25  # of all time: more is not kept
_SAVED = 0.2  # of what an item costs: what it saves at least to wait whether it is needed
_RESCUE = 0.25  # how much of a long item, begun at a slow site, the fastest one does after all


def kept(
    ranked: Sequence[Offer], left: Left, time_ns: float, whole_ns: float, spent: float
) -> dict[SiteId, float]:
    """For each site how long before the deadline its last item must begin. The offers are in the
    order in which they are used."""
    time_ns = max(0.0, time_ns)
    empty = [offer.of(offer.slots) for offer in ranked]
    whole = costs(empty, max(left.whole, left.mean), max(whole_ns, time_ns))
    last = _weighed(ranked, left, time_ns, whole_ns, _MISSED * whole)

    def scaled(scale: float) -> dict[SiteId, float]:
        return {site: scale * each_ns for site, each_ns in last.items()}

    def fits(scale: float) -> bool:
        cost, _, rest = filled(ranked, left.mean, time_ns, scaled(scale))
        dear = scale > _LEAST and spent + cost > (1 + _AT_MOST) * whole
        return rest <= 0 and not dear

    low, high = 0.0, 1.0
    if fits(high):
        return last
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return scaled(low)


def _weighed(
    ranked: Sequence[Offer], left: Left, time_ns: float, whole_ns: float, missed: float
) -> dict[SiteId, float]:
    """What an item saves at a site, beside the dearest one that is needed, is worth the chance that
    it is too long."""
    fastest = max(offer.speed for offer in ranked)
    last = {offer.site: 0.0 for offer in ranked}
    unit = 0.0
    for _ in range(3):  # time that is kept may make a dearer site needed
        unit = max(unit, filled(ranked, left.mean, time_ns, last)[1])
        for offer in ranked:
            saves = max(unit - offer.unit, _SAVED * unit) * left.each
            longest = left.tail.longer(saves / missed if missed > 0 else 0.0)
            speed = _RESCUE * fastest + (1 - _RESCUE) * offer.speed  # a long one begins again
            last[offer.site] = min(longest / speed, _LONGEST * whole_ns)
    return last


def filled(
    ranked: Sequence[Offer], work: float, time_ns: float, last: Mapping[SiteId, float]
) -> tuple[float, float, float]:
    """The cheapest sites first: what that costs, a unit at the dearest one that is needed (which is
    the dearest of all if not all fits), and the work that does not fit."""
    cost, unit = 0.0, ranked[0].unit
    for offer in ranked:
        part = min(work, offer.does(time_ns - last[offer.site]))
        if part > 0:
            cost, unit, work = cost + part * offer.unit, offer.unit, work - part
    return cost, unit if work <= 0 else ranked[-1].unit, work


def costs(ranked: Sequence[Offer], work: float, time_ns: float) -> float:
    """Of doing so much by then, the cheapest sites first; what is too much goes to the dearest."""
    cost, _, rest = filled(ranked, work, time_ns, {offer.site: 0.0 for offer in ranked})
    return cost + rest * ranked[-1].unit
