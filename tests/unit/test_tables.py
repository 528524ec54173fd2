"""Tables of costs, which jobs share: how many are kept, how many are made at a look."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_renting import kind, lack, left, rental

from hanse import limits
from hanse.core.place.chain import Chain, Rank
from hanse.core.place.lone import Lone, Terms
from hanse.core.place.renting import Choice, Held
from hanse.core.place.spells import EDGES, Pool, Rates
from hanse.core.place.streams import Streams
from hanse.core.place.tables import NotYet, Reach, Tables
from hanse.core.place.zones import HOUR, Moving, Standing, Where, Zone, Zones
from hanse.model.aims import NANO

FLAT = [0.2] * len(EDGES)
TERMS = Terms(3.0, 20.0, 0.2)
RANKS = [Rank(3.0, Rates(0.9, 1.0, 0.3, 1.0), 1.0), Rank(5.0, Rates(0.2, 1.0, 0.05, 1.0), 1.0)]
MOVING = {(a, b): Moving(HOUR // 10, 0.0) for a in range(2) for b in range(2)}


def spent() -> Tables:
    """Nothing more is made at this look."""
    tables = Tables()
    tables.look()
    while True:
        try:
            tables.lone(FLAT, FLAT, TERMS, Reach(10.0 * 3 ** len(kept(tables)), 5.0))
        except NotYet:
            return tables


def kept(tables: Tables) -> list[Lone | Chain]:
    return list(tables._kept)


# --- what is kept -------------------------------------------------------------------------------
@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([1.0, 3.0, 9.0, 27.0])),
                max_size=12))  # fmt: skip
def test_no_more_is_kept_than_may_be_and_what_was_asked_for_last(
    asked: list[tuple[bool, float]],
) -> None:
    tables = Tables(60_000)
    for lone, work in asked:
        reach = Reach(work, 2.0)
        if lone:
            found: Lone | Chain = tables.lone(FLAT, FLAT, TERMS, reach)
            again: Lone | Chain = tables.lone(FLAT, FLAT, TERMS, reach)
        else:
            found = tables.chain(RANKS, 20.0, 0.2, reach)
            again = tables.chain(RANKS, 20.0, 0.2, reach)
        assert again is found
        assert kept(tables)[-1] is found
        assert tables.numbers == sum(each.numbers for each in kept(tables)) <= 60_000


def test_one_table_is_kept_however_large_it_is() -> None:
    tables = Tables(1)
    for work in (1.0, 3.0):
        tables.lone(FLAT, FLAT, TERMS, Reach(work, 2.0))
        assert len(kept(tables)) == 1


def test_jobs_that_are_alike_share_tables() -> None:
    tables = Tables()
    zones = [Zone("s", "a", 3.0, 15.0), Zone("t", "a", 3.5, 15.0)]
    for known in (zones, zones[:1]):
        jobs = [Zones(known, MOVING, HOUR // 10, HOUR // 6, tables=tables) for _ in range(5)]
        jobs[0].options(Standing(0, 20 * HOUR, 26 * HOUR, None))
        made = kept(tables)
        for job in jobs:
            job.options(Standing(0, 20 * HOUR, 26 * HOUR, None))
        assert set(kept(tables)) == set(made)


# --- whose turn it is ---------------------------------------------------------------------------
def look_of(tables: Tables, jobs: dict[str, list[Terms]]) -> set[str]:
    """The jobs that have all of their tables."""
    tables.look()
    served = set()
    for job, asked in jobs.items():
        tables.serve(job)
        try:
            for terms in asked:
                tables.lone(FLAT, FLAT, terms, Reach(1.0, 1.0))
            served.add(job)
        except NotYet:
            pass
    return served


def jobs_of(count: int, each: int) -> dict[str, list[Terms]]:
    """No two of them ask for the same; their tables are small, and all of one size."""
    terms = [Terms(3.0, 20.0 * 1.05**n, 1.0) for n in range(count * each)]
    return {f"j{n}": terms[n * each : (n + 1) * each] for n in range(count)}


SMALL = Lone(FLAT, FLAT, jobs_of(1, 1)["j0"][0], 1.0, 1.0).numbers


@pytest.mark.parametrize(
    ("count", "each", "fit"), [(60, 1, 41), (45, 1, 41), (12, 3, 8), (9, 4, 4)]
)
def test_where_not_all_tables_fit_each_job_has_its_own_again_within_so_many_looks(
    count: int, each: int, fit: int
) -> None:
    tables, jobs = Tables(fit * SMALL), jobs_of(count, each)
    last = dict.fromkeys(jobs, 0)
    for look in range(1, 5 * count * each):
        last |= dict.fromkeys(look_of(tables, jobs), look)
        waited = {job: look - since for job, since in last.items()}
        assert max(waited.values()) <= count * each, waited


def test_most_jobs_keep_their_tables_while_few_wait() -> None:
    tables, jobs = Tables(41 * SMALL), jobs_of(45, 1)
    served = [len(look_of(tables, jobs)) for _ in range(200)]
    assert min(served[100:]) >= 40


def test_where_all_tables_fit_each_job_has_its_own_at_each_look() -> None:
    tables, jobs = Tables(41 * SMALL), jobs_of(41, 1)
    served = [look_of(tables, jobs) for _ in range(60)]
    assert all(each == set(jobs) for each in served[41:])


def test_nobody_waits_for_the_turn_of_a_job_that_asks_no_more() -> None:
    tables, jobs = Tables(5 * SMALL), jobs_of(10, 1)
    for _ in range(20):
        look_of(tables, jobs)
    first = tables._waiting[0]
    del jobs[first]
    since = dict.fromkeys(jobs, 0)
    for look in range(1, 50):
        since |= dict.fromkeys(look_of(tables, jobs), look)
        assert all(look - last <= len(jobs) + 1 for last in since.values())


# --- what is made -------------------------------------------------------------------------------
@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0.5, 200), min_size=1, max_size=12), st.floats(0.1, 50),
       st.integers(0, 2))  # fmt: skip
def test_at_one_look_little_is_made_for_however_many_jobs_and_all_are_served_in_time(
    works: list[float], slack: float, others: int
) -> None:
    pools = {name: Pool() for name in ("s0", "s1", "s2")}
    spot = [kind(rental(f"s{n}", 1.0 + n / 5, spot=True, most=90)) for n in range(1 + others)]
    kinds = [*spot, kind(rental("sure", 5.0, most=90))]
    tables = Tables()
    jobs = [(Streams(pools, tables=tables), work) for work in works]
    for _ in range(20 * len(jobs)):
        before = set(kept(tables))
        tables.look()
        found = [
            job.choose(lack(left(work), work + slack, slots=0), kinds, 0) for job, work in jobs
        ]
        made = set(kept(tables)) - before
        largest = max((each.numbers for each in made), default=0)
        assert sum(each.numbers for each in made) < limits.SPOT_TABLES_LOOK + largest
        assert largest < 60_000
        if not made:
            break
    assert not made
    assert not [choice for choice in found if "worked out" in str(choice.reasons)]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 40), st.integers(0, 40), st.sampled_from([None, False, True])
)
def test_where_tables_are_still_to_be_made_all_goes_on_as_it_does_but_for_the_safety_net(
    count: int, work: int, spare: int, sure: bool | None
) -> None:
    zones = [Zone("s", "a", 3.0, 15.0), Zone("t", "b", 3.5, 15.0)][:count]
    job = Zones(zones, MOVING, HOUR // 10, HOUR // 6, tables=spent())
    ready = Zones(zones, MOVING, HOUR // 10, HOUR // 6)
    now = Standing(0, work * HOUR // 4, (work + spare) * HOUR // 4 + 1, Where(0, sure))
    found = job.options(now)
    if job.unready:
        assert found == [now.where]
        ready.options(now)
    else:
        assert found == ready.options(now)
    assert job.unready or spare <= 2 or sure is False


def test_a_job_whose_tables_are_still_to_be_made_brings_what_its_deadline_needs_alone() -> None:
    spot, sure = kind(rental("a", 1.0, spot=True)), kind(rental("sure", 4.0))._replace(room=1)
    tables, asked = spent(), lack(left(4), 20, slots=0)
    early = Streams({"a": Pool()}, tables=tables).choose(asked, [spot, sure], 0)
    assert early == Choice({}, 0.0, early.reasons, [], {}, waits=True)
    assert "is worked out" in early.reasons[0]
    held = [Held(f"a-1-{n}", spot._replace(start_ns=0.0), up=True) for n in range(3)]
    runs = Streams({"a": Pool()}, tables=tables).choose(asked._replace(held=held), [spot, sure], 0)
    assert runs == Choice({}, 0.0, [], [], {})
    late = Streams({"a": Pool()}, tables=tables).choose(
        lack(left(4, 0.05), 4.2, slots=0)._replace(whole_ns=20 * HOUR),
        [spot._replace(room=0), sure],
        0,
    )
    assert late.bring == {"sure": 1}
    assert 3.9 <= late.cost / (4 * NANO) <= 5, "as of a sure machine all of the time"
