"""The bench of scheduling stays what it says: repeatable, and within its goals."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from scheduling import scenarios
from scheduling.model import hanse
from scheduling.peers import SCHEMES, makespan_ns


def test_a_case_has_one_outcome() -> None:
    case = scenarios.uneven(1)
    case = replace(case, items=case.items[:2000])
    assert hanse(case) == hanse(case)


def test_uneven_sites_end_together() -> None:
    case = scenarios.uneven(1)
    case = replace(case, items=case.items[:8000])
    assert hanse(case).end_ns <= 1.02 * scenarios.bound_ns(case.items, case.workers)


def test_far_sites_idle_hardly_more_than_near_ones() -> None:
    near, far = scenarios.far(1, 0), scenarios.far(1)
    near, far = (replace(case, items=case.items[:16_000]) for case in (near, far))
    assert hanse(near).end_ns >= 0.96 * hanse(far).end_ns


def test_every_scheme_hands_out_every_item_once() -> None:
    for name, chunks in SCHEMES.items():
        assert sum(chunks(1001, 7)) == 1001, name
        assert min(chunks(1001, 7)) > 0, name


def test_nobody_beats_the_fluid_bound() -> None:
    case = scenarios.uneven(2)
    case = replace(case, items=case.items[:1000])
    bound = scenarios.bound_ns(case.items, case.workers)
    assert hanse(case).end_ns >= bound
    assert all(makespan_ns(case, chunks) >= bound for chunks in SCHEMES.values())
