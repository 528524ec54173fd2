"""Runs many seeds, on several processes, and says what to do about those that fail.

The only part of the simulator that knows the real machine: processes, files, the clock on the wall.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from hanse.sim.checks.calm import ENDLESS
from hanse.sim.drawing import draw
from hanse.sim.plan import Plan, encode
from hanse.sim.shrink import shrink
from hanse.sim.simulate import Outcome, simulate

SEED_S = 300.0
"""A seed takes a tenth of a second, few take some seconds. One that takes so long goes round in
circles within one event, where nobody counts."""


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


Run = Callable[[int], Ran]


def run_seeds(
    seeds: Iterable[int], jobs: int, limit_s: float = SEED_S, run: Run = run_seed
) -> Iterator[Ran]:
    """Every seed's end, in no particular order, run by so many processes. A seed that has not ended
    after `limit_s`, or that takes its process with it, has failed; others go on."""
    todo = iter(seeds)
    idle = [_Worker(run, limit_s) for _ in range(jobs)]
    busy: dict[Connection, _Worker] = {}
    try:
        while True:
            while idle and (seed := next(todo, None)) is not None:
                worker = idle.pop()
                worker.begin(seed)
                busy[worker.connection] = worker
            if not busy:
                return
            due = min(worker.due for worker in busy.values())
            for connection in wait(list(busy), max(0.0, due - time.monotonic())):
                assert isinstance(connection, Connection)
                worker = busy.pop(connection)
                ran, whole = worker.end()
                idle.append(worker if whole else _Worker(run, limit_s))
                yield ran
            for worker in [one for one in busy.values() if one.due <= time.monotonic()]:
                del busy[worker.connection]
                worker.kill()
                idle.append(_Worker(run, limit_s))
                yield worker.failed(f"{ENDLESS}: nothing came of it within {limit_s:g} s")
    finally:
        for worker in [*idle, *busy.values()]:
            worker.kill()


class _Worker:
    """A process that runs one seed after the other."""

    def __init__(self, run: Run, limit_s: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._limit_s = limit_s
        self._process = context.Process(target=_work, args=(theirs, run, limit_s), daemon=True)
        self._process.start()
        theirs.close()
        self._seed = -1
        self.due = 0.0  # when the alarm goes off

    def begin(self, seed: int) -> None:
        self._seed = seed
        self.due = time.monotonic() + self._limit_s
        self.connection.send(seed)

    def end(self) -> tuple[Ran, bool]:
        """How its seed ended, and whether the process is still there."""
        try:
            ran = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(1)  # it may still be about to end
            self.kill()
            return self.failed(f"its process ended with {self._process.exitcode}"), False
        assert isinstance(ran, Ran)
        return ran, True

    def failed(self, wrong: str) -> Ran:
        return Ran(self._seed, "", 0, 0, wrong)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: Connection, run: Run, limit_s: float) -> None:
    """What the process does, until it is killed."""
    while True:
        seed = connection.recv()
        faulthandler.dump_traceback_later(0.9 * limit_s)  # where it hangs, before it is killed
        ran = run(seed)
        faulthandler.cancel_dump_traceback_later()
        connection.send(ran)


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
    """What to tell of a failed seed: how to repeat it, and a smaller plan that fails alike. One
    that does not end is left as it is: each smaller one would have to be waited for."""
    small = plan if ENDLESS in wrong else shrink(plan, wrong)
    path = folder / f"seed-{plan.seed}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(small))
    lines = [
        f"seed {plan.seed} failed: {wrong}",
        f"  repeat it:         python -m hanse.sim --seed {plan.seed}",
        f"  the shrunk plan:   python -m hanse.sim --faults {path} --trace",
        "  once it is mended: put that file into tests/sim/failed under a name that says what was",
        "                     wrong, and the seed into tests/sim/seeds.txt; they run always then",
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
