"""The timeline and the tables of a rehearsal as one HTML file that needs nothing else.

Names come from whoever wrote the scenario: they are text, never markup. The page may load nothing
(its policy forbids it), follows the reader's light or dark ground, and zooms along the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hanse.cli.shared.output import line
from hanse.cli.shared.simulate_colours import FAULTS, LOST, of_job
from hanse.core.words import duration
from hanse.sim.rehearsal_timeline import Timeline, label, ticks

_HEIGHT = 1400  # of all lanes, in pixels, as far as they need no more than a pixel each
_TOP, _BOTTOM, _GAP = 4, 24, 3

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c1f23; --dim: #667; --ground: #fff; --line: #d5d8dd; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e8eb; --dim: #9aa3ad; --ground: #16191d; --line: #343a41; }}
}}
body {{ font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }}
h1 {{ font-size: 1.3rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }}
p {{ margin: .2rem 0 1rem; }}
.legend, label {{ color: var(--dim); }}
.legend span {{ display: inline-block; margin-right: 1.2em; }}
.legend i {{ display: inline-block; width: .9em; height: .9em; margin-right: .4em;
  vertical-align: -.1em; border-radius: 2px; }}
.picture {{ display: flex; border: 1px solid var(--line); border-radius: 4px; margin: .6rem 0; }}
.names {{ flex: none; width: 130px; }}
.scroll {{ flex: auto; overflow-x: auto; min-width: 0; }}
.scroll svg {{ width: 100%; display: block; }}
.names svg {{ width: 100%; display: block; }}
text {{ fill: var(--dim); font-size: 11px; }}
.grid {{ stroke: var(--line); }}
.wrong {{ fill-opacity: .45; }}
table {{ border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); }}
th {{ color: var(--dim); font-weight: 600; }}
.text {{ text-align: left; overflow-wrap: anywhere; max-width: 20rem; }}
.wide {{ overflow-x: auto; }}
{colours}</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
<div class="legend">{legend}</div>
<div class="picture"><div class="names">{names}</div><div class="scroll">{svg}</div></div>
<label>zoom <input type="range" min="0" max="6" step="0.1" value="0" aria-label="zoom"></label>
{tables}
<script>
const input = document.querySelector("input"), box = document.querySelector(".scroll");
input.addEventListener("input", () => {{
  const middle = (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth;
  box.firstElementChild.style.width = 100 * 2 ** input.value + "%";
  box.scrollLeft = middle * box.scrollWidth - box.clientWidth / 2;
}});
</script>
</body></html>
"""

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def page(timeline: Timeline, title: str, summary: str, tables: Sequence[Table]) -> str:
    """The whole page."""
    return _PAGE.format(
        title=_text(title),
        summary=_text(summary),
        colours=_colours(len(timeline.jobs)),
        legend=_legend(timeline),
        names=_names(timeline),
        svg=_svg(timeline),
        tables="".join(_table(*each) for each in tables),
    )


def _text(words: str) -> str:
    return escape(line(words))


def _colours(jobs: int) -> str:
    rows = [f".j{n} {{ fill: {of_job(n)}; background: {of_job(n)}; }}" for n in range(jobs)]
    rows.append(f".lost {{ fill: {LOST}; background: {LOST}; }}")
    rows += [
        f".{what} {{ fill: {colour}; background: {colour}; }}" for what, colour in FAULTS.items()
    ]
    return "\n".join(rows) + "\n"


def _legend(timeline: Timeline) -> str:
    shown = [(f"j{n}", name) for n, name in enumerate(timeline.jobs)]
    if any(bar.lost for bar in timeline.bars):
        shown.append(("lost", "failed or lost"))
    seen = {band.what for band in timeline.bands}
    shown += [(what, what) for what in FAULTS if what in seen]
    return "".join(f'<span><i class="{kind}"></i>{_text(name)}</span>' for kind, name in shown)


class _Scale:
    """Where lanes are, from top to bottom, in pixels."""

    def __init__(self, timeline: Timeline) -> None:
        rows, lanes = len(timeline.rows), timeline.lanes
        self.lane = min(16, max(1, (_HEIGHT - rows * _GAP) // lanes, -(-12 * rows // lanes)))
        self.row_of = [n for n, row in enumerate(timeline.rows) for _ in range(row.lanes)]
        self.height = _TOP + lanes * self.lane + rows * _GAP + _BOTTOM

    def y(self, lane: int) -> int:
        return _TOP + lane * self.lane + self.row_of[lane] * _GAP


def _names(timeline: Timeline) -> str:
    scale, parts = _Scale(timeline), []
    for row in timeline.rows:
        y = scale.y(row.first_lane) + row.lanes * scale.lane / 2 + 4
        name = row.name if len(row.name) <= 18 else row.name[:17] + "…"
        told = f"<title>{_text(row.name)}, {row.lanes} cpus {_text(row.region)}</title>"
        parts.append(f'<text x="8" y="{y:g}">{told}{_text(name)}</text>')
    return f'<svg height="{scale.height}">{"".join(parts)}</svg>'


def _svg(timeline: Timeline) -> str:
    scale, end = _Scale(timeline), timeline.end_ns
    parts = []
    for ns in ticks(end):
        x, side = 100 * ns / end, "start" if ns < 0.02 * end else "middle"
        side = "end" if ns > 0.97 * end else side
        bottom = scale.height - _BOTTOM
        parts.append(f'<line class="grid" x1="{x:.4g}%" x2="{x:.4g}%" y1="0" y2="{bottom}"/>')
        parts.append(
            f'<text x="{x:.4g}%" y="{scale.height - 8}" text-anchor="{side}">{label(ns)}</text>'
        )
    for bar in timeline.bars:
        where = _place(scale, bar.start_ns, bar.stop_ns, end, bar.lane, 1)
        kind, lost = ("lost", ", lost") if bar.lost else (f"j{bar.job}", "")
        told = f"{_text(timeline.jobs[bar.job])}{lost}, {_span(bar.start_ns, bar.stop_ns)}"
        parts.append(f'<rect class="{kind}" {where}><title>{told}</title></rect>')
    for band in timeline.bands:
        row = timeline.rows[band.row]
        where = _place(scale, band.start_ns, band.stop_ns, end, row.first_lane, row.lanes)
        told = f"{_text(row.name)}: {band.what}, {_span(band.start_ns, band.stop_ns)}"
        parts.append(f'<rect class="wrong {band.what}" {where}><title>{told}</title></rect>')
        edge = _place(scale, band.start_ns, band.start_ns, end, row.first_lane, row.lanes)
        parts.append(f'<rect class="{band.what}" {edge} style="width:2px"/>')
    return f'<svg height="{scale.height}" role="img">{"".join(parts)}</svg>'


def _place(
    scale: _Scale, start_ns: int, stop_ns: int, end_ns: int, lane: int, lanes: int
) -> str:  # fmt: skip
    thin = 1 if scale.lane > 3 else 0
    x, width = 100 * start_ns / end_ns, 100 * (stop_ns - start_ns) / end_ns
    y, height = scale.y(lane), lanes * scale.lane - thin
    return f'x="{x:.5g}%" y="{y}" width="{width:.5g}%" height="{height}"'


def _span(start_ns: int, stop_ns: int) -> str:
    return f"{duration(start_ns)} to {duration(stop_ns)}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    kinds = ["" if column.startswith(">") else ' class="text"' for column in columns]
    head = "".join(
        f"<th{kind}>{_text(column.lstrip('>~'))}</th>"
        for column, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{_text(c)}</td>" for c, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
