"""Items whose data lies in several regions, under the real home."""

from __future__ import annotations

import pytest
from core_builders import Town

from hanse import limits
from hanse.core.events import Describe, Grow, JobGrown, Submit, Timed
from hanse.core.place.egress import Egress
from hanse.core.place.near import Near
from hanse.core.quoting import quote
from hanse.core.why import explain
from hanse.ids import JobId, SiteId
from hanse.model.aims import HOUR_NS, NANO, Aims, Tariff
from hanse.model.data import Lies
from hanse.model.fit import Offer
from hanse.model.job import JobSpec
from hanse.model.quote import Row

GB = 10**9
NORTH = Tariff(region="north", price_nano=1 * NANO)
SOUTH = Tariff(region="south", price_nano=2 * NANO)


def towns(slots: int = 1, **tariffs: Tariff) -> Town:
    town = Town()
    for name, one in tariffs.items():
        town.tell(Describe(SiteId(name), Offer(tariff=one)))
        town.place(name, slots)
    return town


def submit(town: Town, size: int, data: list[Lies], **aims: object) -> JobId:
    spec = JobSpec(name="j", aims=Aims(follows=True, **aims))  # type: ignore[arg-type]
    town.tell(Submit(JobId("j"), spec, size, True, data))
    return JobId("j")


def placed(town: Town, job: JobId) -> Near:
    place = town.job(job).place
    assert place is not None
    assert place.near is not None
    return place.near


def held(town: Town, job: JobId) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for lease in town.job(job).leases.values():
        found.setdefault(str(lease.site), []).append((lease.start, lease.stop))
    return found


def test_each_site_begins_with_what_lies_near() -> None:
    town = towns(a=NORTH, b=SOUTH)
    job = submit(town, 100, [Lies(0, 50, "south", 50 * GB), Lies(50, 100, "north", 50 * GB)])
    where = held(town, job)
    assert where["a"][0][0] == 50
    assert where["b"][0][0] == 0


def test_a_site_with_nothing_near_takes_what_others_have_if_time_counts() -> None:
    town = towns(a=NORTH, b=SOUTH)
    job = submit(town, 100, [Lies(0, 100, "south", 100 * GB)])
    assert set(held(town, job)) == {"a", "b"}


def test_what_is_dear_to_move_waits_for_the_site_that_has_it() -> None:
    town = towns(a=NORTH, b=SOUTH)
    job = submit(town, 100, [Lies(0, 100, "south", 100 * GB)], objective="cheapest")
    assert set(held(town, job)) == {"b"}


def test_what_is_dear_to_run_is_moved() -> None:
    town = towns(a=NORTH, b=Tariff(region="south", price_nano=3600 * NANO))
    job = submit(town, 100, [Lies(0, 100, "south", 100)], objective="cheapest")
    place = town.job(job).place
    assert place is not None
    assert place.near is not None
    place.near.efforts.observe(1, SiteId("b"), 1, limits.SECOND)
    place.work.observe(SiteId("b"), 1, limits.SECOND)
    place.look_ns = 0
    town.wait(1)
    assert set(held(town, job)) >= {"a"}
    assert set(place.near.shares[SiteId("b")]) == set()


def test_items_that_alternate_run_each_where_its_data_lies() -> None:
    town = Town()
    for name, one in (("a", NORTH), ("b", SOUTH)):
        town.tell(Describe(SiteId(name), Offer(tariff=one)))
    places = [town.place(name) for name in ("a", "b")]
    data = [Lies(n, n + 1, "north" if n % 2 else "south", GB) for n in range(40)]
    job = submit(town, 40, data, objective="cheapest")
    for _ in range(200):
        town.now_ns += limits.SECOND
        for place in places:
            place.finish()
    assert not town.home.jobs or town.state(job).ended
    for site, parity in (("a", 1), ("b", 0)):
        orders = town.orders[SiteId(site)]
        assert {item % 2 for each in orders for grant in each.grants
                for item in range(grant.start, grant.stop)} == {parity}  # fmt: skip


def test_what_is_said_beyond_the_bound_of_runs_is_not_recorded() -> None:
    town = towns(a=NORTH)
    job = JobId("j")
    town.tell(Submit(job, JobSpec(name="j", aims=Aims(follows=True))))
    recorded = 0
    for start in range(0, limits.DATA_RUNS + 2000, 1000):
        data = [Lies(n, n + 1, ("north", "south")[n % 2], 1) for n in range(start, start + 1000)]
        (grown,) = town.home.handle(Grow(job, start + 1000, data=data), town.now_ns).facts
        assert isinstance(grown, JobGrown)
        recorded += len(grown.data)
    assert recorded == limits.DATA_RUNS
    (told,) = (line for line in explain(town.home, job, town.now_ns) if "changes" in line)
    assert "changes after every 1.0 items" in told


def test_a_far_site_holds_more_leases_where_each_is_of_one_item() -> None:
    """Its next report is 200 ms away, and an item takes 10."""
    town = towns(a=NORTH)
    data = [Lies(n, n + 1, "north" if n % 2 else "south", GB) for n in range(1000)]
    job = submit(town, 1000, data)
    town.teach(job, 10 * limits.MS)
    site = town.home.sites[SiteId("a")]
    site.trip_ns = 100 * limits.MS
    town.home._roomy[site.id] = site
    town.wait(0)
    held = list(town.job(job).leases.values())
    assert 15 <= len(held) <= limits.LOOK_AHEAD_SHORT + 1
    assert {lease.stop - lease.start for lease in held} == {1}


def test_a_quote_counts_what_items_say_of_their_data() -> None:
    """60 items of an hour in the north, 40 in the south; the gigabyte of each costs 10 to move."""
    town = towns(a=NORTH, b=SOUTH)
    town.home.carries_at(Egress(default=10 * NANO))
    data = [Lies(0, 60, "north", 60 * GB), Lies(60, 100, "south", 40 * GB)]
    timed = [Timed(SiteId(site), 20, 20 * HOUR_NS) for site in "ab"]

    def asked(of: JobId | None = None, items: int = 100, **aims: object) -> Row:
        aim = Aims(objective="cheapest", follows=True, **aims)  # type: ignore[arg-type]
        spec = JobSpec(name="j", total=items, aims=aim)
        (row,) = quote(town.home, spec, timed, [aim], town.now_ns, of, data).rows
        return row

    here = asked()
    assert here.cost == pytest.approx(60 * 1 + 40 * 2)
    assert {site.site: site.share for site in here.sites} == pytest.approx({"a": 0.6, "b": 0.4})
    assert here.end_s == pytest.approx(60 * 3600, rel=0.01)
    assert asked(regions=["north"]).cost == pytest.approx(100 * 1 + 40 * 10)
    job = submit(town, 100, data, objective="cheapest")
    near = placed(town, job)
    for chunk, site in ((1, "a"), (2, "b")):
        near.efforts.observe(chunk, SiteId(site), 20, 20 * HOUR_NS)
    assert asked(job).cost == pytest.approx(60 * 1 + 40 * 2), "of one that runs, by what it knows"
