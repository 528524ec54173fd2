"""`python -m bench.placement [SEEDS]`: every measure of placement, as a table and a plot.

Nothing depends on the clock of the machine that runs this: all time is virtual. Seeds below 1000
are for reporting; those that were looked at while the code was written are above.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from placement import data, fluid, rented, rivals, spot
from placement.lines import Kept, Line, spread
from placement.optimum import optimum
from placement.trace import OF_TRACES, Trace, left_out, named

SEEDS = 200
SPAN_S = 311 * 600  # of a window: 52 hours
WINDOWS = 23  # for each deadline
ALONE = 104  # the same for single zones, over all zones
RENTED = 12  # windows in which machines are rented, with a deadline of `RENTED_RATIO` x the work
RENTED_RATIO = 1.2
RATIOS = (1.1, 1.2, 1.5, 2.0)
SIX = ("us-central1-a", "us-west1-a", "europe-west1-c", "europe-west3-c", "asia-southeast1-b",
       "asia-south2-b")  # fmt: skip
Found = dict[str, tuple[float, bool]]  # cost over the optimum, and whether in time, by the way


def _lines(measure: str, rows: Sequence[Found], goal: str) -> Iterator[Line]:
    """One for each way, of what each task came to."""
    for way in rows[0]:
        met = [row[way][0] for row in rows if row[way][1]]
        yield Line(measure, way, met, len(rows) - len(met), goal if way == "Hanse" else "")


# --- items on four sites ------------------------------------------------------------------------
def _one_fluid(seed: int) -> Found:
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


def fluid_lines(seeds: range, kept: Kept) -> Iterator[Line]:
    name = f"items on four sites, over the linear program, {len(seeds)} seeds"
    rows = spread(_one_fluid, seeds, name, kept)
    yield from _lines(name, rows, "median 1.03, worst 1.10, none missed")


# --- spot zones ---------------------------------------------------------------------------------
class Task(NamedTuple):
    """One window of a trace, and which of its zones the job may use."""

    trace: str
    zones: tuple[int, ...]
    ratio: float
    start: int
    stop: int


def _one_window(task: Task) -> Found:
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
        found[way] = float(out.cost / best), 0 < out.steps <= deadline
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


def spot_lines(windows: int, kept: Kept) -> Iterator[Line]:
    """Of each trace that there is: all its zones together, and each alone."""
    for name, trace in _traces().items():
        yield from _of_trace(name, trace, windows, kept)


def _of_trace(name: str, trace: Trace, windows: int, kept: Kept) -> Iterator[Line]:
    told = f" of {name}" if len(_traces()) > 1 else ""
    count = len(trace.zones)

    def measured(measure: str, tasks: list[Task], goal: str) -> Iterator[Line]:
        yield from _lines(measure, spread(_one_window, tasks, measure, kept), goal)

    if count > 1:
        for ratio in RATIOS:
            tasks = _tasks(name, [tuple(range(count))], ratio, windows)
            measure = f"{count} spot zones{told}, deadline {ratio:g} x the work"
            yield from measured(measure, tasks, "mean 1.04, worst 1.12, none missed")
    if count > len(SIX) and set(SIX) <= set(trace.zones):
        picks = tuple(trace.zones.index(zone) for zone in SIX)
        tasks = _tasks(name, [picks], 1.2, windows)
        yield from measured(f"6 of the zones{told}, deadline 1.2 x the work", tasks, "")
    each = -(-ALONE * windows // (WINDOWS * count))
    for share, goal in ((0.8, "mean 1.08"), (0.9, "mean 1.15")):
        tasks = _tasks(name, [(n,) for n in range(count)], 1 / share, each)
        measure = f"one zone, each of {count}{told}, job fraction {share:g}"
        yield from measured(measure, tasks, goal)


# --- rented machines ----------------------------------------------------------------------------
def _one_rented(task: Task) -> Found:
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


def rented_lines(windows: int, kept: Kept) -> Iterator[Line]:
    for name, trace in _traces().items():
        told = f" of {name}" if len(_traces()) > 1 else ""
        count = len(trace.zones)
        many = -(-RENTED * windows // WINDOWS)
        tasks = _tasks(name, [tuple(range(count))], RENTED_RATIO, many)
        measure = f"items on machines rented in {count} zones{told}, {RENTED_RATIO:g} x the work"
        yield from _lines(measure, spread(_one_rented, tasks, measure, kept), "")


# --- all ----------------------------------------------------------------------------------------
HEAD = "| measure | way | median | mean | worst | missed | goal for Hanse |\n" + "|---" * 7 + "|"
WHAT = (
    "Cost over that of the optimum, which knows everything beforehand; of runs that met their "
    "deadline. What is run, how each optimum is found and what a ratio has in it is said in the "
    "files beside this folder. Repeat: `make bench-placement`."
)
SEEN = (
    "Not a clean test everywhere: zones are judged by what is learnt from the first third of the "
    "trace and by the job itself, and windows of the rest are reported; but some of these were "
    "looked at while the code was written, those of rented machines among them. So were seeds 1 to "
    "9 of the items; on the draws of chunks under the home the code was tuned. Every deadline of "
    "the items is feasible: all sites at once end 1.2 to 4 times sooner."
)


def main(seeds: int, folder: Path, windows: int = WINDOWS, keep: bool = True) -> str:
    """The table is written anew after each group of measures, and what was found is kept: a run
    that is interrupted is gone on with. Returns what was left out, as `left_out` does."""
    if without := left_out(_traces()):
        print(without, flush=True)
    print(HEAD, flush=True)
    kept = Kept(folder / "unfinished.jsonl" if keep else None)
    found: list[Line] = []
    groups: list[tuple[str, Callable[[], Iterator[Line]]]] = [
        (OF_TRACES[0], lambda: spot_lines(windows, kept)),
        (OF_TRACES[1], lambda: rented_lines(windows, kept)),
        ("chunks", lambda: data.lines(seeds, kept)),
        ("items", lambda: fluid_lines(range(1, seeds + 1), kept)),
    ]
    for n, (_, lines) in enumerate(groups, 1):
        for line in lines():
            found.append(line)
            print(line.row(), flush=True)
        missing = [name for name, _ in groups[n:]]
        write(found, folder, note(seeds, windows, kept, missing, without))
    kept.end()
    return without


def note(seeds: int, windows: int, kept: Kept, missing: Sequence[str], without: str) -> str:
    """What was run, and what of it is not there."""
    took = f"{max(1, round((time.time() - kept.began) / 60))} minutes on {os.cpu_count()} cores"
    if kept.resumed:
        took = "it was interrupted, and went on"
    many = f"{min(seeds, data.REHEARSED)} of them under the home"
    ran = (
        f"One run of {_commit()}: {windows} windows of 52 hours for each deadline, seeds 1 to "
        f"{seeds} of chunks, {many}, and of items; {took}."
    )
    if missing:
        ran += f" It has not ended: there is nothing yet of {' and '.join(missing)}."
    if without:
        ran += f" {without}"
    return f"{WHAT}\n\n{ran}\n\n{SEEN}"


def _commit() -> str:
    """The state of the code that runs; what it writes itself is no change of that."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        ran = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False)
        return ran.stdout.strip()

    if not (told := git("rev-parse", "--short=9", "HEAD")):
        return "code that is in no repository"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results")
    return f"commit {told}{' with changes' if changed else ''}"


def write(found: list[Line], folder: Path, told: str) -> None:
    """The table, and the plot of it."""
    from placement.plots import plot

    folder.mkdir(parents=True, exist_ok=True)
    rows = [HEAD, *(line.row() for line in found)]
    (folder / "table.md").write_text(f"{told}\n\n" + "\n".join(rows) + "\n")
    plot(found, folder)
