"""Which sites a job uses, and how many slots of each: the cheapest set that does what is asked.

For work that can be divided, filling the cheapest sites first until the deadline is met is the
optimum of the linear program (divisible load theory). How much work there is is not known, so what
a dear site is needed for is put off as long as it can be: whatever turns out to be less is saved,
and if it is more there is room. Three rules:

- what will be needed even if items turn out short is begun now, at an even pace (uniform progress:
  Wu et al., "Can't Be Late", NSDI 2024);
- a site is opened at the last moment at which it and all that are cheaper can still do what is
  expected;
- once all sites together can only just do what may be left, in about 19 of 20 cases, all are
  opened (the same paper's safety net). Sites that may be lost count for what they are expected to
  last, and for nothing in the last rule, if there are others.

A site that is open closes only when it is not needed by a margin, so nothing flaps. Machines that
were rented are used first: they are paid for in any case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse.core.place.ending import costs, kept
from hanse.core.place.offer import Offer
from hanse.core.place.work import Left
from hanse.ids import SiteId

ALL = 1 << 30
_KEEP = 0.03  # of the time left: by how much a site that is open must be idle to be closed
_LATE = 0.01  # of the time left: so much earlier than the last moment
_SURE = 2.0  # spreads: what is left is hardly less than the mean less these
_LAST = 1.5  # items: a slot's last one begins so long before the deadline, or may not end in time
_HOLD = 0.01  # of the time left: so much must be spare before the safety net is let go


class Goal(NamedTuple):
    objective: str
    time_ns: float | None  # left until the deadline
    money: float | None  # left of the budget
    every_ns: float  # how long until the next look
    whole_ns: float = 0.0  # from the beginning to the deadline
    spent: float = 0.0  # nano so far


class Plan(NamedTuple):
    slots: dict[SiteId, int]  # how many to use; ALL: whatever it has; none named: none
    reasons: dict[SiteId, str]  # why a site is not used, or not in full
    cost: float  # nano expected from now on
    high_cost: float
    end_ns: float  # from now on, expected
    high_ns: float
    hurry: bool  # the safety net is drawn


def plan(offers: Sequence[Offer], left: Left, goal: Goal) -> Plan:
    """Decide anew. The offers are those that may be used at all."""
    ranked = sorted(offers, key=lambda offer: (not offer.sunk, offer.unit, offer.site))
    if not ranked:
        return Plan({}, {}, 0.0, 0.0, 0.0, 0.0, hurry=False)
    slots, reasons, hurry = _choose(ranked, left, goal)
    return _expected(ranked, slots, reasons, left, goal, hurry)


def _choose(
    ranked: Sequence[Offer], left: Left, goal: Goal
) -> tuple[dict[SiteId, int], dict[SiteId, str], bool]:
    time_ns = goal.time_ns
    if goal.objective == "fastest":
        if goal.money is None or not left.sure:
            return {offer.site: ALL for offer in ranked}, {}, False
        # Money is what is short, and time on a rented machine costs some, as at any other site.
        ranked = sorted(ranked, key=lambda offer: (offer.unit, offer.site))
        time_ns = _soonest(ranked, left, goal.money)
        if goal.time_ns is not None:
            time_ns = min(time_ns, goal.time_ns)
        if math.isinf(time_ns):
            return _cheapest(ranked)
        return _even(ranked, left, time_ns)
    if time_ns is None:
        return _cheapest(ranked)
    if not left.sure:
        first, reasons, _ = _cheapest(ranked)
        return first, reasons, False
    return _by_deadline(ranked, left, time_ns, goal)


def _cheapest(ranked: Sequence[Offer]) -> tuple[dict[SiteId, int], dict[SiteId, str], bool]:
    best = ranked[0].unit
    slots = {offer.site: ALL for offer in ranked if offer.unit <= best * 1.001}
    reasons = {
        offer.site: f"an item costs {offer.unit / best:.2f} times as much there as at "
        f"{ranked[0].site}"
        if best
        else f"{ranked[0].site} costs nothing"
        for offer in ranked
        if offer.site not in slots
    }
    return slots, reasons, False


# --- deadlines ----------------------------------------------------------------------------------
def _by_deadline(
    ranked: Sequence[Offer], left: Left, time_ns: float, goal: Goal
) -> tuple[dict[SiteId, int], dict[SiteId, str], bool]:
    late_ns = goal.every_ns + _LATE * max(0.0, time_ns)
    left = left.unbegun()
    ranked = [offer._replace(busy=left.running.get(offer.site, 0.0)) for offer in ranked]
    last_ns = kept(ranked, left, time_ns, goal.whole_ns, goal.spent)
    in_time = [offer for offer in ranked if time_ns > last_ns[offer.site]]
    open_to = _soonest_ended(in_time or _last(ranked, left, time_ns), left, time_ns)
    reasons = {
        offer.site: "an item that begins there now may not end before the deadline"
        for offer in ranked
        if offer not in open_to
    }
    hold_ns = _HOLD * time_ns if all(offer.open for offer in open_to) else 0.0
    if _must_hurry(open_to, left, time_ns - late_ns - hold_ns):
        return {offer.site: ALL for offer in open_to}, reasons, True
    slots: dict[SiteId, int] = {}
    before = 0.0  # what the cheaper sites can do by the deadline
    for offer in open_to:
        usable_ns = time_ns - last_ns[offer.site]
        use = _needed(offer, left, before, time_ns, usable_ns, late_ns)
        if use:
            slots[offer.site] = use
        else:
            reasons[offer.site] = "it is dearer than needed for the deadline"
        if use != ALL and use:
            slot = "slot of it is" if use == 1 else "slots of it are"
            reasons[offer.site] = f"{use} {slot} enough for the deadline"
        before += offer.does(usable_ns)
    return slots, reasons, False


def _last(ranked: Sequence[Offer], left: Left, time_ns: float) -> list[Offer]:
    """Where items begin that none should begin any more: at the fastest, if it can do them."""
    fastest = max(ranked, key=lambda offer: offer.speed)
    return [fastest] if left.mean < fastest.does(time_ns) else list(ranked)


def _soonest_ended(ranked: Sequence[Offer], left: Left, time_ns: float) -> list[Offer]:
    """Without those at which an item that began now would be late, and later than if it waited for
    a slot of a faster site."""
    power = busy = 0.0
    kept = set()
    fastest = max(offer.speed for offer in ranked)
    for offer in sorted(ranked, key=lambda offer: -offer.speed):
        own_ns = left.each / offer.speed
        if power and own_ns > time_ns:
            waits_ns = (max(0.0, left.mean - left.each) + busy) / power
            if own_ns > waits_ns + left.each / fastest:
                continue
        kept.add(offer.site)
        power += offer.slots * offer.speed
        busy += offer.busy
    return [offer for offer in ranked if offer.site in kept]


def _needed(
    offer: Offer, left: Left, before: float, time_ns: float, usable_ns: float, late_ns: float
) -> int:
    """How many slots of it are to be used now, when the cheaper ones can do so much."""
    lack = left.mean - before
    if not before or usable_ns <= 0 or offer.sunk:
        return ALL
    if offer.open:
        return ALL if lack > -offer.of(offer.slots).does(_KEEP * time_ns) else 0
    if lack > 0 and lack >= offer.does(usable_ns - late_ns):
        return ALL
    low = left.mean - _SURE * (left.high - left.mean) - before
    if low <= 0:
        return 0
    one = offer.of(1).does(usable_ns)
    return min(offer.slots, max(1, math.ceil(low / max(one, 1.0))))


def _must_hurry(ranked: Sequence[Offer], left: Left, time_ns: float) -> bool:
    """Whether all sure sites together can only just do what may be left, also in the time that
    was kept for last items that are longer than most."""
    sure = [offer for offer in ranked if math.isinf(offer.lasts_ns)] or ranked
    each = _LAST * left.each
    return left.high >= sum(offer.does(time_ns - each / offer.speed) for offer in sure)


# --- budgets ------------------------------------------------------------------------------------
def _soonest(ranked: Sequence[Offer], left: Left, money: float) -> float:
    """The least time in which what may be left can be paid for: by halving. Without end, if it
    cannot be, however long it takes."""
    power = sum(offer.slots * offer.speed for offer in ranked)
    low = left.mean / max(power, 1e-30)
    if costs(ranked, left.high, low) <= money:
        return low
    high = low
    for _ in range(60):
        high *= 2
        if costs(ranked, left.high, high) <= money:
            break
    else:
        return math.inf
    for _ in range(30):
        middle = (low + high) / 2
        if costs(ranked, left.high, middle) <= money:
            high = middle
        else:
            low = middle
    return high


def _even(
    ranked: Sequence[Offer], left: Left, time_ns: float
) -> tuple[dict[SiteId, int], dict[SiteId, str], bool]:
    """The cheapest sites that do it within the time, at an even pace."""
    slots: dict[SiteId, int] = {}
    reasons: dict[SiteId, str] = {}
    lack = left.mean
    for offer in ranked:
        if lack > 0 or not slots:
            one = offer.of(1).does(time_ns)
            use = math.ceil(lack / one) if one > 0 else offer.slots
            slots[offer.site] = ALL if use >= offer.slots else max(1, use)
        else:
            reasons[offer.site] = "the budget does not reach for it"
        lack -= offer.does(time_ns)
    return slots, reasons, False


# --- what to expect -----------------------------------------------------------------------------
def _expected(
    ranked: Sequence[Offer], slots: Mapping[SiteId, int], reasons: dict[SiteId, str], left: Left,
    goal: Goal, hurry: bool,
) -> Plan:  # fmt: skip
    """Cost and end. With a deadline the sites work until then, the cheapest first; without one,
    until all is done."""
    used = [offer._replace(slots=min(offer.slots, slots[offer.site]))
            for offer in ranked if slots.get(offer.site)]  # fmt: skip
    power = sum(offer.slots * offer.speed for offer in used)
    if not power or not left.sure:
        return Plan(dict(slots), reasons, 0.0, 0.0, 0.0, 0.0, hurry)
    tail_ns = left.rest * len(used) / max(sum(offer.speed for offer in used), 1e-30)
    fast_ns, slow_ns = left.mean / power + tail_ns, left.high / power + 2 * tail_ns
    if goal.objective == "cheapest" and goal.time_ns is not None and not hurry:
        every = max(goal.time_ns - tail_ns, 1.0)
        cost, high = costs(ranked, left.mean, every), costs(ranked, left.high, every)
        fast_ns, slow_ns = (
            min(fast_ns, max(goal.time_ns, 0.0)),
            max(min(slow_ns, goal.time_ns), fast_ns),
        )
    else:
        unit = sum(offer.unit * offer.slots * offer.speed for offer in used) / power
        cost, high = left.mean * unit, left.high * unit
    return Plan(dict(slots), reasons, cost, high, fast_ns, slow_ns, hurry)
