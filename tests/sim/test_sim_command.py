"""`python -m hanse.sim`, as people call it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hanse.sim import plan as plans
from hanse.sim.drawing import draw
from hanse.sim.simulate import simulate

SOURCE = str(Path(plans.__file__).parents[2])


def sim(*arguments: str, rc: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hanse.sim", *arguments],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == rc, done.stderr
    return done.stdout + done.stderr


def test_one_seed_says_its_digest_and_a_trace_tells_everything() -> None:
    digest = simulate(draw(3)).digest
    assert digest in sim("--seed", "3")
    traced = sim("--seed", "3", "--trace").splitlines()
    assert digest in traced[-1]
    assert any("JobSubmitted" in line for line in traced)


def test_a_plan_that_was_printed_can_be_run_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(sim("--seed", "5", "--plan"))
    assert simulate(draw(5)).digest in sim("--seed", "5", "--faults", str(path))


def test_a_file_that_holds_no_plan_and_a_span_that_is_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"seed": "x"}')
    assert f"{path} holds no plan" in sim("--seed", "5", "--faults", str(path), rc=1)
    assert "is no span of seeds: write 0..1000" in sim("--seeds", "7", rc=2)


def test_many_seeds_are_run_by_several_processes() -> None:
    assert "12 seeds, 0 failed" in sim("--seeds", "0..12", "--jobs", "2")
