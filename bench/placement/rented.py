"""A job of many items on machines that the home rents: real availability of spot machines.

Every run is a rehearsal: the real home, renter, agents and wire in virtual time. Each zone of the
trace is an offer, at its spot price and with its spells; beside them is one of a sure machine, at
the least on-demand price. The trace tells of two machines in a zone, so each offer has that many,
and nobody is told when there will be some: those that are asked for while there are none are
refused, and those that there are go when there are none any more. A machine has one slot, is paid
for from the moment when it is asked for, and works after 12 minutes.

The optimum is the dynamic program that the spot zones are measured by, times two: a job whose work
two machines at a time just can do. It knows the trace and all items beforehand, cuts work where it
likes, and pays for no machine that waits. So a ratio has in it, beside what is chosen: items that
are lost with their machine and begin again, machines that idle before they go, and the last items,
which end one after the other. It could be below 1, as the home may run more than two at a time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from placement.optimum import optimum
from placement.trace import RESTART_S, Trace

from hanse.core.job import Job
from hanse.core.place import renting
from hanse.core.place.renting import Choice, Kind, Lack
from hanse.core.renter import Renter
from hanse.ids import JobId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Tariff
from hanse.model.rental import Rental
from hanse.model.resources import Amount
from hanse.sim.rehearsal_scenario import JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_times import Times
from hanse.sim.renting import RentingStage

AT_ONCE = 2  # machines of an offer, and machines that can just do the work
ITEM_S = 600.0
SPREAD = 0.5  # of an item's logarithm
LOOK_S = 60
JOB = JobId("job")
_NEVER_S = 3e7
# A rehearsal has a site at least: this one is never there.
NOWHERE = SiteKind(
    "nowhere", count=1, cpus=1, speed=1.0, price_per_hour=0.0, region="", round_trip_ms=20.0,
    lease_cost_ms=20.0, evictions_per_hour=0.0, notice_s=0.0, back_after_s=60.0,
    start_s=_NEVER_S, stop_s=math.inf,
)  # fmt: skip


class Outcome(NamedTuple):
    cost: float  # as the home counts it
    billed: float  # of all machines, from when each was asked for until it was gone
    in_time: bool


class Cheapest(Renter):
    """Rents whatever offer that may be had costs least, again and again: nothing is learnt."""

    def _choice(self, job: Job, lack: Lack, kinds: list[Kind], now_ns: int) -> Choice:
        return renting.choose(lack, kinds)


def job_of(work: int, trace: Trace, deadline: int) -> JobKind:
    """So many steps of work on `AT_ONCE` machines each, in items, within so many steps."""
    items = round(AT_ONCE * work * trace.step_s / ITEM_S)
    return JobKind(
        JOB, items, Times("lognormal", ITEM_S, SPREAD), 0.0, 3, 1, 1, 0.0, objective="cheapest",
        deadline_s=float(deadline * trace.step_s),
    )  # fmt: skip


def offers(trace: Trace) -> list[Rental]:
    """One for each zone, and the sure one."""
    prices = [float(price) for price in trace.spot[0]]
    found = [_offer(*each, spot=True) for each in zip(trace.zones, prices, strict=True)]
    return [*found, _offer("sure", float(trace.sure.min()), spot=False)]


def _offer(name: str, price: float, spot: bool) -> Rental:
    return Rental(
        name=name,
        amount=Amount(cpus_milli=1000),
        tariff=Tariff(
            price_nano=round(price * NANO), region=name, spot=spot, start_ns=RESTART_S * SECOND,
            speed_milli=1000, rented=True,
        ),
        most=AT_ONCE if spot else 4 * AT_ONCE,
        life_ns=366 * 86_400 * SECOND,
        patience_ns=2 * RESTART_S * SECOND,
    )  # fmt: skip


def spells(trace: Trace) -> dict[str, list[int]]:
    """When each zone has none any more, and some again, in turn."""
    found = {}
    for zone, ups in zip(trace.zones, trace.available.T, strict=True):
        was = np.concatenate([[True], ups[:-1]])
        found[zone] = [trace.ns(int(tick) * trace.tick) for tick in np.flatnonzero(ups != was)]
    return found


def run(
    trace: Trace, job: JobKind, seed: int, before: Trace | None = None, gap: int = 0,
    way: type[Renter] = Renter, sure_only: bool = False,
) -> Outcome:  # fmt: skip
    """Under the real home. `before` is what was seen earlier, and ended so many ticks ago."""
    rentals = offers(trace)
    stage = RentingStage(
        Scenario((NOWHERE,), (job,)), seed, rentals[-1:] if sure_only else rentals,
        spells=spells(trace), look_ns=LOOK_S * SECOND, renter=way,
    )  # fmt: skip
    if before is not None and not sure_only:
        _learn(stage.renter, before, gap)
    stage.play(2 * round(job.deadline_s) * SECOND)
    book = stage.books.jobs[JOB]
    place = stage.home.home.jobs[JOB].place
    assert place is not None
    in_time = book.state == "done" and book.ended_ns <= job.deadline_s * SECOND
    return Outcome(sum(place.purse.spent.values()) / NANO, stage.paid_nano / NANO, in_time)


def _learn(renter: Renter, before: Trace, gap: int) -> None:
    ticks = len(before.available)
    for zone, ups in zip(before.zones, before.available.T, strict=True):
        for tick, up in enumerate(ups):
            now_ns = before.ns((tick - ticks - gap) * before.tick)
            renter.spots.pools[zone].see(bool(up), now_ns)


def best(trace: Trace, job: JobKind, seed: int) -> float:
    """What who knows everything beforehand pays. Nothing is saved, so nothing is moved."""
    count = len(trace.zones)
    plain = replace(
        trace, regions=["anywhere"] * count, egress=np.zeros((count, count)),
        sure=np.full(count, trace.sure.min()),
    )  # fmt: skip
    work_s = sum(job.times.table(seed, 0, job.items)) / 1e9 / AT_ONCE
    deadline = round(job.deadline_s / trace.step_s)
    return AT_ONCE * optimum(plain, math.ceil(work_s / trace.step_s), deadline)
