"""The parts by which leases follow data: chunks of items, and who gets which, beside plain models
of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse import limits
from hanse.core.place.data import NOWHERE, ByChunk, Places
from hanse.core.place.efforts import Efforts
from hanse.core.place.near import Lot, any_where, follow
from hanse.core.place.plan import ALL, Offer
from hanse.ids import JobId, SiteId
from hanse.model.data import Lies, check_lies
from hanse.model.ranges import RangeSet
from hanse.sim.rehearsal import Stage
from hanse.sim.rehearsal_scenario import JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_site import Work
from hanse.sim.rehearsal_times import Times

REGIONS = ("north", "south", "east")


@st.composite
def told(draw: st.DrawFn) -> list[Lies]:
    found, at = [], 0
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 3))
        stop = at + draw(st.integers(1, 9))
        size = draw(st.integers(0, 50)) * (stop - at)
        found.append(Lies(at, stop, draw(st.sampled_from(REGIONS)), size))
        at = stop
    return found


@given(told(), st.lists(st.tuples(st.booleans(), st.integers(0, 80), st.integers(0, 20))))
def test_what_is_ready_is_ready_in_its_chunk_and_in_no_other(
    data: list[Lies], steps: list[tuple[bool, int, int]]
) -> None:
    places = Places()
    places.add(data)
    ready, plain = ByChunk(places), set[int]()
    where = {item: one.region for one in data for item in range(one.start, one.stop)}
    for adds, start, count in steps:
        span = range(start, start + count)
        ready.add(start, start + count) if adds else ready.remove(start, start + count)
        plain = plain.union(span) if adds else plain.difference(span)
        assert {item for a, b in ready for item in range(a, b)} == plain
        for chunk, items in ready.chunks.items():
            found = {item for a, b in items for item in range(a, b)}
            region = places.regions[chunk]
            assert found == {item for item in plain if where.get(item, "") == region}


@given(told(), st.integers(0, 80), st.integers(0, 80))
def test_bytes_of_parts_are_those_of_the_whole(data: list[Lies], one: int, other: int) -> None:
    places = Places()
    places.add(data)
    places.add(data)  # said again, it is not heard
    cuts = sorted((0, one, other, 200))
    parts = [places.nbytes(a, b) for a, b in itertools.pairwise(cuts)]
    sums = {region: sum(part.get(region, 0) for part in parts) for region in places.nbytes(0, 200)}
    assert sums == places.nbytes(0, 200)
    assert sum(sums.values()) == sum(lies.nbytes for lies in data)


@given(told(), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 20)), max_size=4))
def test_what_is_left_reads_the_same_in_whatever_order_it_is_said(
    data: list[Lies], left: list[tuple[int, int]]
) -> None:
    places, gaps = Places(), RangeSet([])
    places.add(data)
    for start, count in left:
        gaps.add(start, start + count)
    said = places.grouped(gaps)
    check_lies(said, 0, len(gaps))
    again = Places()
    again.add(said)
    total: dict[str, int] = {}
    for start, stop in gaps:
        for region, nbytes in places.nbytes(start, stop).items():
            total[region] = total.get(region, 0) + nbytes
    assert again.nbytes(0, len(gaps)) == total


def test_what_is_beyond_the_bounds_lies_nowhere() -> None:
    places = Places()
    places.add(Lies(n, n + 1, f"r{n}", 1) for n in range(limits.DATA_CHUNKS + 10))
    assert len(places.regions) == limits.DATA_CHUNKS + 1
    (beyond,) = places.parts(limits.DATA_CHUNKS + 1, limits.DATA_CHUNKS + 2)
    assert beyond[0] == NOWHERE


def test_a_million_items_of_one_data_set_are_one_run() -> None:
    places = Places()
    places.add(Lies(n, n + 1000, "north", 5000) for n in range(0, 1_000_000, 1000))
    assert list(places.parts(0, 1_000_000)) == [(1, 0, 1_000_000)]


def test_sites_and_data_sets_are_not_mistaken_for_each_other() -> None:
    """Each site has run mostly its own data set, and a few items of the other's."""
    luck, efforts = random.Random(1), Efforts()
    speeds, works = {"fast": 4.0, "slow": 1.0}, {1: 1e9, 2: 50e9}
    for site, chunk, count in (("fast", 2, 40), ("fast", 1, 5), ("slow", 1, 40), ("slow", 2, 5)):
        for _ in range(count):
            took = works[chunk] / speeds[site] * math.exp(luck.gauss(0, 0.1))
            efforts.observe(chunk, SiteId(site), 1, round(took))
    efforts.fit({})
    ratio = efforts.speed(SiteId("fast")) or 0.0
    ratio /= efforts.speed(SiteId("slow")) or 1.0
    assert 3 < ratio < 5
    assert 35 < efforts.work(2) / efforts.work(1) < 65


@st.composite
def shares(draw: st.DrawFn) -> tuple[list[Offer], list[Lot]]:
    number = st.floats(0.1, 10)
    offers = [Offer(SiteId(str(n)), draw(st.integers(1, 4)), draw(number), draw(number), 0.0,
                    math.inf) for n in range(draw(st.integers(1, 3)))]  # fmt: skip
    lots = [Lot(n, draw(st.integers(1, 40)), draw(number), 5, [draw(number) for _ in offers])
            for n in range(draw(st.integers(1, 4)))]  # fmt: skip
    return offers, lots


@settings(max_examples=60, derandomize=True)
@given(shares(), st.floats(0.3, 3))
def test_what_is_followed_is_no_dearer_than_the_best_way_with_whole_data_sets(
    drawn: tuple[list[Offer], list[Lot]], slack: float
) -> None:
    offers, lots = drawn
    costs, times = {}, {}
    for way in itertools.product(range(len(offers)), repeat=len(lots)):
        busy = [0.0] * len(offers)
        for lot, at in zip(lots, way, strict=True):
            busy[at] += lot.items * lot.work / offers[at].speed / offers[at].slots
        times[way] = max(busy)
        costs[way] = sum(
            lot.items * (lot.work * offers[at].cost / offers[at].speed + lot.carry[at])
            for lot, at in zip(lots, way, strict=True)
        )
    time_ns = min(times.values()) * (1 + slack)
    found = follow(offers, lots, [0.0] * len(offers), time_ns)
    best = min(cost for way, cost in costs.items() if times[way] <= time_ns)
    assert found.end_ns <= time_ns * 1.000001
    assert found.cost <= best * 1.15  # in nearly all cases less than 1.0
    given_out = {
        lot.chunk: sum(min(share.get(lot.chunk, 0), lot.items) for share in found.shares.values())
        for lot in lots
    }
    assert given_out == {lot.chunk: lot.items for lot in lots}, "nothing is left for nobody"


@given(shares())
def test_where_time_is_all_that_counts_every_site_may_take_all(
    drawn: tuple[list[Offer], list[Lot]],
) -> None:
    found = any_where(*drawn)
    assert all(share == {lot.chunk: ALL for lot in drawn[1]} for share in found.values()), (
        "no site starves"
    )


def test_a_job_may_have_no_site_at_all() -> None:
    assert any_where([], [Lot(0, 5, 1.0, 1, [])]) == {}


# --- under the real home ------------------------------------------------------------------------
class Efforts40(Work):
    """Each 40 items take as long as is said."""

    each: Sequence[int]

    def takes_ns(self, job: JobId, item: int) -> int:
        return self.each[item // 40]


@pytest.mark.parametrize("seed", range(6))
def test_the_home_finds_what_brute_force_finds_and_moves_less(seed: int) -> None:
    """Four data sets at three sites: within a twentieth of the best way to place whole sets, no
    dearer than all of it at one site, and in time; though how long items take is not known."""
    luck = random.Random(seed)
    price = [luck.uniform(1, 6) for _ in REGIONS]  # an hour of a site of four slots
    each = [round(luck.uniform(2, 30) * limits.SECOND) for _ in range(4)]
    homes, size = [luck.randrange(3) for _ in each], luck.randint(1, 30) * 10**8
    data = tuple(Lies(n * 40, n * 40 + 40, REGIONS[home], 40 * size, str(n))
                 for n, home in enumerate(homes))  # fmt: skip
    deadline_s = 3 * sum(each) * 40 / limits.SECOND / 12
    job = JobKind("job", 160, Times(), 0.0, 3, 1, 1, 1.0, "cheapest", deadline_s, data=data)
    sites = tuple(SiteKind(name, 1, 4, 1.0, price[n], name, 20.0, 50.0, 0.0, 0.0, 60.0, 0.0,
                           math.inf, told_speed=1.0) for n, name in enumerate(REGIONS))  # fmt: skip

    def work(*args: Any) -> Work:
        made = Efforts40(*args)
        made.each = each
        return made

    stage = Stage(Scenario(sites, (job,)), seed, work)
    stage.run()
    book, place = stage.books.jobs[JobId("job")], stage.home.home.jobs[JobId("job")].place
    assert place is not None
    assert book.state == "done"
    assert book.ended_ns / limits.SECOND - 1 <= deadline_s

    def cost(way: Sequence[int]) -> tuple[float, float]:
        busy, nano = [0.0, 0.0, 0.0], 0.0
        for lasts, home, at in zip(each, homes, way, strict=True):
            busy[at] += 40 * lasts / limits.SECOND / 4
            nano += 40 * lasts / limits.SECOND / 4 * price[at] / 3600
            nano += 40 * size / 1e9 * 0.02 * (at != home)
        return max(busy), nano

    best = min(nano for way in itertools.product(range(3), repeat=4)
               for ends, nano in [cost(way)] if ends <= deadline_s)  # fmt: skip
    paid = sum(place.purse.spent.values()) / 1e9
    assert paid <= 1.05 * best, f"{paid} where {best} is enough"
    at_one = min(range(3), key=lambda at: cost([at] * 4)[1])
    assert paid <= 1.05 * cost([at_one] * 4)[1]
    moved = sum(nbytes for nbytes, _ in place.moved.values())
    assert moved <= 40 * size * sum(home != at_one for home in homes)


def test_a_name_for_each_file_does_not_hide_where_the_files_lie() -> None:
    places = Places()
    places.add(Lies(n, n + 1, ("us", "eu", "asia")[n // 60], 7, f"file {n}") for n in range(180))
    assert sum(items for items, _ in places.totals().values()) == 180
    assert places.nbytes(0, 180) == {"us": 420, "eu": 420, "asia": 420}
    chunks = {chunk for chunk, _, _ in places.parts(100, 180)}
    assert {places.regions[chunk] for chunk in chunks} == {"eu", "asia"}
    assert len(chunks) == 2, "they are one run each"


LACKS = st.floats(0.005, 0.045)


def beside(lack: float, time_ns: float, sunk: bool = False) -> tuple[int, float]:
    """How many items of a chunk a site gets to which they are dear, where the site that has their
    data lacks so much of the time; and what it is expected to cost."""
    items = 1000
    near = Offer(SiteId("near"), 10, 1.0, 1.0, 0.0, math.inf, open=True)
    far = Offer(SiteId("far"), 10, 1.0, 1.0, 0.0, math.inf, open=True, sunk=sunk)
    work = 10 * time_ns * (1 + lack) / items
    lots = [Lot(0, items, work, 9, [0.0, 20 * work])]
    found = follow([near, far], lots, [0.0, 0.0], time_ns)
    return sum(found.shares[SiteId("far")].values()), found.cost


@given(LACKS)
def test_a_little_that_seems_to_lack_waits_and_is_counted(lack: float) -> None:
    items, cost = beside(lack, 1e12)
    assert not items
    assert cost > 10 * 1e12 * (1 + lack), "some of it is expected to run where it is dear"


@given(st.floats(0.06, 0.5))
def test_what_lacks_in_any_case_is_begun_at_once(lack: float) -> None:
    assert beside(lack, 1e12)[0]


@given(LACKS)
def test_a_machine_that_is_paid_for_does_not_wait(lack: float) -> None:
    assert beside(lack, 1e12, sunk=True)[0]


@given(st.floats(0.76, 0.88))
def test_what_waits_begins_while_there_is_just_time_for_it(busy: float) -> None:
    near = Offer(SiteId("near"), 1, 1.0, 1.0, 0.0, math.inf, open=True)
    far = Offer(SiteId("far"), 1, 1.0, 1.0, 0.0, math.inf, open=True)
    lots = [Lot(0, 10, 1e10, 9, [0.0, 2e11])]
    found = follow([near, far], lots, [0.02e11, busy * 1e11], 1e11)
    assert sum(found.shares[SiteId("far")].values())
    early = follow([near, far], lots, [0.02e11, 0.0], 1e11)
    assert not sum(early.shares[SiteId("far")].values())
