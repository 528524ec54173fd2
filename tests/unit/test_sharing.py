"""Who may have how much of a site, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanse.cli.link import _hours
from hanse.core.sharing import DAY_MINUTES, Hours, Terms
from hanse.model.resources import Amount

minutes = st.integers(0, DAY_MINUTES - 1)
SITE = Amount(cpus_milli=4000)


@given(minutes, minutes, minutes)
def test_a_part_of_a_day_has_the_minutes_from_its_start_to_its_stop(
    start: int, stop: int, minute: int
) -> None:
    inside = start <= minute < stop if start < stop else minute >= start or minute < stop
    assert Hours(start, stop).holds(minute) == inside


@given(minutes)
def test_the_whole_day_is_always(minute: int) -> None:
    for text in ("0-24", "24-0", "00:00-24:00"):
        assert Terms(hours=[_hours(text)]).limit(SITE, minute) == SITE
