"""`python -m bench.placement [SEEDS]`: every measure of placement, as a table and a plot.

Nothing depends on the clock of the machine that runs this: all time is virtual. Seeds below 1000
are for reporting; those that were looked at while the code was written are above.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from placement import data, fluid, rivals, spot

SEEDS = 200
SPAN = 311  # ticks of a window: 52 hours
STRIDE = 48  # ticks between the begins of two windows
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
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(_one_fluid, seeds))
    for way in rows[0]:
        met = [row[way][0] for row in rows if row[way][1]]
        goal = "median 1.03, worst 1.10, none missed" if way == "Hanse" else ""
        name = f"items on four sites, over the linear program, {len(rows)} seeds"
        yield Line(name, way, met, len(rows) - len(met), goal)


# --- spot zones ---------------------------------------------------------------------------------
def _one_window(names: tuple[str, ...], ratio: float, start: int) -> dict[str, tuple[float, bool]]:
    whole = spot.load()
    trace = whole.only([whole.zones.index(name) for name in names])
    fit = trace.part(0, len(trace.available) // 3)
    part = trace.part(start, start + SPAN)
    deadline = SPAN * spot.TICK
    work = int(deadline / ratio)
    ways: dict[str, spot.Policy] = {
        "Hanse": spot.Hanse(part, fit, start - len(fit.available)),
        "Hanse, nothing learnt beforehand": spot.Hanse(part, None),
        "Markov policy": rivals.Markov(part, fit),
        "uniform progress": rivals.UniformProgress(part, work, deadline),
        "uniform progress, cheapest zone": rivals.Cheapest(part, work, deadline),
        "greedy": rivals.Greedy(part),
    }
    best = spot.optimum(part, work, deadline)
    found = {}
    for way, policy in ways.items():
        out = spot.play(part, policy, work, deadline)
        found[way] = out.cost / best, 0 < out.steps <= deadline
    return found


def _windows(measure: str, zones: list[tuple[str, ...]], ratios: tuple[float, ...], stride: int,
             goal: str) -> Iterator[Line]:  # fmt: skip
    ticks = len(spot.load().available)
    starts = range(ticks // 3, ticks - SPAN + 1, stride)
    todo = [(names, ratio, start) for names in zones for ratio in ratios for start in starts]
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(_one_window, *zip(*todo, strict=True)))
    for way in rows[0]:
        met = [row[way][0] for row in rows if row[way][1]]
        yield Line(measure, way, met, len(rows) - len(met), goal if way == "Hanse" else "")


def spot_lines(stride: int) -> Iterator[Line]:
    if not spot.DATA.is_dir():
        print(f"no spot data in {spot.DATA}: name its folder in HANSE_SPOT_DATA")
        return
    names = tuple(spot.load().zones)
    for ratio in RATIOS:
        yield from _windows(f"13 spot zones, deadline {ratio:g} x the work", [names], (ratio,),
                            stride, "mean 1.04, worst 1.12, none missed")  # fmt: skip
    yield from _windows("6 of them, 1.2 x", [SIX], (1.2,), stride, "")
    for share, goal in ((0.8, "mean 1.08"), (0.9, "mean 1.15")):
        alone = [(name,) for name in names]
        yield from _windows(f"one zone, each of 13, job fraction {share:g}", alone, (1 / share,),
                            3 * stride, goal)  # fmt: skip


# --- all ----------------------------------------------------------------------------------------
HEAD = "| measure | way | median | mean | worst | missed | goal for Hanse |\n" + "|---" * 7 + "|"
NOTE = (
    "Cost over that of the optimum, which knows everything beforehand; of runs that met their "
    "deadline. How each optimum is found and what is run is said in the files beside this folder. "
    "Spot zones: rates are learnt from the first third of the trace and from what the job itself "
    "sees; windows of 52 hours are taken from the rest. Repeat: `make bench-placement`."
)


def main(seeds: int, folder: Path, stride: int = STRIDE) -> None:
    """The table is written anew after each group of measures, so that a run that is cut short
    leaves what it has found."""
    print(HEAD, flush=True)
    found: list[Line] = []
    note = f"{NOTE} One begins every {stride * 10} minutes (for single zones every {stride * 30})."
    for lines in (spot_lines(stride), data.lines(seeds), fluid_lines(range(1, seeds + 1))):
        for line in lines:
            found.append(line)
            print(line.row(), flush=True)
        write(found, folder, note)


def write(found: list[Line], folder: Path, note: str) -> None:
    """The table, and the plot of it."""
    from placement.plots import plot

    folder.mkdir(parents=True, exist_ok=True)
    rows = [HEAD, *(line.row() for line in found)]
    (folder / "table.md").write_text(f"{note}\n\n" + "\n".join(rows) + "\n")
    plot(found, folder)
