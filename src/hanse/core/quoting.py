"""What a job would take and cost: the plan that would be made for it, with nothing submitted.

The same offers, the same estimate of the work and the same `plan` as for jobs that run. Which site
does how much is what filling the cheapest first comes to, as the plan's own cost is reckoned.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import msgspec

from hanse.core.events import Timed
from hanse.core.home import Home
from hanse.core.place.plan import Goal, Offer, plan
from hanse.core.place.work import Left
from hanse.core.why import refusals
from hanse.ids import SiteId
from hanse.limits import REPORT_EVERY_NS, SECOND
from hanse.model.aims import NANO, Aims
from hanse.model.job import JobSpec
from hanse.model.quote import Quote, Row, SiteShare, Sureness

_TAIL = 0.05  # of all time: what is kept for the last items at most, as in `plan`


def quote(
    home: Home, spec: JobSpec, timed: Sequence[Timed], aims: Sequence[Aims], now_ns: int
) -> Quote:
    """For a job of `spec.total` items of which these segments were timed, one row for each of these
    aims. Regions, data and kinds of sites are those of the spec's own aims."""
    spec = msgspec.structs.replace(spec, aims=spec.aims or Aims())
    with home.imagined(spec, timed, now_ns) as job:
        assert job.place is not None
        offers, left = home.outlook(job)
        used = [offer.site for offer in offers]
        why = refusals(home, job, now_ns)
        refused = {str(site): words for site, words in why.items() if site not in used}
        mean, variance, count = job.place.work.moments()
    told = Quote(items=spec.total or 0, timed=int(count), refused=refused)
    if not count or not offers or not spec.total:
        return told
    rows = [_row(offers, left, each) for each in aims]
    item_s, spread = mean / SECOND, sqrt(variance) * mean / SECOND
    return msgspec.structs.replace(told, item_s=item_s, spread=spread, rows=rows)


def _row(offers: Sequence[Offer], left: Left, aims: Aims) -> Row:
    time_ns = None if aims.deadline_ns is None else float(aims.deadline_ns)
    goal = Goal(aims.objective, time_ns, None, REPORT_EVERY_NS, time_ns or 0.0)
    found = plan(offers, left, goal)
    ranked = sorted(offers, key=lambda offer: (offer.unit, offer.site))
    if aims.objective == "cheapest" and time_ns is not None:
        parts = _cheapest_first(ranked, left, time_ns)
    else:
        parts = _side_by_side([offer for offer in ranked if found.slots.get(offer.site)])
    cost = sum(share * left.mean * offer.unit for offer, share in parts)
    return Row(
        objective=aims.objective, deadline_s=None if time_ns is None else time_ns / SECOND,
        end_s=found.end_ns / SECOND, end_high_s=max(found.end_ns, found.high_ns) / SECOND,
        cost=cost / NANO, cost_high=max(cost, found.high_cost) / NANO,
        met="sure" if time_ns is None else _met(ranked, left, time_ns),
        paid=_paid(aims, cost, max(cost, found.high_cost)),
        sites=[
            SiteShare(
                site=offer.site, slots=offer.slots, share=share,
                cost=share * left.mean * offer.unit / NANO,
            )
            for offer, share in parts
        ],
    )  # fmt: skip


def _side_by_side(offers: Sequence[Offer]) -> list[tuple[Offer, float]]:
    power = sum(offer.slots * offer.speed for offer in offers)
    return [(offer, offer.slots * offer.speed / power) for offer in offers]


def _cheapest_first(
    ranked: Sequence[Offer], left: Left, time_ns: float
) -> list[tuple[Offer, float]]:
    """What each does by the deadline, the cheapest first; what is too much is late at all."""
    usable = _usable(ranked, left, time_ns)
    parts, rest = dict[SiteId, float](), left.mean
    for offer in ranked:
        part = min(rest, _does(offer, usable[offer.site]))
        parts[offer.site] = part / left.mean
        rest -= part
    if rest > 0:
        late = {offer.site: share for offer, share in _side_by_side(ranked)}
        for site in parts:
            parts[site] += rest / left.mean * late[site]
    return [(offer, parts[offer.site]) for offer in ranked if parts[offer.site] > 0]


def _met(ranked: Sequence[Offer], left: Left, time_ns: float) -> Sureness:
    usable = _usable(ranked, left, time_ns)
    most = sum(_does(offer, usable[offer.site]) for offer in ranked)
    return _sureness(left.mean, left.high, most)


def _paid(aims: Aims, cost: float, high: float) -> Sureness:
    return "sure" if aims.budget_nano is None else _sureness(cost, high, aims.budget_nano)


def _sureness(mean: float, high: float, most: float) -> Sureness:
    if high <= most:
        return "sure"
    return "even" if mean <= most else "no"


def _usable(ranked: Sequence[Offer], left: Left, time_ns: float) -> dict[SiteId, float]:
    """The time in which each can begin items that end before the deadline."""
    last = left.last(sum(offer.slots for offer in ranked))
    return {
        offer.site: max(0.0, time_ns - min(last / offer.speed, _TAIL * time_ns)) for offer in ranked
    }


def _does(offer: Offer, time_ns: float) -> float:
    """Work that it is expected to do within so long, from a standing start."""
    return max(0.0, min(time_ns - offer.start_ns, offer.lasts_ns)) * offer.slots * offer.speed
