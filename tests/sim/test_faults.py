"""Faults are worth their seeds: most of them hit something, and those that overlap add up."""

from __future__ import annotations

from collections import Counter

import pytest

from hanse.sim.checks.calm import settle
from hanse.sim.drawing import draw
from hanse.sim.faults import Faults
from hanse.sim.federation import Federation
from hanse.sim.plan import Fault, HomePlan, JobPlan, Line, Plan, SitePlan, What
from hanse.sim.simulate import EVENTS

SECOND = 1_000_000_000
SEEDS = 100

HITS = {
    "at-commit home": 30, "away client": 10, "clog line": 40, "crash home": 12, "crash site": 15,
    "cut line": 40, "death site": 17, "drift home": 5, "drift site": 5, "freeze home": 10,
    "freeze site": 15, "full-disk home": 10, "jump home": 5, "jump site": 5, "lose site": 12,
    "no-disk home": 4, "notice site": 12, "old-disk home": 15, "slow site": 15,
    "slow-disk home": 15, "storm line": 20,
}  # fmt: skip
"""So many faults of each kind, at least, must hit in the first 100 seeds."""


def kind(fault: Fault) -> str:
    where = "line" if ">" in fault.who else fault.who.split("-")[0].rstrip("0123456789")
    return f"{fault.what} {where}"


def test_most_faults_meet_a_federation_at_work() -> None:
    struck, hit = Counter[str](), Counter[str]()
    for seed in range(SEEDS):
        federation = Federation(draw(seed))
        faults = Faults(federation)
        settle(federation, EVENTS)
        for strike in faults.strikes:
            struck[kind(strike.fault)] += 1
            hit[kind(strike.fault)] += strike.hit
    few = {name: (hit[name], least) for name, least in HITS.items() if hit[name] < least}
    assert not few, f"too few hit, of {struck}"
    assert struck.keys() == HITS.keys()
    assert hit.total() >= 0.55 * struck.total()
    assert all(hit[name] >= 0.4 * struck[name] for name in HITS), (hit, struck)


# --- overlaps -----------------------------------------------------------------------------------
def begun(*faults: Fault) -> Federation:
    """One home, one site and a long job, with these faults to come."""
    home, site = HomePlan("home0", Line(1000, 0)), SitePlan("site0", 2)
    job = JobPlan("job0", 0, "home0", 0, [1000], item_ns=SECOND // 10)
    federation = Federation(Plan(1, [home], [site], [job], list(faults), 300 * SECOND))
    Faults(federation)
    return federation


def until(federation: Federation, second: float) -> None:
    world = federation.world
    world.at(int(second * SECOND), lambda: None)
    while world.now_ns < int(second * SECOND):
        assert world.step()


def two(what: What, who: str, first: int = 0, second: int = 0) -> tuple[Fault, Fault]:
    """From 1 s to 9 s, and from 2 s to 3 s."""
    return (
        Fault(1 * SECOND, what, who, 8 * SECOND, first),
        Fault(2 * SECOND, what, who, 1 * SECOND, second),
    )


@pytest.mark.parametrize("what", [What.CRASH, What.OLD_DISK])
def test_a_home_is_back_when_the_last_of_its_crashes_has_passed(what: What) -> None:
    federation = begun(two(What.CRASH, "home0")[0], two(what, "home0")[1])
    until(federation, 3.5)
    assert not federation.homes["home0"].up
    until(federation, 9.5)
    assert federation.homes["home0"].up


def test_a_line_is_well_when_the_last_of_its_faults_has_passed() -> None:
    line = "site0>home0"
    federation = begun(
        *two(What.CUT, line), two(What.CLOG, line)[1], *two(What.STORM, line, 100, 300)
    )
    direction = federation.network.directions[line]
    until(federation, 2.5)
    assert (direction.cut, direction.clogged, direction.storm) == (True, True, 300)
    until(federation, 3.5)
    assert (direction.cut, direction.clogged, direction.storm) == (True, False, 100)
    until(federation, 9.5)
    assert (direction.cut, direction.clogged, direction.storm) == (False, False, 0)


def test_a_slowdown_outlasts_a_shorter_one_and_a_restart() -> None:
    crash = Fault(4 * SECOND, What.CRASH, "site0", SECOND)
    federation = begun(*two(What.SLOW, "site0", 5, 9), crash)
    slowness = []
    for second in (1.5, 2.5, 3.5, 5.5, 9.5):
        until(federation, second)
        slowness.append(federation.sites["site0"].slowness)
    assert slowness == [5, 9, 5, 5, 1]


def test_clocks_and_disks_are_well_when_the_last_fault_has_passed() -> None:
    federation = begun(
        *two(What.DRIFT, "home0", 1000, 2000), *two(What.FULL_DISK, "home0"),
        *two(What.SLOW_DISK, "home0", 7, 3), *two(What.FREEZE, "site0"),
    )  # fmt: skip
    home, site = federation.homes["home0"], federation.sites["site0"]
    until(federation, 3.5)
    assert (home.disk.full, home.disk.slowness, site.frozen) == (True, 7, True)
    before = home.clock.now_ns()
    until(federation, 4.5)
    assert home.clock.now_ns() - before == SECOND + 1_000_000
    until(federation, 9.5)
    assert (home.disk.full, home.disk.slowness, site.frozen) == (False, 1, False)


def test_a_process_that_is_started_anew_does_not_stand_still() -> None:
    freeze, crash = two(What.FREEZE, "site0")[0], two(What.CRASH, "site0")[1]
    federation = begun(freeze, crash)
    until(federation, 3.5)
    assert federation.sites["site0"].up
    assert not federation.sites["site0"].frozen


# --- armed --------------------------------------------------------------------------------------
def test_an_armed_fault_waits_for_a_lease_or_a_commit() -> None:
    faults = [
        Fault(0, What.OLD_DISK, "home0", SECOND // 10, armed=True),
        Fault(0, What.DEATH, "site0", armed=True),
        Fault(0, What.CUT, "home0>site0", SECOND // 10, armed=True),
    ]
    home, site = HomePlan("home0", Line(1000, 0)), SitePlan("site0", 2)
    job = JobPlan("job0", 0, "home0", 20 * SECOND, [100], item_ns=SECOND // 10)
    federation = Federation(Plan(1, [home], [site], [job], faults, 300 * SECOND))
    made = Faults(federation)
    until(federation, 19)
    assert made.strikes == []
    until(federation, 40)
    assert {strike.fault.what for strike in made.strikes} == {fault.what for fault in faults}
    assert all(strike.hit for strike in made.strikes)
    settle(federation, EVENTS)
