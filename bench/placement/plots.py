"""How far from the optimum each way is, per measure: one plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def plot(lines: list[Any], folder: Path) -> None:
    """Median to worst as a bar, the mean as a mark; one row for each way of each measure."""
    rows = [line for line in lines if line.ratios][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.24 * len(rows) + 1))
    for at, line in enumerate(rows):
        color = "tab:blue" if line.way.startswith("Hanse") else "0.6"
        ordered = sorted(line.ratios)
        axes.plot([ordered[len(ordered) // 2], ordered[-1]], [at, at], color=color, linewidth=4)
        axes.plot([sum(ordered) / len(ordered)], [at], "|", color="black")
    axes.set_yticks(range(len(rows)), [f"{line.measure[:44]}: {line.way}" for line in rows],
                    fontsize=6)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("cost over the optimum: median to worst, mean")
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "placement.png", dpi=130)
    plt.close(figure)
