"""Whatever a bug of the core does, its seed is told, and others go on."""

from __future__ import annotations

from pathlib import Path

import astray
import pytest
from mutations import Mutation, applied

from hanse.core.granting import Granting
from hanse.core.home import Home
from hanse.ids import JobId
from hanse.sim.checks.calm import ENDLESS
from hanse.sim.client import Answer, ClientNode
from hanse.sim.drawing import draw
from hanse.sim.plan import decode
from hanse.sim.runner import run_seed, run_seeds, story
from hanse.sim.simulate import simulate
from hanse.sim.world import Violation, World


@pytest.mark.parametrize(
    ("becomes", "name"),
    [
        ("raise AttributeError('x')", "AttributeError"),
        ("raise RuntimeError('x')", "RuntimeError"),
        ("self._tick(event)", "RecursionError"),
        ("raise OSError('x')", "OSError"),
    ],
)
def test_whatever_the_core_raises_is_told_with_its_seed(becomes: str, name: str) -> None:
    bug = Mutation("a bug", Home, "_tick", "while (due :=", f"{becomes}\n    while (due :=")
    with applied(bug):
        ran = next(ran for ran in map(run_seed, range(100)) if ran.wrong)
    assert ran.wrong.startswith(f"{name}: ")


def test_a_run_of_too_many_events_is_ended_and_not_shrunk(tmp_path: Path) -> None:
    plan = draw(3)
    assert not simulate(plan).wrong
    outcome = simulate(plan, most_events=100)
    assert outcome.events == 100
    assert f"{ENDLESS}: so many events" in outcome.wrong
    told = story(plan, outcome.wrong, tmp_path)
    assert decode((tmp_path / "seed-3.json").read_bytes()) == plan
    assert "tests/sim/failed" in told
    assert "python -m hanse.sim --seed 3" in told


def test_two_nodes_that_answer_each_other_for_ever_at_one_moment_are_noticed() -> None:
    bug = Mutation(
        "every report is wanted at once", Granting, "_orders_for",
        "look = limits.REPORT_EVERY_NS", "look = -limits.SECOND",
    )  # fmt: skip
    with applied(bug):
        wrong = [simulate(draw(seed), most_events=20_000).wrong for seed in range(3)]
    assert any(ENDLESS in text for text in wrong)


def test_a_seed_that_does_not_end_and_one_that_kills_its_process_are_told() -> None:
    ran = {one.seed: one.wrong for one in run_seeds(range(6), 2, 2.0, astray.run)}
    assert ran == {
        0: "",
        1: "",
        2: f"{ENDLESS}: nothing came of it within 2 s",
        3: "its process ended with 7",
        4: "",
        5: "",
    }


def test_a_client_takes_it_from_no_home_that_its_job_is_not_known() -> None:
    plan = draw(0).jobs[0]
    client, job = ClientNode(World(), "client", lambda ask: None), JobId(plan.name)
    client.add(plan)
    client.jobs[job].submitted = True
    unknown = Answer(job, 0, [], known=False, run=1)
    with pytest.raises(Violation, match="forgot a job of its own accord"):
        client._hear(unknown)
    client.bereave(2, durable_too=True)
    client._hear(unknown)
