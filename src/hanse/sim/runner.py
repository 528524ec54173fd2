"""Runs many seeds, on several processes, and says what to do about those that fail.

The only part of the simulator that knows the real machine: processes, files, the clock on the wall.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hanse.sim.drawing import draw
from hanse.sim.plan import Plan, encode
from hanse.sim.shrink import shrink
from hanse.sim.simulate import Outcome, simulate

_CHUNK = 20  # seeds that a process takes at a time


@dataclass(frozen=True)
class Ran:
    """One seed and how it ended."""

    seed: int
    digest: str
    events: int
    virtual_ns: int
    wrong: str


def run_seed(seed: int) -> Ran:
    outcome = simulate(draw(seed))
    return Ran(seed, outcome.digest, outcome.events, outcome.virtual_ns, outcome.wrong)


def run_seeds(seeds: Iterable[int], jobs: int) -> Iterator[Ran]:
    """Every seed's end, in no particular order."""
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs) as pool:
        yield from pool.imap_unordered(run_seed, seeds, chunksize=_CHUNK)


class Tally:
    """What many runs come to."""

    def __init__(self) -> None:
        self.runs = self.events = self.virtual_ns = 0
        self.failed: list[Ran] = []
        self._began = time.monotonic()

    def add(self, ran: Ran) -> None:
        self.runs += 1
        self.events += ran.events
        self.virtual_ns += ran.virtual_ns
        if ran.wrong:
            self.failed.append(ran)

    def __str__(self) -> str:
        took = max(1e-9, time.monotonic() - self._began)
        return (
            f"{self.runs:,} seeds, {len(self.failed):,} failed; {self.events:,} events in "
            f"{took:.1f} s ({self.events / took:,.0f} each second), "
            f"{self.virtual_ns / 3.6e12:,.1f} hours of virtual time"
        )


def story(plan: Plan, wrong: str, folder: Path) -> str:
    """What to tell of a failed seed: how to repeat it, and a smaller plan that fails alike."""
    small = shrink(plan, wrong)
    path = folder / f"seed-{plan.seed}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(small))
    lines = [
        f"seed {plan.seed} failed: {wrong}",
        f"  repeat it:         python -m hanse.sim --seed {plan.seed}",
        f"  the shrunk plan:   python -m hanse.sim --seed {plan.seed} --faults {path} --trace",
        f"  of {len(plan.faults)} faults these {len(small.faults)} suffice, with "
        f"{len(small.sites)} sites and the jobs {', '.join(_job(job) for job in small.jobs)}:",
        *(f"    {fault}" for fault in small.faults),
    ]
    return "\n".join(lines)


def _job(job: object) -> str:
    return f"{getattr(job, 'name', '')} of {getattr(job, 'size', 0)} items"


def describe(outcome: Outcome) -> str:
    return (
        f"digest {outcome.digest}, {outcome.events:,} events, "
        f"{outcome.virtual_ns / 1e9:,.1f} s of virtual time"
    )
