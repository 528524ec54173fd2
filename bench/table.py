"""RESULTS.md, and the short table of `quick`, from recorded figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.figures import Record, Runs, read
from bench.measures import FAMILIES, rows
from bench.measures.measure import Measure
from bench.peers import ENTRIES

MEASURES = [measure for family in FAMILIES for measure in rows(family)]
NO_PEER = "alone"  # stands in the table for comparison; nobody is ahead of it or behind it
SAID_AT_MOST = 110
EVEN = 0.02  # a difference this small is no difference
HEAD = """\
# Hanse beside its peers

Written by `make bench`, of the figures that it recorded. A round gives every
contestant its turn, in a process of its own (A B C A B C ...), with its workers up and warm before
the clock starts, at the settings listed below; nothing else of it runs meanwhile. Figures are
medians, with the smallest and the largest, and how often each ran: work that takes a contestant
long is repeated less often, and one that would need over 20 s is given a tenth of the items (rates
are per second either way). Every answer is checked for equality; a wrong one would be no figure.
"""
QUICK = """\
These are trial figures: smaller sizes than the titles say, few rounds, no heavy peers. Goals are
meant for `make bench`."""
REPEAT = """\
## How to repeat it

`make bench` installs the peers into environments of their own under `bench/.venvs` and runs
everything; each single figure goes to `bench/results/`. `make bench-quick` takes under two minutes:
the light peers, less work. `bench/.venvs/light/bin/python -m bench run --help` shows how to choose
peers, measures and rounds. What a measure is stands in `bench/measures/`, how a peer does it in
`bench/peers/`: a new peer is one file there.

What the words mean. *Over the bound*: the time over that of all the work spread evenly over all
workers. *Memory*: proportional set size, so shared pages are counted once; *idle*: one second after
the last of some small calls. *Lost work*: what the killed worker had done of its item. *First
result*: of a fresh process, one call, from before the peer's import to its result in hand.
"""


def full(path: Path) -> str:
    """The whole page."""
    record = read(path)
    parts = [HEAD, _machine(record), "## Goals\n", *_goals(record), "", *_ahead(record),
             "## All figures\n", *_all(record), "", *_troubles(record),
             "## Spread\n", *_spread(record), "", *_settings(record), REPEAT]  # fmt: skip
    return "\n".join(parts)


def quick(path: Path) -> str:
    """Only the tables, for a terminal."""
    record = read(path)
    return "\n".join(["", *_goals(record), "", *_all(record), "", QUICK])


# --- parts --------------------------------------------------------------------------------------
def _machine(record: Record) -> str:
    on = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    missing = "".join(f" Left out: {ENTRIES[k].name} ({why})." for k, why in on["missing"].items())
    return (
        f"{on['date']}, commit {on['commit']}: {on['processor']}, {on['cores']} cores "
        f"({on['workers']} workers), {on['memory_gb']} GB, {on['system']}, {on['python']}, "
        f"{versions}. Load before the run: {on['load_before']:.1f}.{missing}{_noise(on)}"
        f"{_parts(record)}\n"
    )


def _parts(record: Record) -> str:
    """That the figures of one file are not all from one run, if so."""
    if record.parts < 2:
        return ""
    return f"\n\n**Put together from {record.parts} runs**: not all contestants took turns at once."


def _noise(on: dict[str, Any]) -> str:
    """A word of warning where the machine was not ours alone."""
    if on["load_before"] < on["cores"] / 2:
        return ""
    return (
        "\n\n**Other programs kept this machine busy during the run**: figures are lower than on a "
        "quiet one, by different amounts, and ratios are rough."
    )


def _goals(record: Record) -> Iterator[str]:
    """Each measure: the goal, Hanse's figure, and the best of the peers."""
    yield from _row("work", "goal", "Hanse", "best peer", "Hanse is ahead by", "goal")
    yield "|---|---|---|---|---|---|"
    figures = record.figures()
    for measure in _shown(record):
        own = record.medians(measure.key).get("hanse")
        best = _best(measure, record)
        met = measure.met(figures)
        yield from _row(
            measure.title, measure.goal or "-",
            _told(own, measure.unit) if own is not None else _why(record, measure, "hanse"),
            "-" if best is None else f"{_told(best[1], measure.unit)}, {ENTRIES[best[0]].name}",
            "-" if best is None or own is None else f"{_lead(measure, own, best[1]):.2f} x",
            {None: "-", True: "met", False: "**not met**"}[met],
        )  # fmt: skip


def _ahead(record: Record) -> Iterator[str]:
    """Where a peer is ahead, in plain words."""
    lines = []
    for measure in _shown(record):
        own = record.medians(measure.key).get("hanse")
        peers = record.medians(measure.against or measure.key)
        better = [
            f"{ENTRIES[peer].name} ({1 / lead:.2f} x)"
            for peer, value in peers.items()
            if own is not None and peer not in ("hanse", NO_PEER)
            and (lead := _lead(measure, own, value)) < 1 - EVEN
        ]  # fmt: skip
        if better:
            lines.append(f"- {measure.title}: {', '.join(better)}")
    if lines:
        yield "Where a peer is ahead of Hanse, and by how much:\n"
        yield from lines
        yield ""


def _all(record: Record) -> Iterator[str]:
    peers = _peers(record)
    yield from _row("work", "unit", *(ENTRIES[peer].name for peer in peers))
    yield "|---" * (len(peers) + 2) + "|"
    for measure in _shown(record):
        medians = record.medians(measure.key)
        yield from _row(
            measure.title, measure.unit,
            *(_format(medians[p], measure.unit) if p in medians else _why(record, measure, p)
              for p in peers),
        )  # fmt: skip


def _spread(record: Record) -> Iterator[str]:
    """Smallest and largest, and how many."""
    peers = _peers(record)
    yield from _row("work", *(ENTRIES[peer].name for peer in peers))
    yield "|---" * (len(peers) + 1) + "|"
    for measure in _shown(record):
        known = record.runs[measure.key]
        yield from _row(
            measure.title, *(_range(known[p], measure.unit) if p in known else "" for p in peers)
        )


def _troubles(record: Record) -> Iterator[str]:
    """What failed or hung, with its own words; what is not offered, once per reason."""
    lines: dict[str, None] = {}
    for measure in _shown(record):
        for peer, runs in record.runs[measure.key].items():
            if runs.trouble and peer != NO_PEER and runs.said:
                said = " ".join(runs.said.split())[:SAID_AT_MOST]
                what = "" if runs.trouble == "not offered" else f" {measure.title}:"
                lines[f"- {ENTRIES[peer].name},{what} {runs.trouble}: {said}"] = None
    if lines:
        yield "What has no figure, and why:\n"
        yield from lines
        yield ""


def _settings(record: Record) -> Iterator[str]:
    yield "## Settings\n"
    for peer in _peers(record):
        if peer in record.settings:
            yield f"- **{ENTRIES[peer].name}**: {record.settings[peer]}"
    yield ""


# --- cells --------------------------------------------------------------------------------------
def _shown(record: Record) -> list[Measure]:
    return [measure for measure in MEASURES if record.runs.get(measure.key)]


def _peers(record: Record) -> list[str]:
    return [p for p in ENTRIES if any(p in record.runs[m.key] for m in _shown(record))]


def _lead(measure: Measure, own: float, peer: float) -> float:
    """Above one where Hanse is ahead."""
    return own / peer if measure.more_is_better else peer / own


def _best(measure: Measure, record: Record) -> tuple[str, float] | None:
    figures = record.medians(measure.against or measure.key).items()
    peers = [(p, value) for p, value in figures if p not in ("hanse", NO_PEER)]
    if not peers:
        return None
    return (max if measure.more_is_better else min)(peers, key=lambda each: each[1])


def _why(record: Record, measure: Measure, peer: str) -> str:
    runs = record.runs[measure.key].get(peer)
    return "" if runs is None or runs.trouble == "not offered" else f"*{runs.trouble}*"


def _range(runs: Runs, unit: str) -> str:
    if not runs.values:
        return ""
    low, high = min(runs.values), max(runs.values)
    return f"{_format(low, unit)} to {_format(high, unit)} ({len(runs.values)})"


def _format(value: float, unit: str) -> str:
    """Three figures, with what makes large rates readable."""
    if unit == "items/s" and value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if unit == "items/s" and value >= 1e4:
        return f"{value / 1e3:.1f}k"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _told(value: float, unit: str) -> str:
    """With its unit."""
    return _format(value, unit) + ("/s" if unit == "items/s" else " " + unit)


def _row(*cells: str) -> Iterable[str]:
    yield "| " + " | ".join(cells) + " |"
