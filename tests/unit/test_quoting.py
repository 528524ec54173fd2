"""What a job would take and cost is said by the plan that it would get, and changes nothing."""

from __future__ import annotations

from itertools import pairwise

from core_builders import Town
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.events import Describe, Timed
from hanse.core.invariants import check
from hanse.core.quoting import quote
from hanse.ids import SiteId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobSpec
from hanse.model.quote import Quote

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
