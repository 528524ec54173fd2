"""What a job is expected to take and cost from now on, with what would be rented for it.

The same offers, the same estimate of the work, the same `plan` and the same choice of machines as
those that decide. Which site does how much is what filling the cheapest first comes to, as the
plan's own cost is reckoned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hanse.core.fetched import Bytes, Moved
from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.place.ahead import Ahead, Course, courses
from hanse.core.place.foresee import Bought, Items, foresee
from hanse.core.place.near import Parts
from hanse.core.place.offer import Offer
from hanse.core.place.plan import Goal, Plan, plan
from hanse.core.place.renting import Kind, Lack, Rents, by_streams
from hanse.core.place.work import Left
from hanse.core.placement import Placement
from hanse.ids import SiteId
from hanse.limits import REPORT_EVERY_NS
from hanse.model.aims import HOUR_NS, Objective
from hanse.model.quote import Sureness

_TAIL = 0.05  # of all time: what is kept for the last items at most, as in `plan`


class Reckoned(NamedTuple):
    """Times are nanoseconds from now, and amounts nano; if none of its items was `timed`, they say
    nothing but what the machines cost at least."""

    timed: bool
    end_ns: float
    end_high_ns: float  # in 19 of 20 cases
    cost: float
    cost_high: float
    met: Sureness  # of the deadline
    sites: list[tuple[Offer, float, float]]  # those that take part: share of the work, and cost
    machines: list[tuple[Bought, float, float]]  # those that will be brought: the same
    renting: list[str]  # why they will, or why not
    reasons: Mapping[SiteId, str] = {}  # why sites do nothing, or not all that they could
    moved: Mapping[SiteId, Moved] = {}
    perhaps: Sequence[SiteId] = ()  # those that take part if the items take long, and only then

    def by_site(self) -> dict[str, float]:
        """What is expected to be paid, in nano, and where."""
        found = {str(offer.site): cost for offer, _, cost in self.sites if cost}
        counts: dict[tuple[str, bool], tuple[int, float]] = {}
        for each, _, cost in self.machines:
            key = each.kind.rental.name, each.asked
            many, before = counts.get(key, (0, 0.0))
            counts[key] = many + each.many, before + cost
        for (name, asked), (many, cost) in counts.items():
            found[f"{many} {name}, {'on the way' if asked else 'to be rented'}"] = cost
        return found


class Question(NamedTuple):
    """All that the answer rests on, as of one moment: `reckon` may take its time with it."""

    lack: Lack
    rents: Rents
    ahead: Ahead
    items: Items
    goal: Goal
    able: bool  # there are offers of machines
    whole: tuple[Plan, Parts] | None  # that were made by chunks
    fetched: Bytes
    now_ns: int


def question(home: Home, job: Job, now_ns: int, ahead: Ahead | None = None) -> Question:
    """About a job as it is now. Several at one moment may share what lies `ahead`."""
    place = job.place
    assert place is not None
    rents = home.rents(job, now_ns)
    lack = home.lack(job, (), now_ns, rents.held)
    left = lack.left
    items = Items(round(left.mean / left.each) if left.each else 0, place.work.items)
    goal = Goal(place.aims.objective, lack.time_ns, lack.money, REPORT_EVERY_NS, lack.whole_ns,
                float(place.purse.total()))  # fmt: skip
    whole = None
    if place.near is not None and place.plan is not None:
        whole = place.plan, place.near.parts
    ahead = Ahead.of(rents.pools) if ahead is None else ahead
    return Question(lack, rents, ahead, items, goal, bool(home.rentals), whole,
                    Bytes.of(home, job, items.left, lack.sites), now_ns)  # fmt: skip


def reckon(
    asked: Question, objective: Objective | None = None, time_ns: float | None = None
) -> Reckoned | None:
    """None: nothing is left, or nobody is there to do it, nor could be brought.

    Args:
        objective: another one than the job's own.
        time_ns: the time that is left, if that is not what its deadline leaves.
    """
    lack, rents, goal = asked.lack, asked.rents, asked.goal
    if time_ns is not None:
        lack, goal = lack._replace(time_ns=time_ns), goal._replace(time_ns=time_ns)
    if objective is not None:
        goal = goal._replace(objective=objective)
    left = lack.left
    if by_streams(lack, rents.kinds) and left.mean:
        ways = courses(lack, rents.kinds, asked.ahead, asked.items, asked.now_ns)
        if any(way.machines or way.here for way in ways):
            return _with_bytes(_by_course(lack, ways, rents.kinds), asked.fetched, left.mean)
    found, renting = foresee(lack, rents.kinds, asked.items)
    machines = [*(Bought(kind, many, 0.0, asked=True) for kind, many in lack.on_way()), *found]
    renting = renting if asked.able else []
    if not left.sure:
        return _untimed(machines, renting)
    if not left.mean or not (lack.sites or machines):
        return None
    told = _timed(lack, goal, machines, renting)
    if asked.fetched.chunks is None:
        return _fetched_once(told, lack, goal, asked.fetched)
    as_planned = objective is None and time_ns is None and not machines
    if not as_planned or asked.whole is None or not asked.whole[1]:
        return _with_bytes(told, asked.fetched, left.mean)
    return _by_chunks(told, lack.sites, *asked.whole, asked.fetched, left.mean)


def _fetched_once(told: Reckoned, lack: Lack, goal: Goal, fetched: Bytes) -> Reckoned:
    """With bytes. A site that takes part has what all items share, and then may be the cheapest for
    more."""
    mean = lack.left.mean
    found = _with_bytes(told, fetched, mean)
    used = {offer.site for offer, _, _ in told.sites if fetched.once[offer.site][1]}
    if not used:
        return found
    sites = [offer._replace(carry=fetched.each(offer.site, mean))
             if offer.site in used else offer for offer in lack.sites]  # fmt: skip
    machines = [each for each, _, _ in told.machines]
    again = _timed(lack._replace(sites=sites), goal, machines, told.renting)
    again = _with_bytes(again, fetched, mean)
    return again if again.cost < found.cost else found


def _moved(told: Reckoned, fetched: Bytes, mean: float) -> dict[SiteId, Moved]:
    """What each site fetches."""
    own = 1.0 - sum(share for _, share, _ in told.machines)
    parts = fetched.allotted({offer.site: share * mean for offer, share, _ in told.sites})
    return {offer.site: fetched.at_site(offer.site, share, parts.get(offer.site), own)
            for offer, share, _ in told.sites}  # fmt: skip


def _with_bytes(told: Reckoned, fetched: Bytes, mean: float) -> Reckoned:
    """With what is fetched from other regions; `told` is for the time of the sites alone."""
    moved = _moved(told, fetched, mean)
    sites = [(offer, share, cost + moved[offer.site].nano) for offer, share, cost in told.sites]
    machines = [(each, share, cost + fetched.at_machines(each, share))
                for each, share, cost in told.machines]  # fmt: skip
    more = sum(part[2] for part in [*sites, *machines])
    more -= sum(part[2] for part in [*told.sites, *told.machines])
    high = more + sum(fetched.once[site][1] for site in told.perhaps)
    return told._replace(cost=told.cost + more, cost_high=told.cost_high + high, sites=sites,
                         machines=machines, moved=moved)  # fmt: skip


def _by_chunks(
    told: Reckoned, offers: Sequence[Offer], whole: Plan, parts: Parts, fetched: Bytes, mean: float
) -> Reckoned:
    """Which chunks go where, and so which bytes travel, is in the plan that was made with them;
    but there each site pays of what all items share no more than its part."""
    cost, high = whole.cost, max(whole.cost, whole.high_cost)
    sites, more = [(offer, share, 0.0) for offer, share, _ in told.sites], 0.0
    if work := sum(part[0] for part in parts.values()):
        sites = []
        for offer in offers:
            if offer.site in parts:
                share, nano = parts[offer.site][0] / work, parts[offer.site][1]
                rest = fetched.once[offer.site][1] * (fetched.begins(share) - share)
                sites.append((offer, share, nano + rest))
                more += rest
        told = told._replace(end_ns=whole.end_ns, end_high_ns=max(whole.end_ns, whole.high_ns))
    told = told._replace(cost=cost + more, cost_high=high + more, sites=sites)
    return told._replace(moved=_moved(told, fetched, mean))


def _untimed(machines: Sequence[Bought], renting: list[str]) -> Reckoned | None:
    if not machines:
        return None
    brought = [(each, 0.0, each.cost(0.0)) for each in machines]
    cost = sum(part[2] for part in brought)
    return Reckoned(False, 0.0, 0.0, cost, cost, "unknown", [], brought, renting)


class _Shared(NamedTuple):
    """What one course comes to, with what the sites do of it; costs are for the time alone."""

    sites: list[tuple[Offer, float, float]]
    machines: list[tuple[Bought, float, float]]
    end_ns: float

    @property
    def cost(self) -> float:
        return sum(part[2] for part in [*self.sites, *self.machines])

    def scaled(self, by: float) -> _Shared:
        """At so many times its cost."""
        return _Shared([(offer, share, by * cost) for offer, share, cost in self.sites],
                       [(each, share, by * cost) for each, share, cost in self.machines],
                       self.end_ns)  # fmt: skip


def _by_course(lack: Lack, ways: Sequence[Course], kinds: Sequence[Kind]) -> Reckoned:
    """Cost and end are the mean over these, which are in the order of their cost, and at most what
    the worst of them comes to. Which machines and sites do what is as in the middle one, at its
    part of that cost."""
    assert lack.time_ns is not None
    left, time_ns = lack.left, lack.time_ns
    every, middle = [_of_course(lack, way) for way in ways], len(ways) // 2
    cost = sum(each.cost for each in every) / len(ways)
    end_ns = sum(each.end_ns for each in every) / len(ways)
    shown = every[middle]
    shown = shown.scaled(cost / shown.cost if shown.cost else 1.0)
    more = left.high / left.mean
    in_time = [way.whole and way.end_ns <= time_ns for way in ways]
    safe = sum(_does(site, time_ns) for site in lack.linked())
    safe += sum(kind.room * kind.does(time_ns) for kind in kinds if not kind.rental.tariff.spot)
    late_ns = max(each.end_ns for each in every) * more
    sure = all(in_time) and (safe >= left.high or late_ns <= time_ns)
    return Reckoned(
        True, end_ns, max(end_ns, min(late_ns, time_ns) if sure else late_ns), cost,
        max(each.cost for each in every) * more,
        "sure" if sure else "even" if sum(in_time) > len(ways) / 2 else "no",
        shown.sites, shown.machines, ways[middle].reasons,
    )  # fmt: skip


def _of_course(lack: Lack, way: Course) -> _Shared:
    """The sites do what its machines leave, those that cost least first."""
    assert lack.time_ns is not None
    left, mine = lack.left, {each.id: each.kind for each in lack.held}
    ranked = sorted(lack.linked(), key=lambda offer: (offer.unit, offer.site))
    own = sum(part[1] for part in way.machines) + sum(part[1] for part in way.here)
    rest = left._replace(mean=max(0.0, left.mean - own))
    shares = _cheapest_first(ranked, rest, lack.time_ns) if ranked and rest.mean else []
    sites = [(offer, share * rest.mean / left.mean, share * rest.mean * offer.alone)
             for offer, share in shares]  # fmt: skip
    up = {site.site: site for site in lack.sites if site.site in mine}
    for id, work, nano in way.here:
        if (site := up.get(SiteId(id))) is not None:
            sites.append((site, work / left.mean, nano - mine[id].carry * work))
    machines = [(each, work / left.mean, cost - each.kind.carry * work)
                for each, work, cost in way.machines]  # fmt: skip
    end_ns = max(way.end_ns, *(_takes(offer, share * rest.mean) for offer, share in shares), 0.0)
    return _Shared(sites, machines, end_ns)


def _timed(lack: Lack, goal: Goal, machines: Sequence[Bought], renting: list[str]) -> Reckoned:
    left = lack.left
    named = {SiteId(f"+{n:06}"): each for n, each in enumerate(machines)}
    offers = [*lack.sites, *(each.offer(name) for name, each in named.items())]
    ranked = sorted(offers, key=lambda offer: (offer.unit, offer.site))
    whole = plan(offers, left, goal)
    end_ns, perhaps = whole.end_ns, set[SiteId]()
    if goal.objective == "cheapest" and goal.time_ns is not None:
        shares = _cheapest_first(ranked, left, goal.time_ns)
        end_ns = max(end_ns, *(_takes(offer, share * left.mean) for offer, share in shares))
        high = _cheapest_first(ranked, left._replace(mean=left.high), goal.time_ns)
        perhaps = {offer.site for offer, _ in high}
    else:
        used = {offer: min(offer.slots, whole.slots.get(offer.site, 0)) for offer in ranked}
        shares = _side_by_side(
            [each._replace(slots=slots) for each, slots in used.items() if slots]
        )
    parts = {offer.site: (share, share * left.mean * offer.alone) for offer, share in shares}
    sites = [(each, *parts[each.site]) for each, _ in shares if each.site not in named]
    brought = []
    for name, each in named.items():
        share, _ = parts.get(name, (0.0, 0.0))
        work = share * left.mean
        brought.append((each, share, each.cost(work) - each.kind.carry * work))
    cost = sum(part[2] for part in sites) + sum(part[2] for part in brought)
    besides = cost - sum(nano for _, nano in parts.values())  # while they come up, or idle
    besides -= sum(share * left.mean * offer.carry for offer, share in shares)
    return Reckoned(
        True, end_ns, max(end_ns, whole.high_ns), cost,
        max(cost, whole.high_cost + besides),
        "sure" if goal.time_ns is None else _met(ranked, left, goal.time_ns),
        sites, brought, renting, whole.reasons,
        perhaps=sorted(perhaps - parts.keys() - named.keys()),
    )  # fmt: skip


def sooner(asked: Question, by_ns: int, present: Reckoned) -> float | None:
    """What it would cost more than `present`, in nano, to be done so much earlier than it says;
    None if that cannot be said, or done."""
    if not present.timed:
        return None
    end_ns = present.end_ns
    if asked.lack.time_ns is not None:  # it may take until then, or be done before
        end_ns = min(end_ns, asked.lack.time_ns)
    if end_ns <= by_ns:
        return None
    earlier = reckon(asked, "cheapest", end_ns - by_ns)
    if earlier is None or not earlier.timed or earlier.met == "no":
        return None
    return max(0.0, earlier.cost - present.cost)


class Expected(NamedTuple):
    """What is to come of a job that runs, and what an hour less would cost more."""

    found: Reckoned | None
    sooner: float | None


def unforeseen(home: Home, job: Job, now_ns: int) -> Question | None:
    """What `foreseen` answers, if that may take seconds and was not done a short while ago."""
    place = job.place
    spot = any(rental.tariff.spot for rental in home.rentals.values())
    if place is None or job.due_ns is None or not spot or _lately(place, now_ns) is not None:
        return None
    asked = question(home, job, now_ns)
    return asked if by_streams(asked.lack, asked.rents.kinds) else None


def foreseen(asked: Question) -> Expected:
    """It needs no home."""
    found = reckon(asked)
    return Expected(found, None if found is None else sooner(asked, HOUR_NS, found))


def expected(home: Home, job: Job, now_ns: int) -> Expected:
    """As of now, or of a short while ago where that takes longer to find out."""
    place = job.place
    assert place is not None
    told = _lately(place, now_ns)
    if told is None:
        asked = question(home, job, now_ns)
        told = foreseen(asked)
        place.told = (now_ns, told) if by_streams(asked.lack, asked.rents.kinds) else None
    return told


def _lately(place: Placement, now_ns: int) -> Expected | None:
    """What was expected when somebody asked last, if that was a short while ago."""
    if place.told is None or now_ns >= place.told[0] + REPORT_EVERY_NS:
        return None
    return place.told[1]


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
    return sureness(left.mean, left.high, most)


def sureness(mean: float, high: float, most: float) -> Sureness:
    """Whether what is expected, and at most in 19 of 20 cases, is no more than that."""
    if high <= most:
        return "sure"
    return "even" if mean <= most else "no"


def _usable(ranked: Sequence[Offer], left: Left, time_ns: float) -> dict[SiteId, float]:
    """The time in which each can begin items that end before the deadline."""
    last = left.last(sum(offer.slots for offer in ranked))
    return {
        offer.site: max(0.0, time_ns - min(last / offer.speed, _TAIL * time_ns)) for offer in ranked
    }


def _takes(offer: Offer, work: float) -> float:
    return offer.start_ns + work / (offer.slots * offer.speed)


def _does(offer: Offer, time_ns: float) -> float:
    """Work that it is expected to do within so long, from a standing start."""
    return max(0.0, min(time_ns - offer.start_ns, offer.lasts_ns)) * offer.slots * offer.speed
