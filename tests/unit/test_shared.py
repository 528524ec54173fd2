"""What all items of a job share, and each site has to fetch once."""

from __future__ import annotations

import math

import pytest
from core_builders import Town
from hypothesis import given, settings
from hypothesis import strategies as st
from test_renting import HOUR, rental

from hanse import limits
from hanse.core.events import Describe, JobSpent
from hanse.core.place.egress import Egress
from hanse.core.placement import Placement
from hanse.core.why import explain
from hanse.ids import JobId, SiteId
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.fit import Offer

GB = 10**9
NORTH = Tariff(region="north", price_nano=2 * NANO)
SOUTH = Tariff(region="south", price_nano=1 * NANO)


def town_of(**tariffs: Tariff) -> Town:
    """The home is in the north; a gigabyte costs 0.1 from region to region."""
    town = Town()
    town.home.carries_at(Egress(default=NANO // 10), "north")
    for name, one in tariffs.items():
        town.tell(Describe(SiteId(name), Offer(tariff=one)))
    return town


def placement(town: Town, job: JobId) -> Placement:
    place = town.job(job).place
    assert place is not None
    return place


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("finish", "crash"))),
                max_size=12))  # fmt: skip
def test_it_is_counted_once_for_each_run_of_a_site_elsewhere(
    steps: list[tuple[str, str]],
) -> None:
    town = town_of(a=NORTH, b=SOUTH, c=SOUTH)
    places = {name: town.place(name) for name in "abc"}
    job = town.submit("j", 100_000, aims=Aims(shared=3 * GB))
    for name, step in steps:
        town.now_ns += limits.SECOND
        if step == "finish":
            places[name].finish()
        else:
            places[name].crash()
            places[name].talk()
    for name in "abc":
        runs = {orders.incarnation for orders in town.orders[SiteId(name)] if orders.grants}
        expected = (0, 0) if name == "a" else (3 * GB * len(runs), 3 * NANO // 10 * len(runs))
        assert placement(town, job).moved.get(SiteId(name), (0, 0)) == expected
    assert any("2.794 GiB along" in line for line in explain(town.home, job, town.now_ns))


def test_what_a_site_runs_for_an_earlier_run_of_the_home_it_has_fetched() -> None:
    town = town_of(b=SOUTH)
    place = town.place("b")
    job = town.submit("j", 100_000, aims=Aims(shared=3 * GB), durable=True)
    place.talk()
    town.wait(100)
    assert any(isinstance(fact, JobSpent) and fact.moved for fact in town.facts)
    town.recover()
    town.home.carries_at(Egress(default=NANO // 10), "north")
    town.tell(Describe(SiteId("b"), Offer(tariff=SOUTH)))
    place.talk()
    for _ in range(3):
        town.now_ns += limits.SECOND
        place.finish()
    assert placement(town, job).moved[SiteId("b")] == (3 * GB, 3 * NANO // 10)


def _used(items: int, shared: int) -> set[str]:
    """Which of two sites a job with items of an hour each uses; the nearer one is dearer."""
    town = town_of(a=NORTH, b=SOUTH)
    job = town.submit("j", items, aims=Aims(objective="cheapest", shared=shared))
    placement(town, job).work.observe(SiteId("a"), 1, 3600 * limits.SECOND)
    placement(town, job).work.observe(SiteId("b"), 1, 3600 * limits.SECOND)
    town.place("a"), town.place("b")
    return {str(site) for site, slots in placement(town, job).quota.items() if slots}


def test_a_site_is_worth_it_where_enough_items_share_it() -> None:
    """An item costs 1 less there, and what they share 5."""
    assert _used(3, 50 * GB) == {"a"}
    assert _used(10, 50 * GB) == {"b"}
    assert _used(3, 0) == {"b"}


def test_a_budget_has_room_for_it_or_nothing_is_granted() -> None:
    town = town_of(b=SOUTH)
    job = town.submit("j", 10, aims=Aims(shared=50 * GB, budget_nano=4 * NANO))
    town.place("b")
    assert not placement(town, job).moved
    assert placement(town, job).stopped


def test_a_rented_machine_shares_it_among_the_items_that_it_can_do_in_time() -> None:
    """Not among all: each machine that is brought fetches it anew."""
    town = town_of()
    aims = Aims(shared=50 * GB, deadline_ns=10 * HOUR)
    job = town.job(town.submit("j", 1000, aims=aims))
    assert job.place is not None
    job.place.work.observe(SiteId("x"), 1, HOUR)
    one = rental("r", region="south")
    kind = town.home.kind_of(job, one, 1, 0.0, (), math.inf)
    assert not isinstance(kind, str)
    assert kind.carry * 10 * HOUR == pytest.approx(5 * NANO, rel=0.01)
