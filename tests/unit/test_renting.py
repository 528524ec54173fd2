"""What is rented and when: the choice alone, and whole runs with clouds that break their word."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from core_builders import Town, cpus
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.events import Describe, Withdraw
from hanse.core.invariants import check
from hanse.core.place.offer import Offer as PlanOffer
from hanse.core.place.renting import Group, Kind, Lack, choose, cost_of, cover
from hanse.core.place.spells import Pool
from hanse.core.place.streams import Streams
from hanse.core.place.work import Left, Tail
from hanse.core.renter import Renter
from hanse.core.why import explain, unable
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobSpec
from hanse.model.rental import Rental, Rented
from hanse.node.dash.sight import sites_of
from hanse.sim.rehearsal_scenario import JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_times import Times
from hanse.sim.renting import Luck, RentingStage

HOUR = 3600 * SECOND


def rental(name: str, price: float = 1.0, count: int = 1, **more: object) -> Rental:
    """A machine of so many cpus that comes up in a minute."""
    about = {"start_ns": 60 * SECOND, "speed_milli": 1000, "rented": True}
    of_tariff = {key: more.pop(key) for key in list(more) if key in Tariff.__struct_fields__}
    tariff = Tariff(price_nano=round(price * NANO), **(about | of_tariff))  # type: ignore[arg-type]
    return Rental(name=name, amount=cpus(count), tariff=tariff, **({"most": 10} | more))  # type: ignore[arg-type]


def kind(one: Rental) -> Kind:
    slots = one.amount.cpus_milli // 1000
    return Kind(one, slots, one.tariff.speed_milli / 1000, one.most, one.tariff.start_ns)


def left(hours: float, spread: float = 0.0, *, sure: bool = True) -> Left:
    """So many hours of work for one slot of speed 1."""
    mean = hours * HOUR
    return Left(mean, mean * (1 + spread), SECOND, SECOND, Tail(0.0, 1.0, 0.5, 0.0), sure)


def site(slots: int = 1) -> PlanOffer:
    return PlanOffer(SiteId("here"), slots, 1.0, 0.0, 0.0, math.inf, open=True)


def lack(work: Left, deadline_h: float | None, money: float | None = None, slots: int = 1) -> Lack:
    time_ns = None if deadline_h is None else deadline_h * HOUR
    sites = [site(slots)] if slots else []
    return Lack(work, time_ns, time_ns or 0.0, None if money is None else money * NANO, sites)


# --- the choice ---------------------------------------------------------------------------------
def test_a_deadline_that_the_sites_meet_brings_nothing() -> None:
    assert choose(lack(left(4), 5), [kind(rental("a"))]).bring == {}


def test_what_the_sites_cannot_do_is_brought_from_the_cheapest_that_does_it() -> None:
    kinds = [kind(rental("dear", 3.0)), kind(rental("cheap", 1.0))]
    found = choose(lack(left(10), 4), kinds)
    assert found.bring == {"cheap": 2}
    assert "2 cheap will be brought" in found.reasons[0]


def test_a_large_machine_is_not_brought_for_what_a_small_one_can_finish() -> None:
    large = rental("large", 0.9, 1, billed_ns=int(100 * HOUR))
    found = choose(lack(left(5), 4), [kind(large), kind(rental("small", 2.0))])
    assert found.bring == {"small": 1}


def test_a_machine_that_comes_up_too_late_is_not_brought() -> None:
    found = choose(lack(left(10), 4), [kind(rental("a", start_ns=int(4 * HOUR)))])
    assert found.bring == {}
    assert "nothing is up in time" in found.reasons[0]


def test_a_late_job_that_no_site_can_run_is_carried_on_unless_its_budget_forbids() -> None:
    one = kind(rental("a"))
    for hours in (-1.0, 0.005):  # its deadline has passed, or comes before a machine is up
        late = lack(left(10), hours, slots=0)._replace(whole_ns=8 * HOUR)
        found = choose(late, [one])
        assert found.bring == {"a": 6}, "within two hours, a minute of which each takes to begin"
        assert "no site can run it, and" in found.reasons[0]
        assert not choose(late._replace(sites=lack(left(10), 1).sites), [one]).bring
        poor = choose(late._replace(money=1.0), [one])
        assert not poor.bring
        assert "it will be late" in poor.reasons[0]
        assert "its budget has room for" in poor.reasons[0]
        spot = kind(rental("s", 0.5, spot=True))
        assert Streams({"s": Pool()}).choose(late, [one, spot], 0).bring == {"s": 6}


def test_machines_on_their_way_are_counted() -> None:
    one = kind(rental("a"))
    found = choose(lack(left(10), 4)._replace(coming=[Group(one, 2)]), [one])
    assert found.bring == {}


def test_a_budget_without_room_brings_nothing_and_says_so() -> None:
    found = choose(lack(left(10), 4, money=3.0), [kind(rental("a"))])
    assert found.bring == {}
    assert "its budget has room for 3.00" in found.reasons[0]


def test_a_vague_estimate_waits_and_a_late_one_does_not() -> None:
    early = lack(left(10, spread=1.5), 8)
    assert choose(early, [kind(rental("a"))]).bring == {}
    late = early._replace(time_ns=4 * HOUR)
    assert choose(late, [kind(rental("a", start_ns=int(1.5 * HOUR)))]).bring


def test_where_no_site_can_run_it_one_machine_is_brought_to_time_it() -> None:
    kinds = [kind(rental("large", 3.0, 4)), kind(rental("small", 1.0))]
    for deadline_h, money in ((4.0, None), (None, 10.0)):
        found = choose(lack(left(0, sure=False), deadline_h, money, slots=0), kinds)
        assert found.bring == {"large": 1}, "its work costs least"
    assert choose(lack(left(0, sure=False), 4.0, 0.001, slots=0), kinds).bring == {}


KINDS = st.lists(
    st.tuples(st.floats(0.1, 5), st.integers(1, 4), st.integers(1, 3), st.sampled_from((1, HOUR))),
    min_size=1, max_size=3,
).map(lambda rows: [
    kind(rental(f"k{n}", price, count, most=most, billed_ns=billed))
    for n, (price, count, most, billed) in enumerate(rows)
])  # fmt: skip


@settings(max_examples=200)
@given(KINDS, st.floats(0.1, 30), st.floats(0.5, 5))
def test_what_is_chosen_does_the_work_and_costs_hardly_more_than_the_best(
    kinds: list[Kind], hours: float, deadline_h: float
) -> None:
    def does(one: Kind) -> float:
        return one.does(deadline_h * HOUR)

    work = hours * HOUR
    bring, over = cover(work, kinds, does)
    all_counts = itertools.product(*(range(one.room + 1) for one in kinds))
    able = [
        {one.rental.name: count for one, count in zip(kinds, counts, strict=True)}
        for counts in all_counts
        if sum(count * does(one) for one, count in zip(kinds, counts, strict=True)) >= work
    ]  # fmt: skip
    assert all(bring.get(one.rental.name, 0) <= one.room for one in kinds)
    if not able:
        assert over > 0
        return
    assert over == 0
    best = min(cost_of(counts, kinds, work, does) for counts in able)
    assert cost_of(bring, kinds, work, does) <= 1.35 * best + 1


@settings(max_examples=200)
@given(KINDS, st.floats(0.1, 30), st.floats(0, 1), st.floats(0.1, 5), st.floats(0.01, 50))
def test_nothing_is_brought_beyond_limit_and_budget(
    kinds: list[Kind], hours: float, spread: float, deadline_h: float, money: float
) -> None:
    found = choose(lack(left(hours, spread), deadline_h, money), kinds)
    assert found.cost <= money * NANO
    for one in kinds:
        assert found.bring.get(one.rental.name, 0) <= one.room
    assert found.reasons or not found.bring


# --- the home -----------------------------------------------------------------------------------
def test_a_rented_machine_runs_jobs_with_a_deadline_or_a_budget_alone() -> None:
    town = Town()
    town.tell(Describe(SiteId("r"), Offer(tariff=Tariff(rented=True))))
    town.place("r")
    plain = town.submit("p", 10)
    cheap = town.submit("c", 10, aims=Aims(objective="cheapest"))
    due = town.submit("d", 10, aims=Aims(deadline_ns=HOUR))
    assert not town.job(plain).leases
    assert not town.job(cheap).leases
    assert town.job(due).leases
    for job in (plain, cheap):
        assert any("it was rented for jobs with a deadline or a budget" in line
                   for line in explain(town.home, job, town.now_ns))  # fmt: skip


@pytest.mark.parametrize("rented", [True, False])
def test_a_rented_machine_that_is_gone_is_named_no_more(rented: bool) -> None:
    town = Town()
    job = town.submit("a", 100, aims=Aims(deadline_ns=HOUR))
    for name in ("here", "r"):
        town.tell(Describe(SiteId(name), Offer(tariff=Tariff(rented=rented))))
        town.place(name)
    town.tell(Withdraw(SiteId("r")))
    told = "r gets no lease of it: it takes part no more." in explain(town.home, job, town.now_ns)
    assert told is not rented
    assert [each.id for each in sites_of(town.home, town.now_ns)] == ["here", "r"][: 2 - rented]


def test_a_job_that_only_a_rented_machine_could_run_is_taken() -> None:
    town = Town()
    town.place("small")
    spec = JobSpec(name="j", needs=cpus(8), aims=Aims(deadline_ns=HOUR))
    assert unable(town.home, spec)
    Renter(town.home, [rental("large", count=8)])
    assert not unable(town.home, spec)


def test_a_kind_that_fails_is_left_alone_for_longer_and_longer() -> None:
    town = Town()
    renter = Renter(town.home, [rental("a"), rental("b", 2.0)])
    job = town.submit("j", 10, aims=Aims(deadline_ns=HOUR))
    (first,) = renter.look(SECOND).bring
    assert first.kind == "a"
    renter.failed(first.id, "no capacity", 2 * SECOND)
    (second,) = renter.look(3 * SECOND).bring
    assert second.kind == "b"
    assert any("no a: no capacity; again in" in line
               for line in explain(town.home, job, 3 * SECOND))  # fmt: skip
    waits = []
    for _ in range(3):
        renter.failed(second.id, "no capacity", 0)
        failing = renter.failing["a"]
        failing.again("no capacity", 0)
        waits.append(failing.until_ns)
    assert waits == sorted(waits)
    assert len(set(waits)) == 3


def test_a_machine_is_named_until_it_is_asked_for_and_costs_nothing_before() -> None:
    town = Town()
    renter = Renter(town.home, [rental("a", 36.0)])
    job = town.submit("j", 10, aims=Aims(deadline_ns=HOUR))
    (first,) = renter.look(SECOND).bring
    assert renter.look(10 * SECOND).bring == [first], "who asked may have missed it"
    place = town.job(job).place
    assert place is not None
    assert not place.purse.spent
    first.asked = True
    assert not renter.look(20 * SECOND).bring
    assert place.purse.spent
    renter.doubted(first.id, "it took too long", 21 * SECOND)
    for now_s in (22, 23):
        steps = renter.look(now_s * SECOND)
        assert steps.away == [first]
    renter.gone(first.id)
    assert not renter.look(25 * SECOND).away


# --- whole runs ---------------------------------------------------------------------------------
KEPT = Luck()
HERE = SiteKind(
    "here", count=1, cpus=2, speed=1.0, price_per_hour=1.0, region="", round_trip_ms=20.0,
    lease_cost_ms=20.0, evictions_per_hour=0.0, notice_s=0.0, back_after_s=60.0, start_s=0.0,
    stop_s=math.inf,
)  # fmt: skip
JOB = JobKind("job", 400, Times("lognormal", 5.0, 0.5), 0.0, 3, 1, 1, 1.0, deadline_s=500.0)
OFFERS = [
    rental("cheap", 1.0, 2, most=3, start_ns=30 * SECOND, patience_ns=120 * SECOND),
    rental("dear", 3.0, 4, most=3, start_ns=20 * SECOND, patience_ns=120 * SECOND),
]


def played(job: JobKind, seed: int, luck: Luck = KEPT) -> RentingStage:
    stage = RentingStage(Scenario((HERE,), (job,)), seed, OFFERS, luck)
    stage.play(2 * HOUR)
    check(stage.home.home)
    assert stage.books.all_ended
    assert not stage.renter.machines, "all were sent away"
    assert all(stage.most_at_once[one.name] <= one.most for one in OFFERS)
    return stage


@pytest.mark.parametrize("seed", [1, 2, 1502])
def test_deadlines_are_met_by_renting_and_little_is_brought(seed: int) -> None:
    stage = played(JOB, seed)
    book = stage.books.jobs[JobId("job")]
    assert book.state == "done"
    assert book.ended_ns <= 501 * SECOND, "2000 s of work on 2 cpus, and a deadline at 500 s"
    assert 1 <= sum(stage.brought.values()) <= 4
    assert stage.paid_nano < 0.6 * NANO


@pytest.mark.parametrize("luck", [Luck(300, 200, 200, 200), Luck(0, 500), Luck(900)])
@pytest.mark.parametrize("seed", [0, 1])
def test_clouds_that_break_their_word_cost_time_and_little_else(seed: int, luck: Luck) -> None:
    stage = played(JOB, seed, luck)
    assert stage.books.jobs[JobId("job")].state == "done"
    assert sum(stage.brought.values()) <= 6 + 3 * stage.troubles


def test_one_seed_is_one_run() -> None:
    first, again = (played(JOB, 3, Luck(300, 200, 200, 200)) for _ in range(2))
    assert again.world.digest() == first.world.digest()


@pytest.mark.parametrize(("seed", "budget"), [(3, 0.2), (1, 0.05), (7, 0.3), (8, 1.0)])
def test_start_and_idle_time_count_and_no_budget_is_passed(seed: int, budget: float) -> None:
    stage = played(replace(JOB, budget=budget), seed, Luck(late=300))
    place = stage.home.home.jobs[JobId("job")].place
    assert place is not None
    purse = place.purse
    ended_ns = stage.books.jobs[JobId("job")].ended_ns
    assert purse.total() + purse.due(ended_ns) <= budget * NANO
    if any(stage.brought.values()):
        assert any("starting and idle" in site for site in purse.spent)


class LifeStage(RentingStage):
    """Counts what machines have to do when they are sent away."""

    def __init__(self, scenario: Scenario, seed: int, rentals: list[Rental]) -> None:
        super().__init__(scenario, seed, rentals, KEPT)
        self.running_at_end: dict[str, int] = {}

    def _end(self, rented: Rented) -> None:
        site = self.home.home.sites.get(SiteId(rented.id))
        self.running_at_end.setdefault(rented.id, len(site.leases) if site is not None else 0)
        super()._end(rented)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_machine_whose_life_is_over_has_ended_what_it_ran(seed: int) -> None:
    """Items of 10 s, so it takes nothing more 50 s before its 200 s are over, and then goes."""
    offers = [rental("short", 0.36, most=4, start_ns=20 * SECOND, life_ns=200 * SECOND)]
    job = JobKind("job", 400, Times("constant", 10.0), 0.0, 3, 1, 1, 1.0, deadline_s=1000.0)
    stage = LifeStage(Scenario((HERE,), (job,)), seed, offers)
    stage.play(2 * HOUR)
    check(stage.home.home)
    assert stage.books.jobs[JobId("job")].state == "done"
    assert stage.brought["short"] > 4, "those whose life was over were replaced"
    assert set(stage.running_at_end.values()) == {0}


def test_what_runs_on_a_machine_at_the_end_of_its_life_is_told_to_save() -> None:
    """One item alone: nothing can be handed back, and its lease is cut in front of it, which is
    what items are told by."""
    town = Town()
    renter = Renter(town.home, [rental("a", 1.0, life_ns=100 * SECOND)])
    job = town.submit("j", 1, aims=Aims(deadline_ns=HOUR))
    (machine,) = renter.look(SECOND).bring
    machine.asked = True
    town.tell(Describe(SiteId("r"), Offer(tariff=Tariff(rented=True))))
    place = town.place("r")
    renter.there(machine.id, SiteId("r"))
    (lease,) = town.job(job).leases.values()
    for at_s, leaving in ((70, ""), (77, "it has lived for")):
        town.now_ns = at_s * SECOND
        place.talk()
        assert not renter.look(town.now_ns).away
        town.wait(0)
        assert leaving in machine.leaving
        assert bool(machine.leaving) is bool(leaving)
        assert (lease.cut_to == lease.begun) is bool(leaving)
    assert "it has lived for" in " ".join(explain(town.home, job, town.now_ns))
    assert renter.look(102 * SECOND).away == [machine]


def test_a_job_whose_deadline_passes_before_any_machine_is_there_is_done_late() -> None:
    job = replace(JOB, items=100, deadline_s=20.0, regions="north")
    offer = rental("cheap", 1.0, 2, most=3, start_ns=30 * SECOND, region="north")
    stage = RentingStage(Scenario((HERE,), (job,)), 1, [offer])
    stage.play(HOUR)
    assert stage.books.jobs[JobId("job")].state == "done"
    assert not stage.renter.machines
