"""RangeSet does what a plain set of integers does, at the cost of its ranges."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hanse.model.ranges import Range, RangeSet

numbers = st.integers(0, 40)
spans = st.tuples(numbers, numbers)  # may be empty, or the wrong way round
steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "take"]), spans), max_size=30)


def items(ranges: list[Range] | RangeSet) -> set[int]:
    return {i for a, b in ranges for i in range(a, b)}


def built(how: list[tuple[str, Range]]) -> tuple[RangeSet, set[int]]:
    """The same steps on both; each step is compared."""
    found, model = RangeSet(), set[int]()
    for step, (a, b) in how:
        if step == "add":
            found.add(a, b)
            model |= set(range(a, b))
        elif step == "remove":
            found.remove(a, b)
            model -= set(range(a, b))
        elif model:
            low, high = found.take(a + 1)
            assert 1 <= high - low <= a + 1
            assert low == min(model)
            assert model >= set(range(low, high))
            assert high - low == a + 1 or high not in model
            model -= set(range(low, high))
        assert_same(found, model)
    return found, model


def assert_same(found: RangeSet, model: set[int]) -> None:
    ranges = list(found)
    assert items(ranges) == model
    assert len(found) == len(model)
    assert bool(found) == bool(model)
    assert found.ranges() == len(ranges)
    assert all(a < b for a, b in ranges)
    assert all(b < c for (_, b), (c, _) in pairwise(ranges)), "adjacent"


@given(steps)
def test_any_steps_leave_the_same_items_as_in_a_set(how: list[tuple[str, Range]]) -> None:
    built(how)


@given(steps, spans)
def test_within_and_gaps_split_a_span_in_two(how: list[tuple[str, Range]], span: Range) -> None:
    found, model = built(how)
    inside, outside = found.within(*span), found.gaps(*span)
    assert items(inside) == model & set(range(*span))
    assert items(outside) == set(range(*span)) - model
    for parts in (inside, outside):
        assert parts == sorted(parts)
        assert all(a < b for a, b in parts)


@given(steps, spans)
def test_covers_and_contains_agree_with_a_set(how: list[tuple[str, Range]], span: Range) -> None:
    found, model = built(how)
    assert found.covers(*span) == (set(range(*span)) <= model)
    for number in range(-1, 42):
        assert (number in found) == (number in model)


@given(steps)
def test_equal_sets_are_equal_however_they_were_built(how: list[tuple[str, Range]]) -> None:
    found, model = built(how)
    assert found == RangeSet((i, i + 1) for i in sorted(model, reverse=True))
    assert found.first() == (list(found) or [None])[0]
    assert (found == RangeSet([(50, 51)])) is False


def test_a_range_set_can_be_changed_while_it_is_iterated() -> None:
    numbers = RangeSet([(0, 2), (4, 6)])
    for start, stop in numbers:
        numbers.remove(start, stop)
    assert not numbers


def test_a_hundred_million_items_in_a_row_are_one_range() -> None:
    numbers = RangeSet([(0, 10**8)])
    assert len(numbers) == 10**8
    assert numbers.ranges() == 1
    numbers.remove(5, 6)
    assert numbers.ranges() == 2
    assert numbers.take(10**9) == (0, 5)


def test_it_shows_its_ranges() -> None:
    assert repr(RangeSet([(0, 2), (2, 3)])) == "RangeSet([(0, 3)])"
