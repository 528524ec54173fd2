"""What goes wrong is data, drawn from a seed."""

from __future__ import annotations

import pytest
from hosts.schedule import CLIENT, CUTS, DEATHS, HOME, Kind, draw

SITES = ("near", "far", "farthest")


@pytest.mark.parametrize("seed", range(50))
def test_every_kind_of_fault_is_in_every_schedule_and_meets_a_job_that_runs(seed):
    faults = draw(seed, SITES, 5.0)
    assert faults == draw(seed, SITES, 5.0)
    assert faults == sorted(faults, key=lambda fault: fault.at)
    assert all(0.1 <= fault.at <= 0.8 for fault in faults)
    met = [({fault.kind}, fault.place) for fault in faults]
    at_sites = [kinds for kinds, place in met if place in SITES]
    assert any(kinds <= {Kind.WORKER_KILLED} for kinds, _ in met)
    assert any(kinds <= {Kind.CLOCK_STEPPED} for kinds, _ in met)
    assert any(kinds <= CUTS for kinds, place in met if place == CLIENT)
    for wanted in (DEATHS, {Kind.DISK_FULL}, {Kind.BIT_FLIPPED}):
        assert any(kinds <= wanted for kinds, place in met if place == HOME)
        assert any(kinds <= wanted for kinds in at_sites)
    for wanted in ({Kind.FROZEN}, CUTS):
        assert any(kinds <= wanted for kinds in at_sites)


def test_seeds_differ():
    assert len({tuple(draw(seed, SITES, 5.0)) for seed in range(100)}) == 100


def test_a_home_alone_meets_what_is_not_for_sites():
    places = {fault.place for seed in range(20) for fault in draw(seed, (), 5.0)}
    assert places == {HOME, CLIENT}
