"""A body that comes on is never behind, however slow its line; one that drips is, soon."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as some

from hanse.limits import (
    BODY_GRACE_S,
    BODY_HELD_S,
    BODY_LEAST_RATE,
    KIB,
    LINK_REPORT_BYTES,
    MIB,
)
from hanse.node.http.bodies import Bodies
from hanse.node.http.pace import Pace

waits = some.lists(some.floats(0.001, 20), max_size=200)


@given(waits, some.floats(10, 1e6))
def test_a_line_of_ten_kilobytes_a_second_is_never_behind(waits: list[float], kb: float) -> None:
    pace = Pace(BODY_GRACE_S, BODY_LEAST_RATE)
    for wait_s in waits:
        assert not pace.behind(wait_s)
        pace.waited(wait_s)
        pace.came(int(kb * 1000 * wait_s))


@given(some.lists(some.integers(1, 64 * MIB), max_size=20), some.floats(1, 20))
def test_whoever_drips_is_behind_soon_whatever_came_at_first(sent: list[int], every: float) -> None:
    pace = Pace(BODY_GRACE_S, BODY_LEAST_RATE)
    for nbytes in sent:
        pace.came(nbytes)
    passed_s = 0.0
    while not pace.behind(every):
        pace.waited(every)
        pace.came(KIB)
        passed_s += every
    assert passed_s <= 2 * BODY_GRACE_S + every


@given(some.integers(MIB, 4096 * MIB), some.floats(1, 20), some.floats(0, 2))
def test_no_room_is_wanted_in_vain_for_much_longer_than_a_body_may_take(
    promised: int, every: float, share: float
) -> None:
    body = Bodies(promised, promised).begin("lab", "")
    asyncio.run(body.reach(promised))
    came, passed_s = 0.0, 0.0
    nbytes = share * body.pace.rate * every  # as much as may be, or less, or more
    while came < promised and not body.pace.behind(every):
        body.pace.waited(every)
        body.pace.came(int(nbytes))
        came, passed_s = came + max(1, int(nbytes)), passed_s + every
        if passed_s > 2 * BODY_HELD_S:
            break
    assert passed_s <= BODY_HELD_S + BODY_GRACE_S + every


@given(some.floats(0.01, 20))
def test_the_largest_report_of_a_site_comes_over_a_line_of_ten_kilobytes_a_second(
    every: float,
) -> None:
    body = Bodies(LINK_REPORT_BYTES, LINK_REPORT_BYTES).begin("lab", "")
    asyncio.run(body.reach(LINK_REPORT_BYTES))
    for _ in range(1000):
        assert not body.pace.behind(every)
        body.pace.waited(every)
        body.pace.came(int(10_000 * every))
