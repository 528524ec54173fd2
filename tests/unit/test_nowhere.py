"""Whoever waits for a job that nobody takes is told so, and why; nobody else is."""

from __future__ import annotations

import pytest
from core_builders import Town, cpus

from hanse import limits
from hanse.core.accounts import account
from hanse.core.events import Describe, Withdraw
from hanse.core.renter import Renter
from hanse.core.why import explain, nowhere
from hanse.ids import JobId, SiteId
from hanse.limits import LEASE_TTL_NS, SECOND
from hanse.model.aims import HOUR_NS, NANO, Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.rental import Rental


def north(town: Town, name: str, spot: bool = False) -> None:
    town.tell(Describe(SiteId(name), Offer(tariff=Tariff(region="north", spot=spot))))


def why(town: Town, job: JobId) -> str:
    found = nowhere(town.home, town.job(job), town.now_ns)
    told = account(town.home, job, town.now_ns)
    assert told is not None
    assert told.nowhere == found
    heading = "No site takes it, and none will while this is so:"
    assert (heading in explain(town.home, job, town.now_ns)) is bool(found and town.home.sites)
    return found


def test_a_job_that_no_site_takes_says_why_until_one_does() -> None:
    town = Town()
    job = town.submit("j", 10, aims=Aims(regions=["mars"]))
    assert why(town, job) == "no site takes part"
    north(town, "a")
    a = town.place("a")
    assert why(town, job) == (
        "no site takes it: a: its region, north, is not among those allowed: mars"
    )
    town.tell(Describe(SiteId("b"), Offer(tariff=Tariff(region="mars"))))
    town.place("b")
    assert town.job(job).leases
    assert why(town, job) == ""
    assert not a.grants


def test_spot_machines_and_large_items_are_reasons_too() -> None:
    town = Town()
    north(town, "a", spot=True)
    town.place("a")
    sure = town.submit("j", 10, aims=Aims(spot=False))
    large = town.submit("k", 10, needs=cpus(8))
    assert "the job asks for sites that cannot" in why(town, sure)
    assert why(town, large).startswith("no site takes it: a: an item needs more than it offers")


def test_a_job_that_waits_for_its_turn_or_for_inputs_runs_somewhere() -> None:
    town = Town()
    a = town.place("a")
    first = town.submit("i", 10)
    a.talk()
    second = town.submit("j", 10, aims=Aims(objective="cheapest"))
    third = town.submit("k", 0, sealed=False)
    assert town.job(first).leases
    assert not town.job(second).leases
    assert [why(town, job) for job in (first, second, third)] == [""] * 3


def test_sites_that_left_or_fell_silent_are_named() -> None:
    town = Town()
    town.place("a")
    town.place("b")
    town.tell(Withdraw(SiteId("a")))
    town.tell(Describe(SiteId("c"), Offer()))
    town.wait(1 + LEASE_TTL_NS / SECOND)
    job = town.submit("j", 10)
    told = why(town, job)
    assert "a: it takes part no more" in told
    assert "b: it has been silent for" in told
    assert "c: it has not spoken yet" in told


def test_of_many_sites_some_are_named_and_the_others_counted() -> None:
    town = Town()
    for n in range(1000):
        town.place(f"s{n}")
    job = town.submit("j", 10, needs=cpus(8))
    told = why(town, job)
    assert told.count("an item needs more than it offers") == 8
    assert told.endswith("; and 992 more")


def test_a_job_that_waits_for_a_machine_that_is_brought_is_not_lost() -> None:
    town = Town()
    north(town, "a")
    town.place("a")
    tariff = Tariff(price_nano=NANO, region="mars", rented=True)
    renter = Renter(town.home, [Rental(name="m", tariff=tariff, amount=cpus(1))])
    mars = Aims(regions=["mars"], deadline_ns=HOUR_NS)
    job = town.submit("j", 10, aims=mars)
    assert why(town, job) == "", "nobody has looked yet"
    (machine,) = renter.look(SECOND).bring
    assert why(town, job) == "", "one is on its way"
    renter.failed(machine.id, "no capacity", 2 * SECOND)
    renter.look(3 * SECOND)
    assert "machines to rent: " in why(town, job)
    assert "no capacity" in why(town, job)


def rented(name: str, price: int, spot: bool = False) -> Rental:
    tariff = Tariff(price_nano=price * NANO, region="mars", rented=True, spot=spot)
    return Rental(name=name, tariff=tariff, amount=cpus(1), most=1)


def lose_all_spot(renter: Renter, now_ns: int) -> None:
    """What is brought that can be taken away is not to be had."""
    for machine in renter.look(now_ns).bring:
        assert machine.kind == "spot"
        renter.failed(machine.id, "no capacity", now_ns)


def test_a_job_whose_first_machine_is_waited_for_is_not_lost() -> None:
    town = Town()
    renter = Renter(town.home, [rented("sure", 4), rented("spot", 1, spot=True)])
    job = town.submit("j", 10, aims=Aims(deadline_ns=20 * HOUR_NS))
    lose_all_spot(renter, SECOND)
    assert not renter.look(2 * SECOND).bring
    told = explain(town.home, job, town.now_ns)
    assert any("for a while, one that can be taken away is waited for" in line for line in told)
    assert why(town, job) == ""


@pytest.mark.parametrize("most", [limits.SPOT_TABLES_LOOK, 0])
def test_a_job_that_waits_by_plan_is_not_lost(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    town.item_ns = HOUR_NS // 10
    site = town.place("a")
    job = town.submit("j", 40, aims=Aims(deadline_ns=40 * HOUR_NS))
    while town.job(job).done < 4:
        town.now_ns += HOUR_NS // 10
        site.finish()
    town.tell(Withdraw(SiteId("a")))
    town.wait(1 + LEASE_TTL_NS / SECOND)
    assert not town.job(job).leases
    renter = Renter(town.home, [rented("sure", 4), rented("spot", 1, spot=True)])
    monkeypatch.setattr(limits, "SPOT_TABLES_LOOK", most)  # 0: none is ever worked out
    lose_all_spot(renter, town.now_ns)
    assert not renter.look(town.now_ns + SECOND).bring
    told = "costs less than one that is sure" if most else "is worked out at the next looks"
    place = town.job(job).place
    assert place is not None
    assert any(told in each for each in place.renting)
    assert why(town, job) == ""
