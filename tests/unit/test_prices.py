"""Files that say what bytes and hours cost, and data that lies somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hanse.client.aims import aims_of
from hanse.client.data import lies_of
from hanse.errors import UsageError
from hanse.limits import SECOND
from hanse.model.aims import NANO, Tariff
from hanse.model.data import Data
from hanse.node.prices import egress_of, schedule_of


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    return path


def test_bytes_cost_what_the_file_says_and_nothing_within_a_region(tmp_path: Path) -> None:
    path = written(tmp_path, "default = 0.5\n[a]\nb = 2\n")
    egress = egress_of(path, tmp_path / "none")
    gigabyte = 10**9
    assert egress.cost("a", "b", gigabyte) == 2 * NANO
    assert egress.cost("b", "a", gigabyte) == NANO // 2
    assert egress.cost("a", "a", gigabyte) == 0
    assert egress_of(None, path).cost("a", "b", gigabyte) == 2 * NANO
    usual = egress_of(None, tmp_path / "none")
    assert usual.cost("a", "b", gigabyte) == NANO // 50


@pytest.mark.parametrize(
    "text", ["default = -1", "a = 1", "[a]\nb = 'dear'", "[a", "[a]\nb = true", "[a]\nb = inf"]
)
def test_a_wrong_egress_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=r"prices\.toml"):
        egress_of(path, path)


def test_a_schedule_is_of_moments_with_time_zones(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "[[price]]\nsince = 2026-01-01T00:00:00Z\nprice = 1.5\n"
        "[[price]]\nsince = 2026-01-01T02:00:00+01:00\nprice = 3\n",
    )
    (first, low), (second, high) = schedule_of(path)
    assert (second - first, low, high) == (3600 * SECOND, 3 * NANO // 2, 3 * NANO)
    tariff = Tariff(price_nano=NANO, schedule=[(first, low), (second, high)])
    ours = tariff.on_clock(5 * SECOND - first)  # the home's clock shows 5 s at the first moment
    assert [ours.price_at(n * SECOND) for n in (4, 5, 3604, 3605)] == [NANO, low, low, high]
    late = tariff.on_clock(-second - SECOND)
    assert late.price_at(0) == high, "of what is over the last one counts"


@pytest.mark.parametrize(
    "text",
    [
        "", "price = 1", "[[price]]\nprice = 1", "[[price]]\nsince = 2026-01-01\nprice = 1",
        "[[price]]\nsince = 2026-01-01T00:00:00\nprice = 1",
        "[[price]]\nsince = 2026-01-01T00:00:00Z\nprice = -1",
        "[[price]]\nsince = 2026-01-01T00:00:00Z\nprice = 1\nmore = 2",
        "[[price]]\nsince = 1026-01-01T00:00:00Z\nprice = 1",
        "[[price]]\nsince = 2026-01-02T00:00:00Z\nprice = 1\n"
        "[[price]]\nsince = 2026-01-01T00:00:00Z\nprice = 1",
    ],
)  # fmt: skip
def test_a_wrong_schedule_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"prices\.toml"):
        schedule_of(written(tmp_path, text))


@pytest.mark.parametrize(
    "told", [{"spot": "no"}, {"regions": []}, {"regions": [""]}, {"regions": 5}]
)
def test_what_could_be_misread_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(told))):
        aims_of(None, None, None, told.get("regions"), told.get("spot"))


@pytest.mark.parametrize("wrong", [lambda _: 1 / 0, lambda _: Data("eu", "lots")])
def test_what_goes_wrong_in_data_says_of_which_item(wrong: Any) -> None:
    places = lies_of(lambda item: wrong(item) if item == 12 else None, star=False)
    assert places is not None
    with pytest.raises((UsageError, ZeroDivisionError)) as caught:
        places.of([11, 12], 41)
    assert caught.value.__notes__ == ["data= was asked where item 42 lies"]


def test_data_lies_in_regions() -> None:
    aims = aims_of(None, None, None, None, None, {"eu-west": "40GiB", "us": 5})
    assert aims is not None
    assert aims.data == [("eu-west", 40 * 2**30), ("us", 5)]
    for wrong in ({"": 1}, {"a": "much"}, {"a": -1}, {"a": 10**30}, ["a"]):
        with pytest.raises(UsageError):
            aims_of(None, None, None, None, None, wrong)  # type: ignore[arg-type]
