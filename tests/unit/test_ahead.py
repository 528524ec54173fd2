"""What is expected to be rented where machines can be taken away is what then is, near enough."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from test_renting import HERE, HOUR, JOB, kind, lack, left, rental
from test_renting_zones import spells

from hanse.core.events import Timed
from hanse.core.place.ahead import Ahead, courses
from hanse.core.place.foresee import Items
from hanse.core.place.renting import Held
from hanse.core.place.spells import Pool
from hanse.core.quoting import quote
from hanse.ids import JobId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims
from hanse.model.job import JobSpec
from hanse.model.quote import Row
from hanse.sim.rehearsal_scenario import Scenario
from hanse.sim.rehearsal_times import Times
from hanse.sim.renting import RentingStage

A = rental("a", 1.0, 2, most=4, spot=True, region="a")
B = rental("b", 1.3, 2, most=4, spot=True, region="b")
SURE = rental("sure", 4.0, 2, most=8)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.5, 30), st.floats(0, 0.5), st.floats(0.5, 12), st.integers(0, 2),
    st.lists(st.tuples(st.floats(0.1, 5), st.integers(1, 5)), min_size=1, max_size=3),
    st.booleans(),
)  # fmt: skip
def test_a_course_has_no_more_machines_than_may_be_and_does_all_the_work_or_says_so(
    hours: float, spread: float, deadline_h: float, slots: int,
    offers: list[tuple[float, int]], safe: bool,
) -> None:  # fmt: skip
    rentals = [rental(f"k{n}", price, 2, most=most, spot=True)
               for n, (price, most) in enumerate(offers)]  # fmt: skip
    rentals += [SURE] if safe else []
    kinds = [kind(one) for one in rentals]
    pools = {one.name: Pool() for one in rentals if one.tariff.spot}
    asked = lack(left(hours, spread), deadline_h, slots=slots)
    found = courses(asked, kinds, Ahead.of(pools), Items(1000, 50), 0)
    assert found == courses(asked, kinds, Ahead.of(pools), Items(1000, 50), 0)
    mean = asked.left.mean
    for course in found:
        own = sum(work for _, work, _ in course.machines)
        assert own <= mean * (1 + 1e-6)
        if course.whole:
            assert own + slots * course.end_ns >= mean * (1 - 1e-6)
        for each, work, cost in course.machines:
            busy_ns = work / each.kind.power
            assert cost >= each.kind.rental.cost_nano(busy_ns / each.many) * each.many - 1
            assert each.many <= each.kind.rental.most
            assert work <= each.many * each.kind.power * max(0.0, course.end_ns - each.up_ns) + 1
    whole = [course for course in found if course.whole]
    assert [course.cost for course in whole] == sorted(course.cost for course in whole)


def rehearsed(seed: int) -> tuple[Row, float, float]:
    """Of a job with two zones that come and go and one offer that is sure: what was expected, what
    it cost, and the seconds that it took."""
    draws = Random(seed)
    up_s, down_s = draws.choice([(7200, 2400), (3600, 3600), (14400, 1800)])
    job = replace(JOB, items=300, deadline_s=4 * 3600.0, submitted_s=5.0,
                  times=Times("lognormal", 180.0, 0.5))  # fmt: skip
    scenario = Scenario((replace(HERE, cpus=1, price_per_hour=0.0),), (job,))
    away = {name: spells(draws, up_s, down_s) for name in ("a", "b")}
    stage = RentingStage(scenario, seed, [A, B, SURE], spells=away, look_ns=60 * SECOND)
    home = stage.home.home
    while not any(site.capacity.cpus_milli for site in home.sites.values()):
        stage.world.step()
    aims = Aims(objective="cheapest", deadline_ns=4 * HOUR)
    times = stage.times[JobId("job")][::7]
    timed = [Timed(next(iter(home.sites)), 1, each) for each in times]
    (row,) = quote(home, JobSpec(name="q", total=300, aims=aims), timed, [aims],
                   stage.world.now_ns).rows  # fmt: skip
    stage.play(5 * HOUR)
    assert stage.books.jobs[JobId("job")].state == "done"
    took_s = stage.books.jobs[JobId("job")].ended_ns / SECOND - 5.0
    return row, stage.paid_nano / NANO, took_s


def test_what_is_quoted_is_near_what_it_costs_and_when_it_ends() -> None:
    """Nobody knows when machines are lost: the cost within a third, the end within seven tenths,
    and both by an eighth of what is said at most, but for two seeds of ten."""
    far = []
    for seed in range(1, 11):
        row, paid, took_s = rehearsed(seed)
        assert row.end_s is not None
        assert row.end_high_s is not None
        cost, most = paid / row.cost, paid / row.cost_high
        end, latest = took_s / row.end_s, took_s / row.end_high_s
        near = 0.75 <= cost <= 1.33 and most <= 1.12 and 0.7 <= end <= 1.7 and latest <= 1.12
        if not near:
            far.append(f"seed {seed}: cost {cost:.3f} {most:.3f}, end {end:.3f} {latest:.3f}")
    assert len(far) <= 2, "\n".join(far)


def test_a_machine_that_is_there_is_lost_as_soon_also_where_no_more_may_be_brought() -> None:
    """It was taken to live on for as long as the offer usually has none."""
    pool = Pool()
    for quarter in range(200):
        pool.see(quarter % 4 < 3, quarter * HOUR // 4)
    pool.see(True, 50 * HOUR)
    one = kind(A)
    held = Held("a-1", one._replace(start_ns=0.0), up=True)
    asked = lack(left(10), 40, slots=0)._replace(held=[held])

    def lives(room: int) -> float:
        ways = courses(asked, [one._replace(room=room)], Ahead.of({"a": pool}), Items(9, 5),
                       50 * HOUR)  # fmt: skip
        return sum(work for way in ways for _, work, _ in way.here)

    assert lives(0) < 1.1 * lives(1)
