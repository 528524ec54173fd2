"""How far inputs are read ahead: enough that leases are worth what they cost, within memory."""

from __future__ import annotations

from core_builders import rate
from hypothesis import given
from hypothesis import strategies as st

from hanse import limits
from hanse.core.place.length import lease_length, worthwhile
from hanse.core.place.rate import Rate
from hanse.core.place.window import most_bytes, wanted, window

slots = st.integers(1, 1000)
sizes = st.floats(0.001, 1e12)
wishes = st.integers(0, 10**12)
memories = st.integers(1 << 20, 1 << 50)
times = st.integers(1, 100 * limits.SECOND)


def costing(mean_ns: int, cost_ns: int) -> Rate:
    known = rate(mean_ns)
    for _ in range(50):
        known.observe_cost(cost_ns)
    return known


@given(slots, sizes, wishes, memories)
def test_what_is_ahead_stays_within_its_share_of_memory(
    count: int, size: float, wish: int, memory: int
) -> None:
    most = most_bytes(memory)
    assert limits.WINDOW_BYTES <= most <= limits.WINDOW_MOST_BYTES
    assert most <= max(limits.WINDOW_BYTES, memory / limits.WINDOW_SHARE)
    items = window(count, size, wish, most)
    assert items <= max(2 * count, limits.WINDOW_ITEMS)
    assert items * size <= max(2 * count * size, most) * 1.001


@given(slots, sizes, wishes, memories)
def test_a_slot_always_has_a_next_item_and_wishes_never_take_any_away(
    count: int, size: float, wish: int, memory: int
) -> None:
    most = most_bytes(memory)
    usual = window(count, size, 0, most)
    assert window(count, size, wish, most) >= usual >= 2 * count
    assert usual == window(count, size, 0, limits.WINDOW_BYTES)


@given(st.integers(1, 100), times, st.integers(0, 100 * limits.SECOND))
def test_with_what_is_wanted_the_next_lease_is_worth_its_cost(
    count: int, mean_ns: int, cost_ns: int
) -> None:
    known = costing(mean_ns, cost_ns)
    length = lease_length(wanted(count, known), count, count / mean_ns, known, 10**12)
    assert length >= int(min(worthwhile(known), limits.LEASE_MAX_NS / mean_ns))
