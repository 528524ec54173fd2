"""One job among spot zones: it keeps its deadline whatever happens, and moves when that pays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.place.chain import Chain, Rank
from hanse.core.place.lone import Lone, Terms
from hanse.core.place.spells import EDGES, GROWN, Pool, Rates, class_of, hazards, rates_of
from hanse.core.place.zones import HOUR, Moving, Standing, Where, Zone, Zones

TICK = HOUR // 6
RESTART, FAR = HOUR // 5, HOUR * 7 // 30


class Ran(NamedTuple):
    left_ns: int
    cost: float
    begun: int  # machines


def choice(zones: Sequence[Zone]) -> Zones:
    count = range(len(zones))
    moving = {
        (a, b): Moving(RESTART, 0.0) if zones[a].region == zones[b].region else Moving(FAR, 2.0)
        for a in count
        for b in count
    }
    return Zones(zones, moving, RESTART, TICK)


def run(zones: Zones, work_ns: int, time_ns: int, ups: Sequence[Sequence[bool]]) -> Ran:
    """The job in virtual time; what is available repeats when it is at its end."""
    where: Where | None = None
    left, starting, cost, begun = work_ns, 0, 0.0, 0
    for tick in range(time_ns // TICK):
        up = ups[tick % len(ups)]
        now_ns = tick * TICK
        if where is not None and where.sure is False:
            zones.see(where.zone, up[where.zone], now_ns)
            if not up[where.zone]:
                where, starting = Where(where.zone, None), 0
        standing = Standing(now_ns, left, time_ns - now_ns, where, starting)
        options = zones.options(standing)
        assert len(set(options)) == len(options)
        assert options[-1] == where or options[-1].sure is not False
        for found in options:
            if found.sure is not False or found == where:
                break
            zones.see(found.zone, up[found.zone], now_ns)
            if up[found.zone]:
                break
        if found.sure is None:
            where = None if where is None else found
            continue
        if found != where:
            starting = FAR if where is not None and _far(zones, where, found) else RESTART
            begun += 1
        zone = zones.zones[found.zone]
        used = min(TICK, starting + left)
        cost += (zone.sure if found.sure else zone.spot) * used / HOUR
        left -= max(0, used - starting)
        starting = max(0, starting - TICK)
        where = found
        if left <= 0:
            break
    return Ran(left, cost, begun)


def _far(zones: Zones, before: Where, after: Where) -> bool:
    return zones.zones[before.zone].region != zones.zones[after.zone].region


PRICES = st.floats(0.5, 40)
ZONES = st.lists(
    st.builds(Zone, st.just("z"), st.sampled_from(["a", "b"]), PRICES, st.floats(2, 90)),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.data(), ZONES, st.integers(1, 40), st.integers(0, 20))
def test_the_deadline_is_kept_whatever_the_zones_do(
    data: st.DataObject, zones: list[Zone], work: int, spare: int
) -> None:
    """Feasible: there is time to begin a sure machine after the first look."""
    row = st.lists(st.booleans(), min_size=len(zones), max_size=len(zones))
    ups = data.draw(st.lists(row, min_size=1, max_size=30))
    work_ns = work * TICK
    time_ns = (work + spare + 3) * TICK
    assert run(choice(zones), work_ns, time_ns, ups).left_ns <= 0


@settings(max_examples=25, deadline=None)
@given(ZONES, st.integers(6, 60), st.floats(1.2, 3))
def test_where_nothing_is_ever_lost_one_machine_does_it_all(
    zones: list[Zone], work: int, ratio: float
) -> None:
    ups = [[True] * len(zones)]
    ran = run(choice(zones), work * TICK, int(work * ratio + 4) * TICK, ups)
    assert ran.left_ns <= 0
    assert ran.begun <= 2


def test_a_sure_machine_is_not_begun_while_spot_machines_can_be_had() -> None:
    zones = choice([Zone("z", "a", 3.0, 15.0), Zone("y", "b", 4.0, 15.0)])
    ran = run(zones, 60 * TICK, 80 * TICK, [[True, True]])
    assert ran.cost < 10 * 3.0 + RESTART / HOUR * 3.0 + 0.01


@given(st.integers(1, 2), st.floats(10, 90), st.integers(1, 100), st.integers(3, 99))
def test_spot_machines_that_cost_more_are_not_waited_for(
    count: int, price: float, work: int, spare: int
) -> None:
    zones = choice([Zone("z", "a", price, 9.0)] * count)
    now = Standing(0, work * TICK, (work + spare) * TICK, None)
    assert zones.options(now) == [Where(0, True)]


def test_a_zone_that_loses_machines_all_the_time_is_left_for_one_that_does_not() -> None:
    """The cheapest by price, but not by the hour of progress."""
    zones = choice([Zone("z", "a", 3.0, 15.0), Zone("y", "a", 3.5, 15.0)])
    shaky = [[tick % 4 != 3, True] for tick in range(4)]
    for tick in range(-120, 0):
        for zone in (0, 1):
            zones.see(zone, shaky[tick % 4][zone], tick * TICK)
    ran = run(zones, 240 * TICK, 300 * TICK, shaky)
    assert ran.left_ns <= 0
    assert ran.begun <= 3


def test_what_was_seen_long_ago_counts_little() -> None:
    zones = choice([Zone("z", "a", 3.0, 15.0), Zone("y", "a", 3.0, 15.0)])
    for tick in range(600):
        zones.see(0, tick % 2 == 0, tick * TICK)
        zones.see(1, True, tick * TICK)
    shaky, steady = rates_of(zones.pools, 1.0, 600 * TICK)
    assert shaky.lost > 20 * steady.lost
    zones.see(0, True, 600 * TICK + 2000 * HOUR)
    zones.see(1, True, 600 * TICK + 2000 * HOUR)
    then, other = rates_of(zones.pools, 1.0, 600 * TICK + 2000 * HOUR)
    assert then.lost < 2 * other.lost


def test_a_machine_that_has_lasted_is_lost_the_more_rarely() -> None:
    zones = choice([Zone("z", "a", 3.0, 15.0), Zone("y", "a", 3.0, 15.0)])
    ups = ([True, False] * 12 + [True] * 60 + [False] * 6) * 4
    for tick, up in enumerate([*ups, *[True] * 60]):
        zones.see(0, up, tick * TICK)
        zones.see(1, up, tick * TICK)
    now_ns = (len(ups) + 59) * TICK
    held, _ = rates_of(zones.pools, 40.0, now_ns)
    later, _ = rates_of(zones.pools, 40.0, now_ns + 2 * HOUR)  # nobody knows any more how old it is
    assert held.old < held.young / 2
    assert held._replace(old=0) == later._replace(old=0)
    assert zones.pools[0].aged(held, now_ns) == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.floats(2, 90), st.integers(1, 60)), min_size=2,
                                   max_size=4))  # fmt: skip
def test_costs_follow_what_a_sure_machine_costs_and_takes(
    count: int, terms: list[tuple[float, int]]
) -> None:
    """As prices and starts change, answers are those of a choice that knew no others."""
    moving: dict[tuple[int, int], Moving] = {}
    kept: Zones | None = None
    for sure, start_min in terms:
        start_ns = start_min * HOUR // 60
        zones = [Zone("z", "a", 3.0 + n, sure) for n in range(count)]
        moving.update({(a, b): Moving(start_ns, 0.0) for a in range(3) for b in range(3)})
        fresh = Zones(zones, moving, start_ns, TICK)
        kept = kept or Zones(zones, moving, start_ns, TICK)
        kept.zones[:] = zones
        now = Standing(0, 20 * HOUR, 26 * HOUR, Where(0, None))
        assert abs(kept.cost(now) - fresh.cost(now)) < 0.05 * fresh.cost(now)


# --- the tables ---------------------------------------------------------------------------------
STEADY, SHAKY = (
    Rank(5.0, Rates(0.01, 1.0, 0.01, 1.0), 1.0),
    Rank(3.0, Rates(1.6, 1.0, 0.4, 1.0), 1.0),
)
ANY = 0.5  # how likely it is old


def test_more_slack_never_costs_more_and_more_work_never_less() -> None:
    chain = Chain([SHAKY, STEADY], 20.0, 0.2, 40.0, 10.0)
    for rank in (0, 1):
        by_slack = [chain.runs(rank, 30.0, slack / 2, ANY) for slack in range(20)]
        assert all(more <= less + 1e-6 for less, more in pairwise(by_slack))
        by_work = [chain.runs(rank, work, 5.0, ANY) for work in range(40)]
        assert by_work == sorted(by_work)


RATES = st.builds(Rates, *[st.floats(0.001, 9)] * 4)


@settings(max_examples=20, deadline=None)
@given(st.lists(RATES, min_size=1, max_size=6), st.floats(0.5, 200), st.floats(0, 50))
def test_costs_are_between_those_of_the_cheapest_and_of_sure_machines_that_begin_again(
    rates: list[Rates], work: float, slack: float
) -> None:
    """Were chances not to add up to one, costs would run away over so many steps."""
    ranks = [Rank(3.0 + n, each, 1.0) for n, each in enumerate(rates)]
    chain = Chain(ranks, 20.0, 0.2, work, slack)
    for rank, each in enumerate(rates):
        cost = chain.runs(rank, work, slack, each.aged)
        assert 3.0 * work * (1 - 1e-9) <= cost
        assert cost <= 20.0 * work + (20.0 * 0.2 + 1) * (1 + 9 * work)


def test_where_nothing_is_lost_the_cost_is_the_price_of_the_work() -> None:
    chain = Chain([Rank(3.0, Rates(0.0, 1.0, 0.0, 1.0), 0.0)], 20.0, 0.2, 40.0, 10.0)
    assert abs(chain.runs(0, 30.0, 5.0, ANY) - 90.0) < 1e-6


def test_a_better_zone_that_comes_for_certain_does_not_hide_losses() -> None:
    """Found by a test above: with a better one always to be had, losing machines looked free."""
    chain = Chain(
        [Rank(3.5, Rates(0.0, 1.0, 0.0, 9.0), 0.0), Rank(3.0, Rates(2.0, 1.0, 2.0, 9.0), 0.0)],
        20.0, 0.2, 40.0, 9.0,
    )  # fmt: skip
    assert chain.runs(1, 30.0, 5.0, ANY) > chain.runs(0, 30.0, 5.0, ANY) - 1


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 5), st.floats(0.01, 9), st.floats(0.01, 1), st.floats(0.05, 5),
       st.integers(0, 18))  # fmt: skip
def test_a_machine_that_has_lasted_is_worth_no_less_than_one_that_came_lately(
    young: float, grows: float, part: float, back: float, slack: int
) -> None:
    """... and as much where age tells nothing."""
    chain = Chain(
        [Rank(3.0, Rates(young, grows, part * young, back), 1.0), STEADY], 20.0, 0.2, 40.0, 10.0
    )
    costs = [chain.runs(0, 30.0, slack / 2, old / 4) for old in range(5)]
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(costs))
    even = Chain([Rank(3.0, Rates(young, grows, young, back), 1.0), STEADY], 20.0, 0.2, 40.0, 10.0)
    first, last = (even.runs(0, 30.0, slack / 2, old) for old in (0.0, 1.0))
    assert abs(first - last) <= 1e-9 * first


@given(st.lists(st.tuples(st.booleans(), st.floats(0.05, 30)), max_size=9), st.floats(0, 1e4))
def test_what_nobody_looked_at_is_as_old_as_any_in_the_end(
    seen: list[tuple[bool, float]], ago: float
) -> None:
    pool, hours = Pool(), 0.0
    for up, span in seen:
        pool.see(up, round(hours * HOUR))
        hours += span
    now_ns = pool.seen_ns + round(ago * HOUR)
    (rates,) = rates_of([pool], 40.0, now_ns)
    assert 0 <= pool.aged(rates, now_ns) <= 1
    long_ns = pool.seen_ns + round(1000 * (GROWN + 1 / rates.back)) * HOUR
    assert abs(pool.aged(rates, long_ns) - rates.aged) < 1e-9


@given(st.lists(st.tuples(st.booleans(), st.floats(-30, 30), st.booleans()), max_size=9),
       st.floats(0, 30))  # fmt: skip
def test_how_likely_a_machine_is_old_is_a_chance_even_where_clocks_go_back(
    seen: list[tuple[bool, float, bool]], ago: float
) -> None:
    pool, hours = Pool(), 0.0
    for up, span, rests in seen:
        pool.see(up, round(hours * HOUR))
        if rests:
            pool.rest()
        hours += span
    now_ns = round((hours + ago) * HOUR)
    (rates,) = rates_of([pool], 40.0, now_ns)
    assert 0 <= pool.aged(rates, now_ns) <= 1


def test_a_machine_where_there_was_none_a_moment_ago_is_young() -> None:
    pools = [Pool() for _ in range(3)]
    for tick in range(60):
        pools[0].see(False, tick * TICK)
    now_ns = 60 * TICK
    pools[1].see(False, now_ns)
    pools[2].lose(now_ns, 0)
    pools.append(Pool())
    for tick in range(60):
        pools[3].see(tick != 59, tick * TICK)
    pools[3].lose(now_ns, 2)  # these came and nobody saw it
    for pool, rates in zip(pools, rates_of(pools, 40.0, now_ns), strict=True):
        assert pool.aged(rates, now_ns) < 0.15


@given(st.floats(1.1, 200), st.booleans())
def test_what_was_likely_of_a_machine_holds_when_it_is_begun(ago: float, rests: bool) -> None:
    """It was taken for one that had just come, and left for another zone at the next look."""
    pool = Pool()
    for tick in range(24):
        pool.see(tick % 4 != 3, tick * TICK)
    if rests:
        pool.rest()
    now_ns = 23 * TICK + round(ago * HOUR)
    (rates,) = rates_of([pool], 40.0, now_ns)
    before = pool.aged(rates, now_ns)
    pool.see(True, now_ns)
    assert abs(pool.aged(rates, now_ns) - before) < 1e-9
    pool.see(True, now_ns + TICK)
    (rates,) = rates_of([pool], 40.0, now_ns + TICK)
    assert pool.aged(rates, now_ns + TICK) >= before


@given(
    st.integers(0, 40),
    st.lists(
        st.tuples(st.floats(0, 200), st.booleans(), st.integers(1, 12)), min_size=1, max_size=4
    ),
)
def test_what_was_likely_of_a_machine_holds_however_often_it_is_looked_at(
    long: int, looks: list[tuple[float, bool, int]]
) -> None:
    """At the second look after a while it was taken for a young one again."""
    pool = Pool()
    for tick in range(23 + long):
        pool.see(tick % 4 != 3 or tick >= 23, tick * TICK)
    now_ns = pool.seen_ns
    for ago, rests, ticks in looks:
        if rests:
            pool.rest()
        now_ns += round(ago * HOUR)
        (rates,) = rates_of([pool], 40.0, now_ns)
        before = pool.aged(rates, now_ns)
        pool.see(True, now_ns)
        found = pool.aged(rates, now_ns)
        if rests or ago > 1.01:  # else it is taken to have been there all the time
            assert abs(found - before) < 1e-9
        assert found >= before - 1e-9
        for _ in range(ticks):
            now_ns += TICK
            before = pool.aged(rates, now_ns - TICK)
            pool.see(True, now_ns)
            assert pool.aged(rates, now_ns) >= before - 1e-9


@given(st.floats(0.5, 60), st.floats(1, 60), st.floats(0.5, 10))
def test_a_short_job_goes_on_where_it_costs_little_more_and_does_not_wait(
    lasted_s: float, work_s: float, start_s: float
) -> None:
    """However short it is, what lies between it and its deadline is not: a zone that could be lost
    meanwhile is taken while it is there."""
    zones = [
        Zone("a", "r", 10, math.inf), Zone("b", "r", 12, math.inf), Zone("s", "r", math.inf, 100)
    ]  # fmt: skip
    second = HOUR // 3600
    moving = {(a, b): Moving(int(start_s * second), 0.0) for a in range(3) for b in range(3)}
    chosen = Zones(zones, moving, 0, second)
    chosen.see(0, True, 0)
    chosen.pools[0].lose(int(lasted_s * second), 0)
    now_ns = int((lasted_s + 1) * second)
    chosen.see(0, False, now_ns)
    standing = Standing(now_ns, int(work_s * second), 900 * second, Where(0, None))
    assert Where(1, False) in chosen.options(standing)


def test_a_job_stays_in_the_zone_that_it_has_begun_in() -> None:
    """Two zones are alike, nobody has looked for long, and both have machines."""
    zones = choice([Zone("z", "a", 3.0, 20.0), Zone("y", "a", 3.0, 20.0)])
    ups = [True, False] * 6 + [True] * 120
    for zone in (0, 1):
        for tick, up in enumerate(ups):
            zones.see(zone, up, (tick - len(ups) - 120) * TICK)
        zones.pools[zone].rest()
    assert run(zones, 60 * TICK, 74 * TICK, [[True, True]]).begun == 1


def test_without_spot_machines_the_cost_is_that_of_a_sure_one() -> None:
    chain = Chain([], 20.0, 0.2, 40.0, 10.0)
    assert abs(chain.stays(0, 30.0, 5.0) - 600.0) < 1e-6


def test_slack_is_worth_more_where_there_is_less_of_it() -> None:
    chain = Chain([SHAKY], 20.0, 0.2, 40.0, 10.0)
    assert chain.slack_price(0, 30.0, 0.5) > chain.slack_price(0, 30.0, 9.0) >= 0


# --- a single zone ------------------------------------------------------------------------------
FLAT = [0.2] * len(EDGES)
YOUNG_DIE = [2.0, 0.5, 0.1, 0.02]
ALONE = Terms(3.0, 20.0, 0.2)
NONE = {len(EDGES): 1.0}  # for a moment


def test_alone_more_slack_never_costs_more_and_more_work_never_less() -> None:
    lone = Lone(YOUNG_DIE, YOUNG_DIE, ALONE, 40.0, 10.0)
    for age in range(len(EDGES)):
        by_slack = [lone.moved({age: 1.0}, 30.0, 1 + slack / 2) for slack in range(18)]
        assert all(more <= less + 1e-6 for less, more in pairwise(by_slack))
        by_work = [lone.moved({age: 1.0}, float(work), 5.0) for work in range(40)]
        assert by_work == sorted(by_work)


def test_alone_where_nothing_is_lost_the_cost_is_the_price_of_the_work() -> None:
    lone = Lone([0.0] * len(EDGES), FLAT, ALONE, 40.0, 10.0)
    assert abs(lone.moved({0: 1.0}, 30.0, 5.0) - 3.0 * 30.2) < 1e-6


def test_alone_where_no_machine_comes_the_cost_is_that_of_a_sure_one() -> None:
    lone = Lone(FLAT, [0.0] * len(EDGES), ALONE, 40.0, 10.0)
    assert abs(lone.stays(NONE, 30.0, 5.0) - 600.0) < 1e-6


def test_alone_an_old_spell_is_worth_more_than_a_young_one() -> None:
    lone = Lone(YOUNG_DIE, YOUNG_DIE, ALONE, 40.0, 10.0)
    old, young = {len(EDGES) - 1: 1.0}, {0: 1.0}
    assert lone.moved(old, 30.0, 3.0) < lone.moved(young, 30.0, 3.0)
    long = {2 * len(EDGES) - 1: 1.0}
    assert lone.waits(NONE, 30.0, 3.0) < lone.waits(long, 30.0, 3.0)


@given(st.booleans(), st.floats(0, 30), st.floats(0, 1e9))
def test_alone_what_nobody_looked_at_is_less_and_less_what_it_was(
    up: bool, age: float, ago: float
) -> None:
    lone = Lone(YOUNG_DIE, YOUNG_DIE, ALONE, 4.0, 1.0)
    ups, downs = lone.belief(up, age, ago)
    for states in (ups, downs):
        assert abs(sum(states.values()) - 1) < 1e-9
        assert min(states.values()) > 0
    assert max(ups) < len(EDGES) <= min(downs)
    assert lone.belief(up, age, 0.0)[not up] == {class_of(age) + len(EDGES) * (not up): 1.0}
    lone = Lone(FLAT, FLAT, ALONE, 4.0, 1.0)
    some, other = lone.belief(up, age, 1e3), lone.belief(not up, 0.0, 1e4)
    assert all(abs(some[0][state] - other[0][state]) < 0.01 for state in other[0])


def test_ends_are_learnt_by_age() -> None:
    """Every second machine is lost within ten minutes, the others after a day."""
    zones = choice([Zone("z", "a", 3.0, 15.0)])
    pattern = [True] + [False] * 2 + [True] * 144 + [False] * 2
    for tick in range(8 * len(pattern)):
        zones.see(0, pattern[tick % len(pattern)], tick * TICK)
    (lost,) = hazards([zones.pools[0].ups], 0.1)
    assert lost[0] > 1 > 0.1 > lost[2]


def test_a_sure_machine_is_left_the_more_likely_the_longer_nobody_looked() -> None:
    """Most machines are lost young; where there is none there is none for hours."""
    zones, now = choice([Zone("z", "a", 3.0, 15.0)]), 0
    pattern = [True, False, False] * 4 + [False] * 30 + [True] * 100
    for up in pattern * 4 + [False]:
        zones.see(0, up, now)
        now += TICK
    stay = Where(0, True)
    asked = Standing(now, 40 * HOUR, 41 * HOUR + HOUR // 2, stay)
    assert zones.options(asked) == [stay]
    assert zones.options(asked._replace(now_ns=now + 12 * HOUR))[0] == Where(0, False)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=12),
    st.sampled_from([None, True, False]), st.integers(1, 60), st.integers(0, 40),
    st.integers(0, 50), st.floats(1, 20),
)  # fmt: skip
def test_alone_is_whoever_has_one_zone_with_spot_machines_wherever_the_sure_ones_are(
    seen: list[tuple[bool, int]], sure: bool | None, work: int, spare: int, ago: int, price: float
) -> None:
    """An offer to rent is either one or the other, and is decided as a zone with both."""
    one = choice([Zone("z", "a", price, 15.0)])
    two = choice([Zone("s", "a", math.inf, 15.0), Zone("z", "a", price, math.inf)])
    now = 0
    for up, ticks in seen:
        for _ in range(ticks):
            one.see(0, up, now)
            two.see(1, up, now)
            now += TICK
    asked = Standing(now + ago * TICK, work * TICK, (work + spare) * TICK, Where(0, sure))
    other = asked._replace(where=Where(int(sure is False), sure))
    for mine, its in zip(one.options(asked), two.options(other), strict=True):
        assert mine.sure is its.sure
        assert its.sure is None or its.zone == int(its.sure is False)
    assert one.cost(asked) == two.cost(other)


def test_a_job_that_pays_for_a_sure_machine_finds_out_that_others_last_now() -> None:
    """Machines were lost every twenty minutes for days; from some hours on none is."""
    zones = choice([Zone("z", "a", 3.0, 15.0)])
    for tick in range(-400, 0):
        zones.see(0, tick % 4 > 1, tick * TICK)
    ups = [[tick > 40 or tick % 4 > 1] for tick in range(400)]
    ran = run(zones, 300 * TICK, 360 * TICK, ups)
    assert ran.left_ns <= 0
    assert ran.cost < 0.4 * 50 * 15.0


@given(st.lists(st.tuples(st.sampled_from(["up", "down", "lose", "rest"]), st.integers(0, 3),
                          st.integers(0, 3 * HOUR)), max_size=30))  # fmt: skip
def test_whatever_is_seen_of_machines_in_whatever_order_is_counted(
    seen: list[tuple[str, int, int]],
) -> None:
    pool, now_ns, losses = Pool(), 0, 0
    for what, others, span_ns in seen:
        now_ns += span_ns
        if what == "lose":
            pool.lose(now_ns, others)
            losses += 1
        elif what == "rest":
            pool.rest()
        else:
            pool.see(what == "up", now_ns, max(1, others))
        numbers = [pool.up, pool.lost, pool.down, pool.back, *pool.ups.hours, *pool.downs.hours]
        assert min(numbers) >= 0
        assert all(age >= 0 for age in (pool.age(True, now_ns), pool.age(False, now_ns)))
    assert (pool.lost > 0) >= (losses > 0)
    assert all(rate > 0 for rate in hazards([pool.ups], 0.1)[0])
