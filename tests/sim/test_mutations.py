"""The simulator finds bugs: each mutation of the core is found within 500 seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation, applied

from hanse.sim.drawing import draw
from hanse.sim.plan import decode
from hanse.sim.runner import story
from hanse.sim.shrink import shrink, way
from hanse.sim.simulate import simulate

SEEDS = 500


def first_found(near: int = 0) -> tuple[int, str] | None:
    for seed in (*range(near, SEEDS), *range(near)):
        outcome = simulate(draw(seed))
        if outcome.wrong:
            return seed, outcome.wrong
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name.replace(" ", "-"))
def test_the_simulator_finds(mutation: Mutation) -> None:
    with applied(mutation):
        found = first_found(mutation.near)
    assert found is not None, f"no seed below {SEEDS} notices that {mutation.name}"


def test_a_mutation_is_gone_when_its_block_is_left() -> None:
    (mutation,) = [one for one in MUTATIONS if one.name == "a segment is accepted twice"]
    with applied(mutation):
        found = first_found()
    assert found is not None
    assert not simulate(draw(found[0])).wrong


def test_a_failing_plan_is_shrunk_to_a_smaller_one_that_fails_alike(tmp_path: Path) -> None:
    (mutation,) = [one for one in MUTATIONS if one.name.startswith("any sync acknowledges")]
    with applied(mutation):
        found = first_found()
        assert found is not None
        seed, wrong = found
        plan = draw(seed)
        small = shrink(plan, wrong)
        assert way(simulate(small).wrong) == way(wrong)
        assert len(small.faults) <= 2
        assert sum(job.size for job in small.jobs) < sum(job.size for job in plan.jobs)
        told = story(plan, wrong, tmp_path)
    assert f"python -m hanse.sim --seed {seed}" in told
    (kept,) = tmp_path.iterdir()
    assert decode(kept.read_bytes()) == small
