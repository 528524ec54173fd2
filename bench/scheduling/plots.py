"""The table as pictures: one of the schemes side by side, one of every seed of Hanse's own."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduling.run import Line


def plot(lines: Sequence[Line], folder: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    _schemes([line for line in lines if line.peers and "at most" in line.goal], folder)
    _seeds(lines, folder)


def _schemes(lines: Sequence[Line], folder: Path) -> None:
    """Makespan over the bound, less one, on a logarithmic axis: lower is better."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    names = ["Hanse", *lines[0].peers]
    width = 0.8 / len(names)
    for n, name in enumerate(names):
        values = [line.ours if name == "Hanse" else line.peers[name] for line in lines]
        heights = [max(1e-4, statistics.median(each) - 1) for each in values]
        axes.bar([x + n * width for x in range(len(lines))], heights, width, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("time lost, as a share of the bound")
    labels = [textwrap.fill(line.name, 26) for line in lines]
    axes.set_xticks([x + 0.4 for x in range(len(lines))], labels, fontsize=7)
    axes.legend(ncols=3, fontsize=8)
    figure.savefig(folder / "schemes.png", dpi=100, metadata={"Software": None})
    plt.close(figure)


def _seeds(lines: Sequence[Line], folder: Path) -> None:
    """What each seed came to."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    for n, line in enumerate(lines):
        axes.plot(line.ours, [n] * len(line.ours), "o", alpha=0.6)
    axes.set_yticks(
        range(len(lines)), [f"{line.name}\n({line.goal})" for line in lines], fontsize=7
    )
    axes.set_xlabel("quotient")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(folder / "seeds.png", dpi=100, metadata={"Software": None})
    plt.close(figure)
