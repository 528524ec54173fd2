"""`python -m bench.placement [SEEDS]`: every measure of placement, as a table and a plot.

Nothing depends on the clock of the machine that runs this: all time is virtual. Seeds below 1000
are for reporting; those that were looked at while the code was written are above.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from placement import data, fluid, rented, rivals, spot
from placement.optimum import optimum
from placement.trace import DATA, Trace, named

SEEDS = 200
SPAN_S = 311 * 600  # of a window: 52 hours
WINDOWS = 23  # for each deadline
ALONE = 104  # the same for single zones, over all zones
RENTED = 12  # windows in which machines are rented, with a deadline of `RENTED_RATIO` x the work
RENTED_RATIO = 1.2
EVERY_S = 15.0  # between two words of how far it is
RATIOS = (1.1, 1.2, 1.5, 2.0)
SIX = ("us-central1-a", "us-west1-a", "europe-west1-c", "europe-west3-c", "asia-southeast1-b",
       "asia-south2-b")  # fmt: skip


class Line(NamedTuple):
    """One measure of one way to place work: costs over the optimum, and deadlines missed."""

    measure: str
    way: str
    ratios: list[float]
    missed: int
    goal: str

    def row(self) -> str:
        if not self.ratios:
            return f"| {self.measure} | {self.way} | - | - | - | {self.missed} | {self.goal} |"
        middle, mean = statistics.median(self.ratios), statistics.fmean(self.ratios)
        return (
            f"| {self.measure} | {self.way} | {middle:.3f} | {mean:.3f} | {max(self.ratios):.3f} "
            f"| {self.missed} of {len(self.ratios) + self.missed} | {self.goal} |"
        )


def spread(work: Callable[[Any], Any], tasks: Sequence[Any], what: str) -> list[Any]:
    """What `work` finds for each, by as many processes as there are cores. Tells how far it is."""
    found = []
    began = told = time.monotonic()
    with ProcessPoolExecutor() as pool:
        for row in pool.map(work, tasks):
            found.append(row)
            now = time.monotonic()
            if now - told >= EVERY_S:
                print(f"{what}: {len(found)} of {len(tasks)} after {now - began:.0f} s",
                      file=sys.stderr, flush=True)  # fmt: skip
                told = now
    return found


# --- items on four sites ------------------------------------------------------------------------
def _one_fluid(seed: int) -> dict[str, tuple[float, bool]]:
    """Cost over the optimum, and whether the deadline was met, by the way of placing."""
    case = fluid.draw(seed)
    fast = fluid.run(case.sites, case.job, seed)
    deadline_s = fast.end_s * case.ratio
    job = replace(case.job, objective="cheapest", deadline_s=deadline_s)
    own = fluid.run(case.sites, job, seed)
    best = fluid.optimum(case, deadline_s)
    found = {
        "Hanse": (own.cost / best, own.done and own.end_s <= deadline_s),
        "all sites at once (Hanse, fastest)": (fast.cost / best, True),
    }
    for name, (cost, end_s) in fluid.simple_ways(case, deadline_s).items():
        found[name] = cost / best, end_s <= deadline_s
    return found


def fluid_lines(seeds: range) -> Iterator[Line]:
    name = f"items on four sites, over the linear program, {len(seeds)} seeds"
    rows = spread(_one_fluid, seeds, name)
    for way in rows[0]:
        met = [row[way][0] for row in rows if row[way][1]]
        goal = "median 1.03, worst 1.10, none missed" if way == "Hanse" else ""
        yield Line(name, way, met, len(rows) - len(met), goal)


# --- spot zones ---------------------------------------------------------------------------------
class Task(NamedTuple):
    """One window of a trace, and which of its zones the job may use."""

    trace: str
    zones: tuple[int, ...]
    ratio: float
    start: int
    stop: int


def _one_window(task: Task) -> dict[str, tuple[float, bool]]:
    trace = _traces()[task.trace].only(list(task.zones))
    fit = trace.part(0, len(trace.available) // 3)
    part = trace.part(task.start, task.stop)
    deadline = (task.stop - task.start) * trace.tick
    work = int(deadline / task.ratio)
    ways: dict[str, spot.Policy] = {
        "Hanse": spot.Hanse(part, fit, task.start - len(fit.available)),
        "Hanse, nothing learnt beforehand": spot.Hanse(part, None),
        "Markov policy": rivals.Markov(part, fit),
        "uniform progress": rivals.UniformProgress(part, work, deadline),
        "uniform progress, cheapest zone": rivals.Cheapest(part, work, deadline),
        "greedy": rivals.Greedy(part),
    }
    best = optimum(part, work, deadline)
    found = {}
    for way, policy in ways.items():
        out = spot.play(part, policy, work, deadline)
        found[way] = out.cost / best, 0 < out.steps <= deadline
    return found


@cache
def _traces() -> dict[str, Trace]:
    return named()


def _tasks(name: str, zones: list[tuple[int, ...]], ratio: float, windows: int) -> list[Task]:
    """Windows of 52 hours, or of half of what is reported on where that is less. They begin evenly
    spread over the last two thirds of the trace."""
    trace = _traces()[name]
    ticks, first = len(trace.available), len(trace.available) // 3
    span = min(round(SPAN_S / trace.step_s / trace.tick), (ticks - first) // 2)
    last = ticks - span
    starts = sorted({first + (last - first) * n // max(1, windows - 1) for n in range(windows)})
    return [Task(name, pick, ratio, start, start + span) for pick in zones for start in starts]


def _windows(
    measure: str, tasks: list[Task], goal: str, play: Callable[[Task], Any] = _one_window
) -> Iterator[Line]:
    rows = spread(play, tasks, measure)
    for way in rows[0]:
        met = [row[way][0] for row in rows if row[way][1]]
        yield Line(measure, way, met, len(rows) - len(met), goal if way == "Hanse" else "")


def spot_lines(windows: int) -> Iterator[Line]:
    """Of each trace that there is: all its zones together, and each alone."""
    if not _traces():
        print(f"no spot data in {DATA}: name its folder in HANSE_SPOT_DATA")
    for name, trace in _traces().items():
        yield from _of_trace(name, trace, windows)


def _of_trace(name: str, trace: Trace, windows: int) -> Iterator[Line]:
    told = f" of {name}" if len(_traces()) > 1 else ""
    count = len(trace.zones)
    if count > 1:
        for ratio in RATIOS:
            tasks = _tasks(name, [tuple(range(count))], ratio, windows)
            measure = f"{count} spot zones{told}, deadline {ratio:g} x the work"
            yield from _windows(measure, tasks, "mean 1.04, worst 1.12, none missed")
    if count > len(SIX) and set(SIX) <= set(trace.zones):
        picks = tuple(trace.zones.index(zone) for zone in SIX)
        tasks = _tasks(name, [picks], 1.2, windows)
        yield from _windows(f"6 of them{told}, 1.2 x", tasks, "")
    each = -(-ALONE * windows // (WINDOWS * count))
    for share, goal in ((0.8, "mean 1.08"), (0.9, "mean 1.15")):
        tasks = _tasks(name, [(n,) for n in range(count)], 1 / share, each)
        yield from _windows(f"one zone, each of {count}{told}, job fraction {share:g}", tasks, goal)


# --- rented machines ----------------------------------------------------------------------------
def _one_rented(task: Task) -> dict[str, tuple[float, bool]]:
    trace = _traces()[task.trace]
    fit = trace.part(0, len(trace.available) // 3)
    part = trace.part(task.start, task.stop)
    deadline = (task.stop - task.start) * trace.tick
    job = rented.job_of(int(deadline / task.ratio), trace, deadline)
    best = rented.best(part, job, task.start)
    ways = {
        "Hanse": rented.run(part, job, task.start, fit, task.start - len(fit.available)),
        "Hanse, nothing learnt beforehand": rented.run(part, job, task.start),
        "the cheapest offer that is up": rented.run(part, job, task.start, way=rented.Cheapest),
        "only the sure offer": rented.run(part, job, task.start, sure_only=True),
    }
    return {way: (out.cost / best, out.in_time) for way, out in ways.items()}


def rented_lines(windows: int) -> Iterator[Line]:
    for name, trace in _traces().items():
        told = f" of {name}" if len(_traces()) > 1 else ""
        count = len(trace.zones)
        tasks = _tasks(name, [tuple(range(count))], RENTED_RATIO, -(-RENTED * windows // WINDOWS))
        measure = f"items on machines rented in {count} zones{told}, {RENTED_RATIO:g} x"
        yield from _windows(measure, tasks, "", _one_rented)


# --- all ----------------------------------------------------------------------------------------
HEAD = "| measure | way | median | mean | worst | missed | goal for Hanse |\n" + "|---" * 7 + "|"
NOTE = (
    "Cost over that of the optimum, which knows everything beforehand; of runs that met their "
    "deadline. How each optimum is found and what is run is said in the files beside this folder. "
    "Spot zones: rates are learnt from the first third of the trace and from what the job itself "
    "sees; windows of 52 hours are taken from the rest. Repeat: `make bench-placement`."
)


def main(seeds: int, folder: Path, windows: int = WINDOWS) -> None:
    """The table is written anew after each group of measures, so that a run that is cut short
    leaves what it has found."""
    print(HEAD, flush=True)
    found: list[Line] = []
    for lines in (
        spot_lines(windows), rented_lines(windows), data.lines(seeds),
        fluid_lines(range(1, seeds + 1)),
    ):  # fmt: skip
        for line in lines:
            found.append(line)
            print(line.row(), flush=True)
        write(found, folder, NOTE)


def write(found: list[Line], folder: Path, note: str) -> None:
    """The table, and the plot of it."""
    from placement.plots import plot

    folder.mkdir(parents=True, exist_ok=True)
    rows = [HEAD, *(line.row() for line in found)]
    (folder / "table.md").write_text(f"{note}\n\n" + "\n".join(rows) + "\n")
    plot(found, folder)
