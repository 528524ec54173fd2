"""How well work is spread, against the fluid bound and against the classic schemes.

    python bench/scheduling/run.py [SEEDS] [FOLDER]

Everything happens in virtual time, so the figures are the same on every machine. Prints a Markdown
table and writes it to FOLDER (bench/scheduling/results) with a plot of each kind. Hanse's figures
come from the simulator that `hanse simulate` uses.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scheduling import scenarios as s
from scheduling.model import Case, Outcome, hanse
from scheduling.peers import FREE, SCHEMES, free_ns, makespan_ns

Make = Callable[[int], Case]

SEEDS = 5
COLUMNS = (*SCHEMES, FREE)


@dataclass
class Line:
    """One scenario: the quotients of all seeds, Hanse's and the peers'."""

    name: str
    goal: str
    reached: Callable[[float], bool]
    ours: list[float]
    peers: dict[str, list[float]]

    def row(self) -> str:
        middle = statistics.median(self.ours)
        worst = (min if self.goal.startswith("at least") else max)(self.ours)
        yes = "yes" if self.reached(middle) and self.reached(worst) else "no"
        if yes == "no" and self.reached(middle):
            yes = "median"
        cells = [
            f"{statistics.median(self.peers[name]):.3f}" if name in self.peers else ""
            for name in COLUMNS
        ]
        return f"| {self.name} | {self.goal} | {middle:.4f} | {worst:.4f} | {yes} | " + (
            " | ".join(cells) + " |"
        )


def at_most(most: float) -> Callable[[float], bool]:
    return lambda value: value <= most


def at_least(least: float) -> Callable[[float], bool]:
    return lambda value: value >= least


def bounded(name: str, make: Make, most: float, seeds: Iterable[int]) -> Line:
    """Makespan over the fluid bound."""
    ours: list[float] = []
    peers: dict[str, list[float]] = {scheme: [] for scheme in COLUMNS}
    for seed in seeds:
        case = make(seed)
        bound = s.bound_ns(case.items, case.workers)
        ours.append(hanse(case).end_ns / bound)
        for scheme, chunks in SCHEMES.items():
            peers[scheme].append(makespan_ns(case, chunks) / bound)
        peers[FREE].append(free_ns(case) / bound)
    return Line(name, f"at most {most}", at_most(most), ours, peers)


def beside(
    name: str, goal: str, reached: Callable[[float], bool], pairs: Iterable[tuple[Case, Case]]
) -> Line:
    """Makespan of the first case over that of the second."""
    ours: list[float] = []
    peers: dict[str, list[float]] = {scheme: [] for scheme in COLUMNS}
    for case, other in pairs:
        ours.append(hanse(case).end_ns / hanse(other).end_ns)
        for scheme, chunks in SCHEMES.items():
            peers[scheme].append(makespan_ns(case, chunks) / makespan_ns(other, chunks))
        peers[FREE].append(free_ns(case) / free_ns(other))
    return Line(name, goal, reached, ours, peers)


def backups(seeds: Iterable[int]) -> list[Line]:
    """With and without backups; what they cost; and what they do to runs that need none."""
    faster, extra, clean = [], [], []
    for seed in seeds:
        case = s.few_flaky(seed)
        with_, without = hanse(case), alone(case)
        faster.append(without.end_ns / with_.end_ns)
        extra.append(with_.busy_ns / without.busy_ns)
        calm = replace(case, attempt=lambda item, n: 1.0)
        clean.append(hanse(calm).end_ns / alone(calm).end_ns)
    name = "64 items of 10 s on 64 slots, 5 % of attempts 2 to 10 x slow"
    return [
        Line(f"{name}: times faster by backups", "at least 3", at_least(3), faster, {}),
        Line(
            "the same: slot time used, with over without", "at most 1.06", at_most(1.06), extra, {}
        ),
        Line(
            "the same, no attempt slow: with over without", "at most 1.01", at_most(1.01), clean, {}
        ),
    ]


def alone(case: Case) -> Outcome:
    """Without backups."""
    return hanse(case, backups=False)


def lines(seeds: range) -> Iterable[Line]:
    yield bounded("speeds 4 to 1/4, 2 ms a lease", s.uneven, 1.01, seeds)
    yield bounded("200 ms a lease on 4 of 8 (36 % of the speed)", s.dear, 1.03, seeds)
    yield bounded("200 ms a lease on the other 4 (64 %)", s.dear_fast, 1.03, seeds)
    yield bounded("the fastest turns 10 x slower after 15 s", s.turning_slow, 1.01, seeds)
    yield bounded("8 equal speeds, Pareto 1.5 items", s.heavy, 1.02, seeds)
    yield from backups(range(seeds.start, seeds.start + 4 * len(seeds)))
    pairs = [(s.killed(seed), s.calm(seed)) for seed in seeds]
    name = "2 of 18 machines killed in the middle, back after 0.3 s: over an undisturbed run"
    yield beside(name, "at most 1.05", at_most(1.05), pairs)
    gone = bounded(
        "2 of 18 sites gone for good in the middle", lambda n: s.killed(n, back=False), 1.05, seeds
    )
    yield replace(gone, peers={})
    pairs = [(s.far(seed, 0), s.far(seed)) for seed in seeds]
    name = "8 sites behind 100 ms round trips: throughput over that at 0 ms"
    yield beside(name, "at least 0.98", at_least(0.98), pairs)


def _pareto_words(found: Iterable[Line]) -> str:
    (line,) = [line for line in found if "Pareto" in line.name]
    worst = max(range(len(line.ours)), key=line.ours.__getitem__)
    return (
        f"Pareto: the worst seed is {line.ours[worst]:.4f}, where beginning items in order at no "
        f"cost comes to {line.peers[FREE][worst]:.4f}: its longest item is as long as the bound, "
        "and not the first one. Who does not know how long items are does better by luck alone.\n"
    )


def main(seeds: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    head = [
        "| scenario | goal | median | worst | reached | " + " | ".join(COLUMNS) + " |",
        "|---" * (5 + len(COLUMNS)) + "|",
    ]
    print("\n".join(head))
    found = []
    for line in lines(range(1, seeds + 1)):
        found.append(line)
        print(line.row(), flush=True)
    text = "\n".join([*head, *(line.row() for line in found)])
    note = (
        f"{s.ITEMS:,} items of 10 ms (lognormal, sigma 1) unless said otherwise; makespan over the "
        "fluid bound unless said otherwise; peers' columns are medians. "
        f"{seeds} seeds a line, {4 * seeds} for backups (in some of these no attempt is slow, or "
        "by so little that there is nothing to win). The peers' workers that are killed go on with "
        f"their chunk. Repeat: `python bench/scheduling/run.py {seeds}`.\n\n"
    )
    tail = _pareto_words(found)
    (folder / "table.md").write_text(note + text + "\n\n" + tail)
    from scheduling.plots import plot

    plot(found, folder)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS,
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "results",
    )
