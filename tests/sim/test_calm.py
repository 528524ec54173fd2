"""The bound in which all jobs end once it is calm is true, and stragglers are no way around it."""

from __future__ import annotations

import pytest

from hanse import limits
from hanse.sim.checks.calm import bound_ns
from hanse.sim.plan import Fault, HomePlan, JobPlan, Line, Plan, SitePlan, What
from hanse.sim.simulate import simulate

SECOND, MS = limits.SECOND, limits.MS


def lonely(seed: int, job: JobPlan, calm_ns: int, faults: tuple[Fault, ...] = ()) -> Plan:
    """One slow site, so everything is done one after the other."""
    line = Line(delay_ns=100 * MS, jitter_ns=400 * MS)
    home = HomePlan("home0", line)
    return Plan(seed, [home], [SitePlan("site0", cpus=1, speed=25)], [job], [*faults], calm_ns)


@pytest.mark.parametrize("seed", [11910, *range(60)])
def test_one_long_item_on_a_slow_site_ends_in_time(seed: int) -> None:
    job = JobPlan("job0", 0, "home0", 0, [1], item_ns=2500 * MS, spread=2)
    assert not simulate(lonely(seed, job, 5 * SECOND)).wrong


@pytest.mark.parametrize("folded", [False, True])
def test_what_a_slowed_site_had_begun_ends_in_time(folded: bool) -> None:
    slow = Fault(0, What.SLOW, "site0", 4 * SECOND, 20)
    for seed in range(40):
        job = JobPlan("job0", 0, "home0", 0, [12], item_ns=300 * MS, spread=2, folded=folded)
        assert not simulate(lonely(seed, job, 5 * SECOND, (slow,))).wrong


def test_items_that_fail_and_kill_end_in_time() -> None:
    for seed in range(40):
        job = JobPlan(
            "job0", 0, "home0", 0, [30], item_ns=200 * MS, spread=1, retries=2, failing=300,
            deadly=300, folded=seed % 2 == 0,
        )  # fmt: skip
        assert not simulate(lonely(seed, job, SECOND)).wrong


def test_a_job_that_comes_when_it_is_calm_has_its_time_from_then_on() -> None:
    job = JobPlan("job0", 0, "home0", 300 * SECOND, [3], item_ns=10 * MS)
    plan = lonely(1, job, 5 * SECOND)
    assert not simulate(plan).wrong
    assert 295 * SECOND < bound_ns(plan) < 350 * SECOND
