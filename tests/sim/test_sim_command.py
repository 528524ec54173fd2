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
    assert simulate(draw(5)).digest in sim("--faults", str(path))


def test_a_file_that_holds_no_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"seed": "x"}')
    assert f"{path} holds no plan" in sim("--faults", str(path), rc=1)
    plan = draw(5)
    stranger = plan.jobs[0].replace(home="nowhere")
    path.write_bytes(plans.encode(plan.replace(jobs=[stranger])))
    assert "no home is called that" in sim("--faults", str(path), rc=1)
    path.write_bytes(plans.encode(plan.replace(sites=[])))
    assert "it needs a home and a site" in sim("--faults", str(path), rc=1)


def test_mistakes_on_the_command_line_are_told_as_such(tmp_path: Path) -> None:
    assert "is no span of seeds: write 0..1000" in sim("--seeds", "7", rc=2)
    assert "there is no seed in '10..5'" in sim("--seeds", "10..5", rc=2)
    assert "is no number of processes" in sim("--seeds", "0..5", "--jobs", "0", rc=2)
    both = sim("--seed", "999", "--faults", str(tmp_path / "plan.json"), rc=2)
    assert "--faults: not allowed with argument --seed" in both


def test_many_seeds_are_run_by_several_processes() -> None:
    assert "12 seeds, 0 failed" in sim("--seeds", "0..12", "--jobs", "2")
