"""How long a lease is: long enough to be cheap, short enough to end with the others."""

from __future__ import annotations

from core_builders import rate
from hypothesis import given
from hypothesis import strategies as st

from hanse import limits
from hanse.core.place.length import FIRST_PROBE, GROWTH, lease_length
from hanse.core.place.rate import HALF_LIFE_NS, Rate

remaining = st.integers(1, 10**9)
slots = st.integers(1, 10_000)
means = st.integers(1, 100 * limits.SECOND)
seen = st.integers(1, 10**9)
share = st.floats(0.0, 1.0)  # of all power, what the asking site has not


def power(mean_ns: int, others: float) -> float:
    return (1 / mean_ns) * (1 + 1000 * others)


@given(remaining, slots, share, means, st.integers(0, 10**9))
def test_a_lease_is_at_least_one_item_and_at_most_all(
    left: int, count: int, others: float, mean_ns: int, known: int
) -> None:
    length = lease_length(left, count, power(mean_ns, others), rate(mean_ns), known)
    assert 1 <= length <= left


@given(remaining, slots, share, means, seen)
def test_a_known_lease_never_lasts_longer_than_the_longest(
    left: int, count: int, others: float, mean_ns: int, known: int
) -> None:
    length = lease_length(left, count, power(mean_ns, others), rate(mean_ns), known)
    assert length == 1 or length * mean_ns <= limits.LEASE_MAX_NS * (1 + 1e-9)
    assert length <= GROWTH * known


@given(remaining, slots, share, means, seen)
def test_a_lease_is_never_more_than_a_fair_share(
    left: int, count: int, others: float, mean_ns: int, known: int
) -> None:
    total = power(mean_ns, others)
    length = lease_length(left, count, total, rate(mean_ns), known)
    assert length <= max(1, left / mean_ns / total * (1 + 1e-9))


@given(remaining, slots)
def test_the_first_leases_are_small_probes(left: int, count: int) -> None:
    length = lease_length(left, count, 0.0, Rate(), 0)
    assert length <= FIRST_PROBE
    assert length * count * limits.PROBE_SHARE <= max(left, count * limits.PROBE_SHARE)


@given(slots, means, st.lists(remaining, min_size=2, max_size=2))
def test_leases_shrink_as_a_job_comes_to_its_end(count: int, mean_ns: int, two: list[int]) -> None:
    less, more = sorted(two)
    known, total = rate(mean_ns), count / mean_ns
    assert lease_length(less, count, total, known, 10**9) <= lease_length(
        more, count, total, known, 10**9
    )


def test_a_job_is_handed_out_in_few_leases() -> None:
    """10 million items of a millisecond over 100 slots: overhead stays noise."""
    left, count, known = 10**7, 0, rate(limits.MS)
    while left:
        left -= lease_length(left, 100, 100 / limits.MS, known, 10**9)
        count += 1
    assert count < 8000  # five thousand of them last the longest that a lease may


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**12)), min_size=1, max_size=20))
def test_a_rate_is_known_and_finite_after_any_measurements(seen: list[tuple[int, int]]) -> None:
    known = Rate()
    assert not known.known
    for items, busy_ns in seen:
        known.observe(items, busy_ns)
        assert known.known
        assert 0 < known.mean_ns < float("inf")


def test_a_slowdown_is_seen_within_some_half_lives() -> None:
    known = rate(1000, items=10**6)
    known.observe(10, 3 * HALF_LIFE_NS)
    assert known.mean_ns > 10_000


def test_the_cost_of_a_lease_is_learnt_and_never_negative() -> None:
    known = Rate()
    for _ in range(50):
        known.observe_cost(-5)
    assert 0 <= known.cost_ns < 1000
