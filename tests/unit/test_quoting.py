"""What a job would take and cost is said by the plan that it would get, and changes nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from core_builders import Town, cpus
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.events import Describe, Submit, Timed
from hanse.core.invariants import check
from hanse.core.place.allot import Chunks, allot
from hanse.core.place.foresee import Items, foresee
from hanse.core.place.near import Lot, any_where
from hanse.core.place.offer import Offer as PlanOffer
from hanse.core.place.renting import Kind, Lack, choose
from hanse.core.place.work import Left, Tail
from hanse.core.quoting import quote, unsettled
from hanse.core.reckoning import question
from hanse.core.renter import Renter
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.data import Lies
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


def test_a_site_that_is_emptied_for_a_job_is_not_refused_in_the_quote_of_that_job() -> None:
    town = Town()
    town.known("narrow", 10**6, 10**6)
    site = town.place("a", 4)
    wide = town.submit("wide", 10, needs=cpus(4), aims=Aims())
    town.wait(3)
    site.talk()
    assert town.home.sites[SiteId("a")].reserved == wide
    spec = town.job(wide).spec
    (words,) = quote(town.home, spec, [], [Aims()], town.now_ns).refused.values()
    assert "is kept for wide" in words
    (words,) = quote(town.home, spec, [], [Aims()], town.now_ns, of=wide).refused.values()
    assert words == "it is busy: cpus: needs 4, has 0"


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
    (beside,) = quote(town.home, spec, timed(), [Aims()], town.now_ns).rows
    (row,) = quote(town.home, spec, timed(), [Aims()], town.now_ns, job).rows
    assert [each.slots for each in row.sites] == [2, 2]
    assert [each.slots for each in beside.sites] == [1, 1], "half of them, as both weigh the same"
    assert row.end_s is not None
    assert beside.end_s is not None
    assert 1.9 * row.end_s < beside.end_s < 2.1 * row.end_s


def test_of_what_nothing_is_known_no_site_is_said_to_be_beaten_by_others() -> None:
    found = ask(federation(), 100, Aims(objective="cheapest"), of=[])
    assert (found.rows, found.refused) == ([], {})


def test_a_machine_that_may_not_be_rented_has_a_reason() -> None:
    town = renting(Town(), rental("small", 3))
    found = ask(town, 100, in_time(3600), Aims(), base=Aims(regions=["north"]))
    assert found.rows == []
    assert "names no region" in found.unrented["small"]


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


# --- data ---------------------------------------------------------------------------------------
GIB = 1 << 30
HALVES = [Lies(0, 200, "north", 200 * GIB), Lies(200, 400, "south", 200 * GIB)]


def follow_quote(*aims: Aims, lies: Sequence[Lies] = HALVES) -> Quote:
    town = federation()
    spec = JobSpec(name="q", total=400, aims=Aims(follows=True))
    return quote(town.home, spec, timed(), aims, town.now_ns, None, lies)


def test_in_haste_each_site_takes_what_is_near_it_and_no_bytes_are_expected_to_move() -> None:
    (fast,) = follow_quote(Aims()).rows
    assert {each.site: each.share for each in fast.sites} == {"a": 0.5, "b": 0.5}
    assert [each.moved_bytes for each in fast.sites] == [0, 0]
    assert round(fast.cost) == 500, "as without data"
    (far,) = follow_quote(Aims(), lies=[Lies(0, 400, "east", 400 * GIB)]).rows
    assert [round(each.moved_bytes / GIB) for each in far.sites] == [200, 200]
    carried = sum(each.moved_cost for each in far.sites)
    assert carried > 1
    assert abs(far.cost - 500 - carried) < 1e-6


def test_at_leisure_what_is_cheapest_with_its_bytes_is_expected() -> None:
    (cheap,) = follow_quote(Aims(objective="cheapest")).rows
    assert {each.site: round(each.share, 2) for each in cheap.sites} == {"a": 1.0}
    (site,) = cheap.sites
    assert round(site.moved_bytes / GIB) == 200
    assert abs(cheap.cost - 200 - site.moved_cost) < 1e-6
    heavy = [one._replace(nbytes=one.nbytes * 1000) for one in HALVES]
    (stays,) = follow_quote(Aims(objective="cheapest"), lies=heavy).rows
    assert {each.site: round(each.share, 2) for each in stays.sites} == {"a": 0.5, "b": 0.5}
    assert [each.moved_bytes for each in stays.sites] == [0, 0], "they cost more than the work"


class Watched(list[int]):
    """Counts what is looked at."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        return super().__getitem__(at)


def looks_at_runs(runs: int) -> int:
    """What one question about a job with so many runs of data looks at, in a home of four regions
    that can rent in a fifth."""
    town = Town()
    regions = ["north", "south", "east", "west"]
    for name in regions:
        town.tell(Describe(SiteId(name), Offer(tariff=Tariff(region=name, price_nano=NANO))))
        town.place(name, 2)
    renting(town, rental("m", 1.0))
    lies = [Lies(n, n + 1, regions[n % 4], 1 + n % 7) for n in range(runs)]
    spec = JobSpec(name="q", aims=Aims(follows=True))
    town.tell(Submit(JobId("q"), spec, runs, sealed=True, data=lies))
    job = town.job(JobId("q"))
    assert job.data is not None
    by_item = Counter[str]()
    for n in range(runs):
        by_item.update(job.data.nbytes(n, n + 1))
    assert job.data.nbytes(0, runs) == by_item
    watched = job.data._bytes = Watched(job.data._bytes)
    fetched = question(town.home, job, town.now_ns).fetched
    assert fetched.chunks is not None
    assert fetched.whole.keys() == {""}, "sites fetch by chunk"
    return watched.looks


def test_a_question_about_a_job_looks_at_no_more_of_its_data_if_that_lies_in_more_runs() -> None:
    assert looks_at_runs(20_000) <= looks_at_runs(5000)


def test_what_lies_in_regions_is_counted_by_the_part_of_each_site() -> None:
    base = Aims(data=[("north", 400 * GIB)])
    (fast,) = ask(federation(), 400, Aims(), base=base).rows
    moved = {each.site: round(each.moved_bytes / GIB) for each in fast.sites}
    assert moved == {"a": 0, "b": 200}
    assert fast.cost > 500


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.floats(0.1, 8), st.floats(0, 5)), min_size=1,
             max_size=4),
    st.lists(st.tuples(st.integers(0, 500), st.floats(1, 1e6)), min_size=1, max_size=6),
    st.data(),
)  # fmt: skip
def test_every_item_is_allotted_and_those_near_come_first(
    sites: list[tuple[int, float, float]], chunks: list[tuple[int, float]], data: st.DataObject
) -> None:
    offers = [
        PlanOffer(SiteId(f"s{n}"), slots, speed, cost, 0.0, math.inf)
        for n, (slots, speed, cost) in enumerate(sites)
    ]
    home = [data.draw(st.integers(0, len(sites) - 1)) for _ in chunks]
    lots = [
        Lot(n, items, work, 1, [float(at != home[n]) for at in range(len(sites))])
        for n, (items, work) in enumerate(chunks)
    ]
    fetched = [[1.0 * one for one in lot.carry] for lot in lots]
    whole = sum(lot.items * lot.work for lot in lots)
    works = {offer.site: data.draw(st.floats(0.01, 1)) for offer in offers}
    loose = Chunks(offers, lots, fetched, any_where(offers, lots))
    parts = allot(loose, works)
    assert math.isclose(sum(part.work for part in parts.values()), whole, rel_tol=1e-6, abs_tol=1)
    total = sum(works.values())
    blind = sum(
        lot.items * works[offer.site] / total * lot.carry[at]
        for lot in lots
        for at, offer in enumerate(offers)
    )
    if len({work for _, work in chunks}) == 1:
        assert sum(part.nano for part in parts.values()) <= blind * (1 + 1e-6) + 1e-6
    for part in parts.values():
        assert math.isclose(part.nbytes, part.nano, rel_tol=1e-9, abs_tol=1e-9)
