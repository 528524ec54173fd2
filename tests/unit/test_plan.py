"""Which sites a job with a deadline uses, as far as that follows from numbers alone."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.place.ending import filled, kept
from hanse.core.place.offer import Offer
from hanse.core.place.plan import ALL, Goal, plan
from hanse.core.place.work import Left, Tail, Work
from hanse.ids import SiteId

HOUR = 3600e9
TAIL = Tail(60e9, 0.01, 0.5, 15e9)
FAST, SLOW, THIRD = SiteId("fast"), SiteId("slow"), SiteId("third")


def offer(site: SiteId, speed: float, unit: float) -> Offer:
    return Offer(site, 4, speed, unit * speed, 0.0, math.inf)


def left(hours: float, spread: float = 0.05) -> Left:
    return Left(hours * HOUR, hours * (1 + spread) * HOUR, 30e9, 30e9, TAIL, sure=True)


def goal(hours: float, whole: float) -> Goal:
    return Goal("cheapest", hours * HOUR, None, 5e9, whole * HOUR)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.3, 3), st.floats(0.3, 3), st.floats(1.05, 8), st.floats(0.1, 0.9))
def test_last_items_are_begun_where_they_end_in_time(
    one: float, other: float, dear: float, shape: float
) -> None:
    """Of sites that cost the same the slower stops taking items earlier, by no more than it is
    slower; and the cheaper it is, the longer it takes them."""
    cheap, dearer = offer(SLOW, one, 1.0), offer(FAST, other, dear)
    rest = left(0.4)._replace(tail=TAIL._replace(shape=shape), whole=40 * HOUR)
    last = kept([cheap, cheap._replace(site=THIRD, cost=cheap.cost / 2), dearer], rest,
                HOUR, 10 * HOUR, 0.0)  # fmt: skip
    assert 0 < last[THIRD] <= last[SLOW]
    alike = kept([cheap, dearer._replace(cost=cheap.unit * dearer.speed)], rest,
                 HOUR, 10 * HOUR, 0.0)  # fmt: skip
    slow, fast = sorted((cheap, dearer), key=lambda each: each.speed)
    assert alike[fast.site] <= alike[slow.site] * 1.000001
    assert alike[slow.site] * slow.speed <= alike[fast.site] * fast.speed * 1.000001


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 0.6), st.floats(0.1, 0.3))
def test_the_heavier_the_tail_the_longer_is_kept(light: float, more: float) -> None:
    sites = [offer(SLOW, 1.0, 1.0), offer(FAST, 2.0, 3.0)]
    rest = left(6.0)._replace(whole=40 * HOUR)
    times = [
        kept(sites, rest._replace(tail=TAIL._replace(shape=shape)), HOUR, 10 * HOUR, 0.0)
        for shape in (light, light + more)
    ]
    assert times[0][SLOW] <= times[1][SLOW]


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 30), st.floats(0.1, 10), st.floats(0, 1e15))
def test_no_time_is_kept_that_the_work_needs(hours: float, time: float, spent: float) -> None:
    sites = [offer(SLOW, 1.0, 1.0), offer(FAST, 2.0, 3.0)]
    rest = left(hours)._replace(whole=2 * hours * HOUR)
    last = kept(sites, rest, time * HOUR, 12 * HOUR, spent)
    can = sum(each.does(time * HOUR - last[each.site]) for each in sites)
    assert can >= rest.mean * 0.999999 or not any(last.values())


@settings(max_examples=60, deadline=None)
@given(st.floats(1.1, 8), st.floats(0, 20), st.floats(0.1, 10), st.floats(0, 12), st.floats(0, 12))
def test_work_that_does_not_fit_is_reckoned_at_the_dearest_price(
    dear: float, hours: float, time: float, slow: float, fast: float
) -> None:
    sites = [offer(SLOW, 1.0, 1.0), offer(FAST, 2.0, dear)]
    last = {SLOW: slow * HOUR, FAST: fast * HOUR}
    can = [each.does(time * HOUR - last[each.site]) for each in sites]
    _, unit, rest = filled(sites, hours * HOUR, time * HOUR, last)
    assert rest >= 0
    assert math.isclose(rest, max(0.0, hours * HOUR - sum(can)), abs_tol=1.0)
    assert unit == (sites[0].unit if hours * HOUR <= can[0] else sites[1].unit)


def test_a_dear_site_is_not_begun_before_it_is_known_to_be_needed() -> None:
    """The cheap one may do it all if items turn out shorter by two spreads."""
    offers = [offer(SLOW, 1.0, 1.0), offer(FAST, 4.0, 3.0)]
    found = plan(offers, left(42, spread=0.3), goal(10, 10))
    assert found.slots == {SLOW: ALL}


@given(st.floats(1.1, 1000), st.floats(1e-5, 0.2), st.floats(0.1, 2.0), st.floats(0, 1e4),
       st.floats(0, 1e4))  # fmt: skip
def test_an_item_is_less_likely_to_be_longer_the_longer_that_is(
    at: float, share: float, shape: float, one: float, other: float
) -> None:
    """Also where it has run already: and then it is likelier than for one that has only begun."""
    tail = Tail(at, share, shape, 1.0)
    short, long = sorted((one, other))
    assert 0 <= tail.over(long) <= tail.over(short) * 1.000001 <= 1.00001
    assert tail.goes_on(short, long) >= tail.over(long) * 0.999999
    assert tail.goes_on(long, short) == 1


def test_an_item_that_runs_is_no_work_for_other_slots() -> None:
    """However long it may go on, its own slot alone does it."""
    work = Work()
    for _ in range(100):
        work.observe(SLOW, 1, 10**9)
    running = [(SLOW, 50 * 10**9)]
    assert work.left(running, 0).mean > 20e9
    assert work.left(running, 0, 5e9).mean <= 5e9


@settings(max_examples=60, deadline=None)
@given(st.floats(0.2, 4), st.floats(0.2, 4), st.floats(1, 60), st.floats(0.5, 20))
def test_all_sites_are_used_where_they_can_only_just_do_it(
    slow: float, fast: float, work: float, time: float
) -> None:
    """The safety net: whatever sites cost, when the work is what all of them can do at most."""
    offers = [offer(SLOW, slow, 1.0), offer(FAST, fast, 3.0)]
    if work >= 4 * (slow + fast) * time:
        found = plan(offers, left(work), goal(time, time))
        assert found.slots == {SLOW: ALL, FAST: ALL}


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 3), st.floats(1.05, 8), st.floats(0.01, 0.99))
def test_a_budget_that_is_too_small_for_all_is_spent_where_work_costs_least_and_on_all_slots(
    speed: float, dear: float, share: float
) -> None:
    """However long it took, it would not do: so there is nothing to be slow for."""
    sites = [offer(SLOW, 1.0, 1.0), offer(FAST, 2.0, dear), offer(THIRD, speed, 1.0)]
    rest = left(6.0)
    found = plan(sites, rest, Goal("fastest", None, share * rest.high, 5e9))
    assert found.slots == {SLOW: ALL, THIRD: ALL}
    assert "times as much there" in found.reasons[FAST]
