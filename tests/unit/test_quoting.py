"""What a job would take and cost is said by the plan that it would get, and changes nothing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from core_builders import Town, cpus
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.events import Describe, Timed
from hanse.core.invariants import check
from hanse.core.place.foresee import Items, foresee
from hanse.core.place.offer import Offer as PlanOffer
from hanse.core.place.renting import Kind, Lack, choose
from hanse.core.place.work import Left, Tail
from hanse.core.quoting import quote, unsettled
from hanse.core.renter import Renter
from hanse.ids import SiteId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobSpec, JobState
from hanse.model.quote import Quote
from hanse.model.rental import Rental

CHEAP = Tariff(region="north", price_nano=3600 * NANO)
DEAR = Tariff(region="south", price_nano=4 * 3600 * NANO)


def federation() -> Town:
    """Two sites of two slots; the second costs four times as much."""
    town = Town()
    for name, tariff in (("a", CHEAP), ("b", DEAR)):
        town.tell(Describe(SiteId(name), Offer(tariff=tariff)))
        town.place(name, 2)
    return town


def timed(seconds: float = 1.0, count: int = 40) -> list[Timed]:
    return [Timed(SiteId(name), 1, int(seconds * SECOND)) for name in "ab" for _ in range(count)]


def ask(town: Town, items: int, *aims: Aims, base: Aims | None = None,
        of: list[Timed] | None = None) -> Quote:  # fmt: skip
    spec = JobSpec(name="q", total=items, aims=base or Aims())
    return quote(town.home, spec, timed() if of is None else of, aims, town.now_ns)


def in_time(seconds: float) -> Aims:
    return Aims(objective="cheapest", deadline_ns=int(seconds * SECOND))


def test_haste_uses_all_and_leisure_the_cheapest() -> None:
    found = ask(federation(), 400, Aims(), Aims(objective="cheapest"))
    fast, cheap = found.rows
    assert {each.site: each.share for each in fast.sites} == {"a": 0.5, "b": 0.5}
    assert [(each.site, each.share) for each in cheap.sites] == [("a", 1.0)]
    assert fast.end_s < 0.6 * cheap.end_s
    assert round(cheap.cost) == 200, "an item holds one of two slots for a second"
    assert round(fast.cost) == 500
    assert found.item_s == 1.0


def test_what_cannot_be_in_time_is_said() -> None:
    found = ask(federation(), 400, in_time(20), in_time(105), in_time(1000))
    assert [row.met for row in found.rows][::2] == ["no", "sure"]
    late = found.rows[0]
    assert late.end_s > 20
    poor = ask(federation(), 400, Aims(objective="cheapest", budget_nano=50 * NANO))
    assert poor.rows[0].paid == "no"


def test_sites_that_would_get_nothing_have_a_reason() -> None:
    found = ask(federation(), 400, Aims(), base=Aims(regions=["north"]))
    assert list(found.refused) == ["b"]
    assert "region" in found.refused["b"]
    assert [each.site for each in found.rows[0].sites] == ["a"]


def test_of_what_was_never_timed_nothing_is_said() -> None:
    found = ask(federation(), 400, Aims(), of=[])
    assert (found.items, found.timed, found.rows, found.item_s) == (400, 0, [], None)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 100_000),
    st.lists(st.floats(1, 1e6), min_size=2, max_size=5),
    st.lists(st.integers(1, 10**12), min_size=1, max_size=30),
)
def test_a_quote_changes_nothing_and_more_time_is_never_dearer(
    items: int, seconds: list[float], times: list[int]
) -> None:
    town = federation()
    job = town.submit("j", 10, aims=Aims(deadline_ns=1000 * SECOND))
    before = (dict(town.home.jobs), list(town.home._shapes), town.job(job).place)
    segments = [Timed(SiteId("ab"[n % 2]), 1, ns) for n, ns in enumerate(times)]
    found = ask(town, items, *(in_time(each) for each in sorted(seconds)), of=segments)
    check(town.home)
    assert before == (dict(town.home.jobs), list(town.home._shapes), town.job(job).place)
    for row in found.rows:
        assert abs(sum(each.share for each in row.sites) - 1) < 1e-9
        assert row.end_s <= row.end_high_s
        assert row.cost <= row.cost_high
    met = [row.cost for row in found.rows if row.met != "no"]
    assert all(later <= sooner * (1 + 1e-9) for sooner, later in pairwise(met))


# --- machines that would be rented --------------------------------------------------------------
def rental(name: str, price: float, **more: Any) -> Rental:
    """A machine of two slots that comes up in a minute."""
    tariff = Tariff(price_nano=round(price * NANO), start_ns=60 * SECOND, rented=True)
    return Rental(name=name, amount=cpus(2), tariff=tariff, **({"most": 10} | more))


def renting(town: Town, *rentals: Rental) -> Town:
    Renter(town.home, rentals)
    return town


def alone() -> Town:
    """One site of two slots, for nothing."""
    town = Town()
    town.place("a", 2)
    return town


def test_what_would_be_rented_is_said_with_its_time_and_cost() -> None:
    town = renting(alone(), rental("dear", 9), rental("cheap", 3))
    of = [Timed(SiteId("a"), 1, 10 * SECOND)] * 100
    tight, wide = ask(town, 3600, in_time(2 * 3600), in_time(7 * 3600), of=of).rows
    assert not wide.machines, "18,000 s of two slots are 5 h"
    (brought,) = tight.machines
    assert (brought.offer, brought.count) == ("cheap", 2)
    assert brought.up_s == brought.asked_s + 60
    assert tight.met == "sure"
    assert abs(sum(each.share for each in [*tight.sites, brought]) - 1) < 1e-9
    hours = brought.share * 36000 / 2 / 3600 + 2 * (60 + 60) / 3600
    assert abs(brought.cost - 3 * hours) < 0.01, "from being asked for until idle for a minute"
    assert tight.cost == brought.cost
    assert "2 cheap will be brought" in tight.renting[0]
    assert tight.sooner is not None
    earlier = ask(town, 3600, in_time(3600), of=of).rows[0]
    assert abs(tight.sooner - (earlier.cost - tight.cost)) < 1e-6
    assert wide.end_s is not None
    earlier = ask(town, 3600, in_time(wide.end_s - 3600), of=of).rows[0]
    assert wide.sooner is not None
    assert abs(wide.sooner - (earlier.cost - wide.cost)) < 1e-6
    assert wide.sooner > 0, "it will be done in five hours, and not in four"


def test_where_no_site_can_run_it_the_first_machine_is_told() -> None:
    found = ask(renting(Town(), rental("a", 3)), 100, in_time(3600), Aims(), of=[])
    assert not found.able
    (row,) = found.rows
    assert (row.end_s, row.met) == (None, "unknown")
    assert [(each.offer, each.count, each.asked_s) for each in row.machines] == [("a", 1, 0)]
    assert row.cost > 0
    later = ask(renting(Town(), rental("a", 3)), 100, in_time(3600))
    assert later.rows[0].sites == []
    assert later.rows[0].machines[0].share == 1


def test_no_budget_for_a_machine_is_said() -> None:
    town = renting(alone(), rental("a", 3))
    poor = Aims(objective="cheapest", deadline_ns=3600 * SECOND, budget_nano=NANO // 100)
    (row,) = ask(town, 3600, poor, of=[Timed(SiteId("a"), 1, 10 * SECOND)] * 100).rows
    assert not row.machines
    assert row.met == "no"
    assert "its budget has room for" in row.renting[0]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4), st.floats(0.2, 4), st.floats(0.05, 1.5), st.integers(5, 400),
    st.lists(st.tuples(st.floats(0.1, 5), st.integers(1, 6)), min_size=1, max_size=3),
)  # fmt: skip
def test_what_is_foreseen_is_what_is_chosen_then(
    slots: int, hours: float, spread: float, timed: int, kinds: list[tuple[float, int]]
) -> None:
    """At the first moment it is what would be brought now; never more than may be; and a job that
    is foreseen to have machines is in time, by what estimates err by, unless all that may be are
    too few."""
    offered = [
        Kind(rental(f"k{n}", price, most=most), 2, 1.0, most, 60.0 * SECOND)
        for n, (price, most) in enumerate(kinds)
    ]
    mean = 4.0 * 3600 * SECOND
    tail = Tail(0.0, 1.0, 0.5, 0.0)
    left = Left(mean, mean * (1 + spread), SECOND, SECOND, tail, sure=True)
    here = PlanOffer(SiteId("here"), slots, 1.0, 0.0, 0.0, math.inf, open=True)
    time_ns = hours * 3600 * SECOND
    lack = Lack(left, time_ns, time_ns, None, [here])
    found, reasons = foresee(lack, offered, Items(14400, timed))
    now = {each.kind.rental.name: each.many for each in found if not each.at_ns}
    assert now == choose(lack, offered).bring
    assert bool(found) <= bool(reasons)
    for kind in offered:
        assert sum(each.many for each in found if each.kind.rental == kind.rental) <= kind.room
    able = sum(kind.room * kind.does(0.9 * time_ns) for kind in offered) + slots * 0.9 * time_ns
    done = sum(each.does(0, time_ns) for each in found) + slots * time_ns
    assert done >= 0.98 * mean or able < 1.2 * mean


def test_a_quote_about_a_job_that_runs_counts_what_it_holds_as_free() -> None:
    town = federation()
    job = town.submit("j", 100, aims=Aims(deadline_ns=1000 * SECOND))
    assert town.job(job).leases
    spec = JobSpec(name="j", total=100, aims=Aims())
    assert quote(town.home, spec, timed(), [Aims()], town.now_ns).rows == []
    (row,) = quote(town.home, spec, timed(), [Aims()], town.now_ns, job).rows
    assert row.sites


def test_a_machine_that_may_not_be_rented_has_a_reason() -> None:
    town = renting(Town(), rental("small", 3))
    found = ask(town, 100, in_time(3600), Aims(), base=Aims(regions=["north"]))
    assert found.rows == []
    assert "names no region" in found.refused["small, rented,"]


def test_what_a_site_said_while_a_job_ran_is_not_the_last_word_once_that_has_ended() -> None:
    town = Town()
    site = town.place("a", 1)
    job = town.known("j", 1)
    site.talk()  # says that it runs the item
    (lease, grant) = next(iter(site.grants.items()))
    town.now_ns += 1
    assert not unsettled(town.home, town.now_ns)
    site.done(grant.start, grant.stop, lease=lease)
    site.talk()
    town.now_ns += 1
    assert town.state(job) is JobState.DONE
    assert unsettled(town.home, town.now_ns)
    site.end(lease)
    site.talk()
    assert not unsettled(town.home, town.now_ns)
