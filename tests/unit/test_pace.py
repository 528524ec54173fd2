"""A body that comes on is never behind, however slow its line; one that drips is, soon."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from hanse.limits import BODY_GRACE_S, BODY_LEAST_RATE, KIB, MIB
from hanse.node.http.pace import Pace

waits = some.lists(some.floats(0.001, 20), max_size=200)


@given(waits, some.floats(10, 1e6))
def test_a_line_of_ten_kilobytes_a_second_is_never_behind(waits: list[float], kb: float) -> None:
    pace = Pace(BODY_GRACE_S, BODY_LEAST_RATE)
    for wait_s in waits:
        assert not pace.behind(wait_s)
        pace.came(int(kb * 1000 * wait_s), wait_s)


@given(some.lists(some.integers(1, 64 * MIB), max_size=20), some.floats(1, 20))
def test_whoever_drips_is_behind_soon_whatever_came_at_first(sent: list[int], every: float) -> None:
    pace = Pace(BODY_GRACE_S, BODY_LEAST_RATE)
    for nbytes in sent:
        pace.came(nbytes, 0)
    passed_s = 0.0
    while not pace.behind(every):
        pace.came(KIB, every)
        passed_s += every
    assert passed_s <= 2 * BODY_GRACE_S + every
