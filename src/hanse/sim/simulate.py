"""Runs one plan to its end, under all checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hanse.sim.checks.calm import settle
from hanse.sim.faults import Faults
from hanse.sim.federation import Federation
from hanse.sim.plan import Plan

EVENTS = 500_000
"""A run of more events than this goes round in circles: over ten times what the longest take."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `wrong` is empty if every promise was kept."""

    digest: str
    events: int
    virtual_ns: int
    wrong: str = ""
    error: Exception | None = None  # with the traceback, for whoever looks for the cause


def simulate(
    plan: Plan, trace: Callable[[str], None] | None = None, most_events: int = EVENTS
) -> Outcome:
    """Run it until all is done and quiet, or a promise is broken. Never raises for that: whatever
    the core raises, and a check that fails, is the outcome."""
    federation = Federation(plan, trace)
    world = federation.world
    wrong, cause = "", None
    try:
        Faults(federation)
        settle(federation, most_events)
        _check_ends(federation)
    except Exception as error:  # noqa: BLE001 - a bug of the core may raise anything
        wrong, cause = f"{type(error).__name__}: {error}", error
    return Outcome(world.digest(), world.events, world.now_ns, wrong, cause)


def _check_ends(federation: Federation) -> None:
    federation.check()
    for name, home in federation.homes.items():
        federation.watches[name].check_ends(home)
