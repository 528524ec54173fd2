"""Resources are counted exactly, and a wrong amount is the caller's error."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import UsageError
from hanse.model.resources import Amount, Resources, format_bytes, parse_bytes

counts = st.integers(0, 5000)
amounts = st.builds(
    Amount,
    cpus_milli=counts,
    gpus_milli=counts,
    memory_bytes=counts,
    custom_milli=st.dictionaries(st.sampled_from(["tape", "licence"]), counts),
)
needs = amounts.filter(lambda a: any(a._all().values()))


@given(amounts, amounts)
def test_what_is_taken_and_given_back_leaves_the_same(have: Amount, need: Amount) -> None:
    assert have.minus(need).plus(need)._all().items() >= have._all().items()


@given(amounts, needs)
def test_times_is_how_often_it_fits(have: Amount, need: Amount) -> None:
    times = have.times(need)
    left = have.minus(need, times)
    assert not left.fits(need)
    assert all(n >= 0 for n in left._all().values())
    assert have.fits(need) == (times > 0)


@given(amounts, amounts)
def test_what_lacks_something_does_not_fit_and_says_what(have: Amount, need: Amount) -> None:
    assert (have.lacks(need) == []) == have.fits(need)
    for reason in have.lacks(need):
        assert ": needs " in reason


@given(amounts)
def test_amounts_travel_unchanged(amount: Amount) -> None:
    data = msgspec.msgpack.encode(amount)
    assert msgspec.msgpack.decode(data, type=Amount) == amount


def test_thousandths_are_exact() -> None:
    tenth = Resources(cpus=0.1).amount()
    total = Amount()
    for _ in range(10):
        total = total.plus(tenth)
    assert total == Amount(cpus_milli=1000)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512MiB", 512 << 20),
        ("1.5 GB", 1_500_000_000),
        (" 2gib ", 2 << 30),
        ("7 B", 7),
        (123, 123),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes_are_read_as_people_write_them(text: int | str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1", "1 QB", "1e3", "1.GB", "9" * 99, -5, True, None, 1.5]
)
def test_what_is_no_size_is_a_usage_error(text: object) -> None:
    with pytest.raises(UsageError):
        parse_bytes(text)  # type: ignore[arg-type]


@given(st.integers(0, 1 << 50))
def test_a_size_that_was_written_reads_back_nearly_the_same(size: int) -> None:
    assert parse_bytes(format_bytes(size).replace("bytes", "B")) == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": -1},
        {"cpus": float("nan")},
        {"cpus": float("inf")},
        {"cpus": "2"},
        {"cpus": 0},
        {"cpus": 0.0001},
        {"gpus": -0.5},
        {"memory": "lots"},
        {"custom": {"cpus": 1}},
        {"custom": {"tape": -1}},
        {"custom": {"tape": None}},
    ],
)
def test_wrong_resources_are_a_usage_error(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Resources(**wrong)  # type: ignore[arg-type]
