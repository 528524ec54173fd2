"""Chunks of data at three sites, worked on by the real home: rehearsals beside brute force.

The same draws as in `data`, each chunk as a hundred items that read their parts of it. Brute force
knows all times beforehand and places whole chunks; the home learns them, and may cut chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from placement.data import SITES, Draw

from hanse.ids import JobId
from hanse.model.data import Lies
from hanse.sim.plan import JobPlan
from hanse.sim.rehearsal import Stage
from hanse.sim.rehearsal_scenario import JobKind, Scenario, SiteKind
from hanse.sim.rehearsal_site import Work
from hanse.sim.rehearsal_times import Times

ITEMS = 100  # of a chunk
SLOTS = 4
JOB = JobId("job")


class Outcome(NamedTuple):
    cost: float
    moved: int  # bytes
    end_s: float


def run(drawn: Draw, seed: int) -> Outcome:
    """The job under the real home."""
    data = tuple(
        Lies(n * ITEMS, (n + 1) * ITEMS, f"region-{home}", size, f"chunk-{n}")
        for n, (size, home) in enumerate(zip(drawn.sizes, drawn.homes, strict=True))
    )
    items = len(data) * ITEMS
    job = JobKind(
        JOB, items, Times(), 0.0, 3, 1, 1, 1.0, objective="cheapest",
        deadline_s=drawn.deadline_ns / 1e9, data=data,
    )  # fmt: skip
    sites = tuple(
        SiteKind(
            f"site-{n}", count=1, cpus=SLOTS, speed=drawn.speed[n], price_per_hour=drawn.price[n],
            region=f"region-{n}", round_trip_ms=20.0, lease_cost_ms=50.0, evictions_per_hour=0.0,
            notice_s=0.0, back_after_s=60.0, start_s=0.0, stop_s=math.inf,
            told_speed=drawn.speed[n],
        )
        for n in range(SITES)
    )  # fmt: skip
    make: Callable[..., Work] = partial(_Efforts, drawn)
    stage = Stage(Scenario(sites, (job,)), seed, make)
    stage.home.home.carries_at(drawn.egress)
    stage.run()
    book = stage.books.jobs[JOB]
    place = stage.home.home.jobs[JOB].place
    assert place is not None
    assert book.state == "done"
    cost = sum(place.purse.spent.values()) / 1e9
    moved = sum(nbytes for nbytes, _ in place.moved.values())
    return Outcome(cost, moved, book.ended_ns / 1e9 - job.submitted_s)


class _Efforts(Work):
    """An item takes its part of what its chunk takes."""

    def __init__(
        self, drawn: Draw, seed: int, plans: Mapping[JobId, JobPlan],
        times: Mapping[JobId, list[int]], failures: Mapping[JobId, float],
    ) -> None:  # fmt: skip
        super().__init__(seed, plans, times, failures)
        self._each = [
            round(size / 1e9 * much * SLOTS / ITEMS * 1e9)
            for size, much in zip(drawn.sizes, drawn.effort, strict=True)
        ]

    def takes_ns(self, job: JobId, item: int) -> int:
        return self._each[item // ITEMS]
