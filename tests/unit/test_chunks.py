"""Which data set goes where, beside every way that there is."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.place.chunks import Choice, score, settle

_number = st.integers(1, 100).map(float)


def _all_choices(sites: int, chunks: int) -> st.SearchStrategy[list[list[Choice]]]:
    row = st.lists(st.builds(Choice, _number, _number), min_size=sites, max_size=sites)
    return st.lists(row, min_size=chunks, max_size=chunks)


def _best(choices: Sequence[Sequence[Choice]], time_ns: float, busy: Sequence[float]) -> float:
    """What the cheapest way costs that is in time; infinite if none is."""
    best = float("inf")
    for way in itertools.product(range(len(busy)), repeat=len(choices)):
        times, cost = list(busy), 0.0
        for row, site in zip(choices, way, strict=True):
            times[site] += row[site].time_ns
            cost += row[site].cost
        if max(times) <= time_ns:
            best = min(best, cost)
    return best


@settings(max_examples=100, derandomize=True)
@given(st.data())
def test_few_chunks_are_placed_as_well_as_they_can_be(data: st.DataObject) -> None:
    sites = data.draw(st.integers(1, 3))
    choices = data.draw(_all_choices(sites, data.draw(st.integers(1, 5))))
    busy = data.draw(st.lists(_number, min_size=sites, max_size=sites))
    time_ns = data.draw(st.floats(1, 400))
    way = settle(choices, time_ns, busy)
    late, cost = score(choices, way, time_ns, busy)
    best = _best(choices, time_ns, busy)
    if best < float("inf"):
        assert (late, cost) == (0.0, best)
    else:
        sooner = max(0.0, _best(choices, time_ns + late - 1, busy))
        assert late > 0
        assert sooner == float("inf"), "another way is late by less"


@pytest.mark.parametrize("seed", range(6))
def test_many_chunks_are_placed_nearly_as_well(seed: int) -> None:
    """More ways than are looked at one by one."""
    luck = random.Random(seed)
    choices = [[Choice(luck.uniform(1, 9), luck.uniform(1, 9)) for _ in range(2)]
               for _ in range(15)]  # fmt: skip
    time_ns = luck.uniform(0.6, 1.2) * sum(min(each.time_ns for each in row) for row in choices)
    late, cost = score(choices, settle(choices, time_ns), time_ns)
    assert late == 0
    assert cost <= 1.1 * _best(choices, time_ns, [0.0, 0.0])
