"""Thousands of federations under faults: every promise is kept in each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanse.sim.drawing import draw
from hanse.sim.plan import decode
from hanse.sim.runner import run_seeds, story
from hanse.sim.simulate import simulate

HERE = Path(__file__).parent
PORTION = 250


@pytest.mark.parametrize("first", range(0, 2000, PORTION))
def test_every_promise_is_kept_under_every_seed(first: int, tmp_path: Path) -> None:
    ran = list(run_seeds(range(first, first + PORTION), jobs=2))
    assert len(ran) == PORTION
    failed = [story(draw(one.seed), one.wrong, tmp_path) for one in ran if one.wrong]
    assert not failed, "\n".join(failed)


def seeds_that_failed() -> list[int]:
    lines = (HERE / "seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("seed", seeds_that_failed())
def test_a_seed_that_failed_once_does_not_fail_again(seed: int) -> None:
    outcome = simulate(draw(seed))
    assert not outcome.wrong


@pytest.mark.parametrize("path", sorted(HERE.glob("failed/*.json")), ids=lambda path: path.stem)
def test_a_plan_that_failed_once_does_not_fail_again(path: Path) -> None:
    """Plans are kept too, because a seed draws another plan once the drawing has changed."""
    outcome = simulate(decode(path.read_bytes()))
    assert not outcome.wrong
