"""How far from the optimum each way is: one panel for each measure, one row for each way.

Every run that met its deadline is a dot; what is beyond the axis is an arrow at its end.
"""

from __future__ import annotations

import re
import statistics
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from placement.lines import Line

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

_OWN, _RIVAL, _GOAL = "#1f6fb4", "#9a9a9a", "#c2410c"
_MOST = 3.2  # of the optimum: the end of the axis
_LEAST = 0.88
_TICKS = (0.9, 1, 1.02, 1.1, 1.2, 1.5, 2, 3)
_MARKS = {"median": "|", "mean": "D", "worst": "^"}
_SHORT = {"Hanse, nothing learnt beforehand": "Hanse, nothing learnt before",
          "all sites at once (Hanse, fastest)": "all sites at once",
          "uniform progress or greedy: the cheapest, or all": "uniform progress or greedy",
          "uniform progress, cheapest zone": "the same, cheapest zone"}  # fmt: skip


def plot(lines: list[Line], folder: Path) -> None:
    shown = [line for line in lines if len(line.ratios) + line.missed > 1]
    panels = [list(group) for _, group in groupby(shown, key=lambda line: line.measure)]
    if not panels:
        return
    panels.sort(key=len, reverse=True)
    half = -(-len(panels) // 2)
    rows = list(zip(panels[::2], [*panels[1::2], []], strict=False))
    heights = [0.9 + max(len(left), len(right)) for left, right in rows]
    figure, axes = plt.subplots(
        half, 2, figsize=(15, 0.27 * sum(heights) + 0.5 * half + 1.2), layout="constrained",
        squeeze=False, gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for pair, spots in zip(rows, axes, strict=True):
        for panel, spot in zip(pair, spots, strict=True):
            _panel(spot, panel) if panel else spot.axis("off")
    figure.suptitle("Cost over that of an optimum that knows everything beforehand (1: as cheap)",
                    fontsize=13)  # fmt: skip
    figure.legend(handles=_key(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    figure.savefig(folder / "placement.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axes: Any, lines: list[Line]) -> None:
    for at, line in enumerate(lines):
        _row(axes, at, line)
    goal = next((line.goal for line in lines if line.goal), "")
    for what, value in re.findall(r"(median|mean|worst) ([\d.]+)", goal):
        axes.plot(float(value), 0, _MARKS[what], color=_GOAL, markersize=9, markeredgewidth=2,
                  fillstyle="none", zorder=6)  # fmt: skip
    measure = lines[0].measure
    axes.set_title(f"{measure[0].upper()}{measure[1:]}", fontsize=9.5, loc="left")
    axes.set_yticks(range(len(lines)), [_SHORT.get(line.way, line.way) for line in lines],
                    fontsize=8.5)  # fmt: skip
    axes.set_ylim(len(lines) - 0.45, -0.55)
    axes.set_xscale("function", functions=(_root, _square))
    axes.set_xlim(_LEAST, _MOST)
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS], fontsize=8)
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", alpha=0.25)
    axes.axvline(1, color="0.3", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _root(ratio: Any) -> Any:
    """Near 1 small differences are to be seen, and far from it there is no need."""
    return np.sign(ratio - 1) * np.sqrt(np.abs(ratio - 1))


def _square(root: Any) -> Any:
    return 1 + np.sign(root) * root * root


def _row(axes: Any, at: int, line: Line) -> None:
    color = _OWN if line.way.startswith("Hanse") else _RIVAL
    text = f"{line.missed} of {line.missed + len(line.ratios)} missed" if line.missed else ""
    if line.ratios:
        ordered = sorted(line.ratios)
        inside = [min(max(ratio, _LEAST * 1.005), _MOST * 0.985) for ratio in ordered]
        heights = [at + 0.5 * ((n * 0.618034) % 1 - 0.5) for n in range(len(inside))]
        axes.scatter(inside, heights, s=9, color=color, alpha=0.45, linewidths=0, zorder=3)
        low, high = inside[len(inside) // 10], inside[-1 - len(inside) // 10]
        axes.plot([low, high], [at, at], color=color, linewidth=1.6, zorder=4)
        for mark, value in (
            ("|", statistics.median(ordered)), ("D", statistics.fmean(ordered)), ("^", ordered[-1]),
        ):  # fmt: skip
            size = 11 if mark == "|" else 5
            axes.plot(min(value, _MOST * 0.985), at, mark if value < _MOST else ">", color=color,
                      markersize=size, markeredgewidth=1.8 if mark == "|" else 0.5,
                      markeredgecolor=color if mark == "|" else "white", zorder=5)  # fmt: skip
        if ordered[-1] > _MOST:
            text = f"worst {ordered[-1]:.1f}" + (f", {text}" if text else "")
    axes.annotate(text, (1.01, at), xycoords=("axes fraction", "data"), va="center", fontsize=8,
                  color="0.25", annotation_clip=False)  # fmt: skip


def _key() -> list[Any]:
    def mark(shape: str, told: str, color: str = "0.3", hollow: bool = False) -> Line2D:
        return Line2D([], [], linestyle="", marker=shape, color=color, label=told,
                      fillstyle="none" if hollow else "full", markersize=8)  # fmt: skip

    return [
        Patch(color=_OWN, label="Hanse"),
        Patch(color=_RIVAL, label="others"),
        mark("|", "median (a goal: orange)"),
        mark("D", "mean (a goal: orange, hollow)"),
        mark("^", "worst (a goal: orange, hollow)"),
        mark(">", "beyond the axis: told beside it"),
        Line2D([], [], color="0.3", label="8 of 10 runs"),
        mark("o", "one run"),
    ]
