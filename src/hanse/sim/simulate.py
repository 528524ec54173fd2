"""Runs one plan to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hanse.errors import HanseError
from hanse.sim.checks.calm import settle
from hanse.sim.faults import Faults
from hanse.sim.federation import Federation
from hanse.sim.plan import Plan

_EVENTS = 2_000_000
"""A run of more events than this goes round in circles."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `wrong` is empty if every promise was kept."""

    digest: str
    events: int
    virtual_ns: int
    wrong: str = ""
    error: BaseException | None = None  # with the traceback, for whoever looks for the cause


def simulate(plan: Plan, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run it until all is done and quiet, or a promise is broken. Never raises for that: an error
    of the core or a check that fails is the outcome."""
    federation = Federation(plan, trace)
    world = federation.world
    wrong, cause = "", None
    try:
        Faults(federation)
        settle(federation)
        _check_ends(federation)
    except (AssertionError, LookupError, ValueError, TypeError, HanseError) as error:
        wrong, cause = f"{type(error).__name__}: {error}", error
    return Outcome(world.digest(), world.events, world.now_ns, wrong, cause)


def _check_ends(federation: Federation) -> None:
    federation.check()
    for name, home in federation.homes.items():
        federation.watches[name].check_ends(home)
