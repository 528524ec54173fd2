"""The plots that README and RESULTS.md show: speed beside peers, memory over time, scaling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bench.figures import Record, read
from bench.measures import FAMILIES, rows
from bench.measures.scaling import SCALES
from bench.peers import ENTRIES

HERE = Path(__file__).parent
COLOURS = {
    "hanse": "#c0392b", "pool": "#2c3e50", "executor": "#5d7896", "joblib": "#8e6c3a",
    "ray": "#2e86c1", "dask": "#e59866", "spark": "#b7950b", "alone": "#b0b0b0",
}  # fmt: skip
BARS = (
    "map_range", "map_list", "submits", "trip", "first_import", "tree", "chains", "arrays",
    "stream", "words", "uneven", "memory_all",
)  # fmt: skip


def draw(path: Path) -> None:
    """Write speed.png, memory.png and scaling.png beside this file."""
    record = read(path)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    _save(_speed(record), "speed.png")
    if record.series:
        _save(_memory(record), "memory.png")
    if any(record.medians(f"scale_{items}") for items in SCALES):
        _save(_scaling(record), "scaling.png")


def _save(figure: Any, name: str) -> None:
    figure.savefig(HERE / name, dpi=110, bbox_inches="tight")
    plt.close(figure)


def _speed(record: Record) -> Any:
    """One small panel per measure, each with its own scale."""
    titles = {m.key: m for family in FAMILIES for m in rows(family)}
    shown = [key for key in BARS if record.medians(key)]
    lines = -(-len(shown) // 3)
    figure, axes = plt.subplots(lines, 3, figsize=(12, 2.3 * lines), squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, key in zip(axes.flat, shown, strict=False):
        measure, medians = titles[key], record.medians(key)
        order = [peer for peer in ENTRIES if peer in medians][::-1]
        axis.barh([ENTRIES[p].name for p in order], [medians[p] for p in order],
                  color=[COLOURS[p] for p in order])  # fmt: skip
        if max(medians.values()) > 30 * min(medians.values()):
            axis.set_xscale("log")
        better = "more" if measure.more_is_better else "less"
        axis.set_title(f"{measure.title}\n{measure.unit}, {better} is better", fontsize=9)
    figure.tight_layout()
    return figure


def _memory(record: Record) -> Any:
    figure, axis = plt.subplots(figsize=(7, 3.5))
    for peer, series in record.series.items():
        axis.plot([s for s, _ in series], [mb for _, mb in series],
                  color=COLOURS[peer], label=ENTRIES[peer].name)  # fmt: skip
    axis.set_yscale("log")
    axis.set_xlabel("seconds into a stream of 10,000,000 items (fewer for the slow)")
    axis.set_ylabel("MB, all processes")
    axis.legend(frameon=False)
    return figure


def _scaling(record: Record) -> Any:
    figure, axis = plt.subplots(figsize=(7, 3.5))
    for peer in ENTRIES:
        points = [(n, m[peer]) for n in SCALES if peer in (m := record.medians(f"scale_{n}"))]
        if points:
            axis.plot([n for n, _ in points], [ns for _, ns in points], marker="o", markersize=3,
                      color=COLOURS[peer], label=ENTRIES[peer].name)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("items of a trivial map")
    axis.set_ylabel("nanoseconds per item")
    axis.legend(frameon=False)
    return figure
