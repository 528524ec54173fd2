"""Where machines are rented that can be taken away: what is seen of them, and what follows."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from core_builders import Town
from hypothesis import given, settings
from hypothesis import strategies as st
from test_renting import HERE, HOUR, JOB, kind, lack, left, rental

from hanse.core.invariants import check
from hanse.core.place.renting import Choice, Held, Kind, Lack
from hanse.core.place.spells import Pool
from hanse.core.place.streams import Need, Streams
from hanse.core.renter import Renter
from hanse.ids import JobId
from hanse.limits import SECOND
from hanse.model.aims import NANO
from hanse.model.rental import Rented
from hanse.sim.rehearsal_scenario import Scenario
from hanse.sim.renting import RentingStage

A, B = rental("a", 1.0, spot=True, region="a"), rental("b", 1.2, spot=True, region="b")
SURE = rental("sure", 4.0)


def chosen(asked: Lack, *kinds: Kind, pools: dict[str, Pool] | None = None) -> Choice:
    return Streams(pools or {"a": Pool(), "b": Pool()}).choose(asked, kinds, 0)


def none(one: Kind) -> Kind:
    """None of it can be brought now."""
    return one._replace(room=0)


# --- the choice ---------------------------------------------------------------------------------
def test_machines_that_can_be_taken_away_are_preferred_while_there_is_slack() -> None:
    found = chosen(lack(left(10), 20, slots=0), kind(SURE), kind(B), kind(A))
    assert set(found.bring) == {"a"}


def test_where_none_can_be_had_they_are_waited_for_until_slack_is_used_up() -> None:
    kinds = [kind(SURE)._replace(room=1), none(kind(A)), none(kind(B))]
    early = chosen(lack(left(4), 20, slots=0), *kinds)
    assert not early.bring
    assert "costs less than one that is sure" in early.reasons[0]
    late = chosen(lack(left(4), 4.1, slots=0)._replace(whole_ns=20 * HOUR), *kinds)
    assert set(late.bring) == {"sure"}


def test_a_zone_that_loses_its_machines_all_the_time_is_not_the_one() -> None:
    shaky = Pool()
    for hour in range(40):
        shaky.see(hour % 2 == 0, hour * HOUR // 4)
    start = {"start_ns": 1200 * SECOND, "spot": True}
    kinds = [kind(rental("a", 1.0, **start)), kind(rental("b", 1.2, **start)), kind(SURE)]
    found = chosen(lack(left(10), 20, slots=0), *kinds, pools={"a": shaky, "b": Pool()})
    assert set(found.bring) == {"b"}


def test_a_sure_machine_is_replaced_once_another_can_be_had_and_goes_on_until_then() -> None:
    held = Held("sure-1-1", kind(SURE)._replace(start_ns=0.0), up=True)
    asked = lack(left(10), 20, slots=0)._replace(held=[held])
    found = chosen(asked, kind(SURE), kind(A))
    assert ("sure-1-1", "a") in [(move.machine, move.kind) for move in found.moves]
    paid = asked._replace(held=[held._replace(kept=True)])
    assert not chosen(paid, kind(SURE), kind(A)).moves, "it is paid for"


def test_one_that_could_only_be_taken_away_is_left_for_a_sure_one_in_time() -> None:
    held = Held("a-1-1", kind(A)._replace(start_ns=0.0), up=True)
    asked = lack(left(4), 4.09, slots=0)._replace(held=[held], whole_ns=20 * HOUR)
    (move,) = chosen(asked, none(kind(A)), kind(SURE)._replace(room=1)).moves
    assert (move.machine, move.kind) == ("a-1-1", "sure")


def test_each_machine_that_another_is_brought_for_has_its_own_reason() -> None:
    held = [Held(f"a-1-{n}", kind(A)._replace(start_ns=0.0), up=True) for n in (1, 2)]
    asked = lack(left(15.8), 4.12, slots=0)._replace(held=held, whole_ns=20 * HOUR)
    found = chosen(asked, none(kind(A)), kind(SURE)._replace(room=2))
    assert [move.machine for move in found.moves] == ["a-1-1", "a-1-2"]
    for move in found.moves:
        assert move.why in found.reasons
        assert f"in place of {move.machine}: " in move.why
        assert "no time to begin another" in move.why


def test_spot_machines_that_cost_more_are_not_waited_for() -> None:
    start_ns = 1800 * SECOND
    slow = kind(rental("slow", 2.0, start_ns=start_ns))._replace(room=1, start_ns=start_ns)
    fast = kind(rental("fast", 3.0))._replace(room=1)
    dear = none(kind(rental("a", 9.0, spot=True)))
    found = chosen(lack(left(8), 20, slots=0), dear, fast, slow)
    assert next(iter(found.bring)) == "slow"
    assert "costs the least" in found.reasons[0]


def test_that_there_is_no_time_to_wait_is_said_where_there_is_none() -> None:
    late = lack(left(4, 0.05), 4.2, slots=0)._replace(whole_ns=20 * HOUR)
    found = chosen(late, none(kind(A)), kind(SURE)._replace(room=1))
    assert "no time to wait" in found.reasons[0]


def test_no_slack_is_kept_for_what_more_sure_machines_could_do() -> None:
    streams = Streams({"a": Pool()})
    streams.choose(lack(left(4), 20, slots=0), [kind(SURE), kind(A)], 0)
    need = Need(4.0 * HOUR, 1.0 * HOUR, 6.0 * HOUR)
    ten, one = (streams.standing(1, need, None, 0.0, 0, power) for power in (10.0, 1.0))
    assert ten.time_ns == 6 * HOUR, "ten do all of it within the slack"
    assert one.time_ns == 5 * HOUR


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.1, 30), st.floats(0, 1), st.floats(0.3, 20), st.floats(0.01, 50),
    st.lists(st.tuples(st.booleans(), st.floats(0.1, 5), st.integers(0, 4)), min_size=1,
             max_size=4),
)  # fmt: skip
def test_nothing_is_brought_beyond_limit_and_budget(
    hours: float, spread: float, deadline_h: float, money: float,
    offers: list[tuple[bool, float, int]],
) -> None:  # fmt: skip
    kinds = [
        kind(rental(f"k{n}", price, spot=spot or not n, most=10))._replace(room=room)
        for n, (spot, price, room) in enumerate(offers)
    ]
    pools = {one.rental.name: Pool() for one in kinds if one.rental.tariff.spot}
    found = chosen(lack(left(hours, spread), deadline_h, money), *kinds, pools=pools)
    assert found.cost <= money * NANO
    for one in kinds:
        assert found.bring.get(one.rental.name, 0) <= one.room
    assert found.reasons or not (found.bring or found.moves)


# --- what is seen -------------------------------------------------------------------------------
def test_one_of_several_that_is_lost_does_not_say_that_there_are_none() -> None:
    pool = Pool()
    pool.see(True, 0, 3)
    pool.see(True, HOUR, 3)
    pool.lose(HOUR, 2)
    assert (round(pool.up, 1), round(pool.lost), pool.was_up) == (3.0, 1, True)
    pool.lose(HOUR, 0)
    assert (round(pool.lost), pool.was_up) == (2, False)


def test_many_machines_are_no_older_than_one() -> None:
    pool = Pool()
    pool.see(True, 0, 10)
    pool.see(True, HOUR // 4, 10)
    assert pool.ups.hours == [2.5, 0, 0, 0]


def test_one_that_is_taken_away_on_its_way_was_lost() -> None:
    renter = Renter(Town().home, [A, B])
    for n in range(3):
        for name in ("a", "b"):
            id = f"{name}-1-{n}"
            renter.machines[id] = Rented(id=id, kind=name, job=JobId("job"), since_ns=0)
        renter.lost(f"a-1-{n}", HOUR)
        renter.failed(f"b-1-{n}", "there is no capacity", HOUR)
    lasts_ns = renter.spots.lasts_ns(HOUR)
    assert lasts_ns["a"] < lasts_ns["b"]


# --- whole runs ---------------------------------------------------------------------------------
def spells(draws: Random, up_s: float, down_s: float) -> list[int]:
    """When there are none any more, and some again, in turn."""
    found, at_s = [], draws.expovariate(1 / up_s)
    while at_s < 7200:
        for span_s in (down_s, up_s):
            found.append(int(at_s * SECOND))
            at_s += 1 + draws.expovariate(1 / span_s)
    return found


def zones(seed: int, items: int, deadline_s: float, budget: float) -> RentingStage:
    draws = Random(seed)
    up_s, down_s = draws.choice([(300, 300), (1500, 600), (200, 2000)])
    times = {"start_ns": 30 * SECOND, "patience_ns": 120 * SECOND}
    offers = [
        rental("a", 1.0, 2, most=2, spot=True, region="a", **times),
        rental("b", 1.3, 2, most=2, spot=True, region="b", **times),
        rental("sure", 4.0, 2, most=4, **times),
    ]
    job = replace(JOB, items=items, deadline_s=deadline_s, budget=budget)
    scenario = Scenario((replace(HERE, cpus=1),), (job,))
    away = {name: spells(draws, up_s, down_s) for name in ("a", "b")}
    stage = RentingStage(scenario, seed, offers, spells=away)
    stage.play(2 * HOUR)
    check(stage.home.home)
    assert stage.books.all_ended
    assert not stage.renter.machines, "all were sent away"
    assert not stage.home.home.spots.regions, "each counts to its offer alone"
    assert all(stage.most_at_once[one.name] <= one.most for one in offers)
    assert sum(stage.brought.values()) <= 12 + 2 * stage.troubles
    assert stage.moves <= 4 + stage.troubles
    return stage


@pytest.mark.parametrize("seed", [2, 3, 5, 7])
def test_deadlines_are_met_where_zones_come_and_go(seed: int) -> None:
    stage = zones(seed, 800, 2400.0, float("inf"))
    book = stage.books.jobs[JobId("job")]
    assert book.state == "done"
    assert book.ended_ns <= 2401 * SECOND


@pytest.mark.parametrize(("seed", "budget"), [(3, 0.4), (7, 0.1)])
def test_no_budget_is_passed_where_zones_come_and_go(seed: int, budget: float) -> None:
    stage = zones(seed, 800, 2400.0, budget)
    place = stage.home.home.jobs[JobId("job")].place
    assert place is not None
    ended_ns = stage.books.jobs[JobId("job")].ended_ns
    assert place.purse.total() + place.purse.due(ended_ns) <= budget * NANO
