"""One seed, one run: to the byte, whatever the hash seed, the Python or the machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from hanse.sim import plan as plans
from hanse.sim.drawing import draw
from hanse.sim.draws import Draws, mix
from hanse.sim.simulate import simulate

DIGESTS = """
from hanse.sim.drawing import draw
from hanse.sim.simulate import simulate
for seed in range(40):
    print(seed, simulate(draw(seed)).digest)
"""


def digests(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    source = str(Path(plans.__file__).parents[2])
    environment["PYTHONPATH"] = source
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_two_hash_seeds_give_one_digest() -> None:
    first = digests("1")
    assert len(first.splitlines()) == 40
    assert first == digests("2")


def test_a_trace_changes_nothing() -> None:
    lines: list[str] = []
    assert simulate(draw(3), lines.append).digest == simulate(draw(3)).digest
    assert lines


def test_a_plan_that_went_through_a_file_runs_the_same() -> None:
    for seed in range(20):
        plan = draw(seed)
        assert plans.decode(plans.encode(plan)) == plan


def test_runs_are_the_same_on_every_python_and_machine() -> None:
    """All that homes and sites decide and say in these runs. Whoever changes what the core decides,
    or what is drawn, writes the new digest here, and has looked whether it should have changed."""
    runs = [simulate(draw(seed)) for seed in range(40)]
    assert not [run.error or run.wrong for run in runs if run.error or run.wrong]
    every = hashlib.sha256("".join(run.digest for run in runs).encode())
    assert every.hexdigest() == "d3a27a6a01ce7459f47499dde1218d46e9fda8823946fdc24e9c51de35db1d3e"


def test_numbers_are_the_same_on_every_python_and_machine() -> None:
    """Each Python that the tests run on compares with what was drawn on another machine. Whoever
    changes what is drawn writes the new digest here; plans that failed are kept beside."""
    draws = Draws(7, "a name")
    drawn = [draws.below(1000), draws.between(-5, 5), draws.scale(1, 1 << 30), mix(1, 2, 3)]
    assert drawn == [343, 1, 18, 7702586659592502839]
    every = hashlib.sha256(b"".join(plans.encode(draw(seed)) for seed in range(100)))
    assert every.hexdigest() == "225e73c638bafb00b0d055f3b1a3387618b0ab19e862fd126af07da512d2351c"
