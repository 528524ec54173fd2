"""Which inputs a quote compares with a recorded job, without waiting for any that a run would not
have had."""

from __future__ import annotations

from collections.abc import Iterator

from hanse.client.quoting import _columns, _given


def stream(*, ends: bool) -> Iterator[int]:
    yield from range(3)
    assert ends, "what comes next was waited for"


def test_inputs_that_are_there_are_taken_as_they_are() -> None:
    assert _given([range(10**9)], 3) == (range(10**9), True)
    assert _given([{1: "one"}], 0) == ([1], True)
    assert _given(["abc"], 1) == ("abc", True)


def test_no_more_inputs_are_read_than_are_compared() -> None:
    assert _given([stream(ends=False)], 3) == ([0, 1, 2], False)
    assert _given([stream(ends=True)], 4) == ([0, 1, 2], True)
    assert _given([stream(ends=True), "ab"], 4) == ([(0, "a"), (1, "b")], True)


def test_a_sample_takes_its_inputs_by_column() -> None:
    assert _columns([(0, "a"), (1, "b")], True) == [(0, 1), ("a", "b")]
    assert _columns(range(3), False) == [range(3)]
    assert _columns([], True) == []
