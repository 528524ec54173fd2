"""The timeline of a rehearsal as a PNG. Imports matplotlib, so import this late."""

from __future__ import annotations

from typing import Any, BinaryIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from hanse.cli.shared.simulate_colours import FAULTS, LOST, of_job
from hanse.sim.rehearsal_timeline import Timeline, label, ticks

_NAMED = 60  # machines that can be named beside their rows
_CHARS = 24


def draw(timeline: Timeline, title: str, file: BinaryIO) -> None:
    lanes = timeline.lanes
    height = min(16.0, max(2.6, 1.3 + 0.16 * lanes, 1.3 + 0.2 * len(timeline.rows)))
    figure = Figure(figsize=(11, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _bands(axes, timeline)
    _bars(axes, timeline)
    for row in timeline.rows[1:]:
        axes.axhline(row.first_lane, color="#bbbbbb", linewidth=0.6, zorder=4)
    _axes(axes, timeline, title)
    _legend(figure, timeline)
    figure.savefig(file, format="png", metadata={"Software": None})


def _bars(axes: Any, timeline: Timeline) -> None:
    thick = 0.8 if timeline.lanes <= 200 else 1.0
    for lost in (False, True):
        bars = [bar for bar in timeline.bars if bar.lost is lost]
        shapes = [
            Rectangle(
                (bar.start_ns / 1e9, bar.lane + (1 - thick) / 2),
                (bar.stop_ns - bar.start_ns) / 1e9,
                thick,
            )
            for bar in bars
        ]
        colours = [LOST if lost else of_job(bar.job) for bar in bars]
        axes.add_collection(PatchCollection(shapes, facecolor=colours, edgecolor="none", zorder=2))


def _bands(axes: Any, timeline: Timeline) -> None:
    for band in timeline.bands:
        row = timeline.rows[band.row]
        shape = Rectangle(
            (band.start_ns / 1e9, row.first_lane), (band.stop_ns - band.start_ns) / 1e9, row.lanes,
            facecolor=FAULTS[band.what], alpha=0.45, edgecolor="none", zorder=3,
        )  # fmt: skip
        axes.add_patch(shape)
        axes.plot(
            [band.start_ns / 1e9] * 2, [row.first_lane, row.first_lane + row.lanes],
            color=FAULTS[band.what], linewidth=1.2, zorder=4,
        )  # fmt: skip


def _axes(axes: Any, timeline: Timeline, title: str) -> None:
    axes.set_xlim(0, timeline.end_ns / 1e9)
    axes.set_ylim(timeline.lanes, 0)
    at = ticks(timeline.end_ns)
    axes.set_xticks([ns / 1e9 for ns in at], [label(ns) for ns in at])
    step = -(-len(timeline.rows) // _NAMED)
    rows = timeline.rows[::step]
    names = [_short(row.name) for row in rows]
    axes.set_yticks([row.first_lane + row.lanes / 2 for row in rows], names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(_short(title, 140), loc="left", fontsize=9, parse_math=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure, timeline: Timeline) -> None:
    handles: list[Any] = [
        Patch(facecolor=of_job(n), label=_short(name)) for n, name in enumerate(timeline.jobs[:8])
    ]
    if any(bar.lost for bar in timeline.bars):
        handles.append(Patch(facecolor=LOST, label="failed or lost"))
    seen = {band.what for band in timeline.bands}
    for what, colour in FAULTS.items():
        if what in seen:
            handles.append(Patch(facecolor=colour, alpha=0.4, label=what))
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(8, len(handles)), frameon=False,
        fontsize=8,
    )  # fmt: skip
    for shown in legend.get_texts():
        shown.set_parse_math(False)


def _short(name: str, most: int = _CHARS) -> str:
    """What a font can show, in one line."""
    plain = "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in name)
    return plain if len(plain) <= most else plain[: most - 3] + "..."
