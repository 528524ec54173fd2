"""The picture of a rehearsal as plain shapes: one row for each machine, in it one lane for each
cpu, bars for leases, bands for what went wrong. Drawing them is up to others.

There are never more than TIMELINE_BARS bars: those of one job that are closest to each other in a
lane are joined, and then look like one.
"""

from __future__ import annotations

from dataclasses import dataclass

from hanse import limits
from hanse.sim.rehearsal import Rehearsal

_BANDS = 2000  # the longest ones are shown
_SHARPNESS = 1500  # bars closer than this part of the whole look like one anyway


@dataclass(frozen=True)
class Bar:
    """A lease, or several that follow each other. `lane` counts over all machines."""

    lane: int
    job: int
    lost: bool  # it did not count
    start_ns: int
    stop_ns: int


@dataclass(frozen=True)
class Band:
    """Something that was wrong with a machine."""

    row: int
    what: str
    start_ns: int
    stop_ns: int


@dataclass(frozen=True)
class Row:
    """A machine."""

    name: str
    region: str
    first_lane: int
    lanes: int


@dataclass(frozen=True)
class Timeline:
    rows: list[Row]
    lanes: int
    jobs: list[str]
    bars: list[Bar]
    bands: list[Band]
    end_ns: int


def timeline(rehearsal: Rehearsal) -> Timeline:
    rows, lanes = [], 0
    for site in rehearsal.books.sites.values():
        rows.append(Row(site.name, site.kind.region, lanes, site.kind.cpus))
        lanes += site.kind.cpus
    place = {row.name: number for number, row in enumerate(rows)}
    end_ns = max(1, rehearsal.ended_ns)
    bands = [
        Band(place[mark.site], mark.what, mark.start_ns, min(mark.stop_ns, end_ns))
        for mark in rehearsal.books.marks
        if mark.start_ns < end_ns
    ]
    bands = sorted(sorted(bands, key=_length)[:_BANDS], key=lambda band: (band.row, band.start_ns))
    jobs = [str(job) for job in rehearsal.books.jobs]
    bars = _few(_bars(rehearsal, rows, place), end_ns)
    return Timeline(rows, lanes, jobs, bars, bands, end_ns)


def _length(band: Band) -> tuple[int, int, int, str]:
    """The longest first."""
    return band.start_ns - band.stop_ns, band.row, band.start_ns, band.what


def _bars(rehearsal: Rehearsal, rows: list[Row], place: dict[str, int]) -> list[Bar]:
    job_at = {job: number for number, job in enumerate(rehearsal.books.jobs)}
    bars = []
    for lease in rehearsal.books.leases.values():
        first, job = rows[place[lease.site]].first_lane, job_at[lease.job]
        spans = [
            (lease.begun_ns, lease.reported_ns, not lease.useful_ns),
            (lease.reported_ns, lease.ended_ns, True),
        ]
        for start_ns, stop_ns, lost in spans:
            if stop_ns > start_ns:
                bars += [Bar(first + n, job, lost, start_ns, stop_ns) for n in lease.lanes]
    return sorted(bars, key=lambda bar: (bar.lane, bar.start_ns, bar.stop_ns, bar.job))


def _few(bars: list[Bar], end_ns: int) -> list[Bar]:
    """No more than can be drawn, in the order of lanes."""
    gap_ns = end_ns // _SHARPNESS
    joined = _joined(bars, gap_ns)
    while len(joined) > limits.TIMELINE_BARS and gap_ns < end_ns:
        gap_ns = 2 * gap_ns + 1
        joined = _joined(bars, gap_ns)
    return joined[: limits.TIMELINE_BARS]


def _joined(bars: list[Bar], gap_ns: int) -> list[Bar]:
    out: list[Bar] = []
    for bar in bars:
        last = out[-1] if out else None
        if (
            last is not None
            and (last.lane, last.job, last.lost) == (bar.lane, bar.job, bar.lost)
            and bar.start_ns - last.stop_ns <= gap_ns
        ):
            stop_ns = max(last.stop_ns, bar.stop_ns)
            out[-1] = Bar(bar.lane, bar.job, bar.lost, last.start_ns, stop_ns)
        else:
            out.append(bar)
    return out


def ticks(end_ns: int) -> list[int]:
    """Round times for the axis, four to ten of them."""
    step_ns = 1
    for step_ns in _STEPS:
        if end_ns // step_ns <= 8:
            break
    return list(range(0, end_ns + 1, step_ns))


_STEPS = [
    *(factor * 10**power for power in range(10) for factor in (1, 2, 5)),
    *(seconds * limits.SECOND for seconds in (10, 20, 30, 60, 120, 300, 600, 1200, 1800)),
    *(hours * 3600 * limits.SECOND for hours in (1, 2, 3, 6, 12, 24, 48, 120, 240, 720, 1440)),
]


def label(ns: int) -> str:
    """A time on the axis."""
    seconds, rest = divmod(ns, limits.SECOND)
    if rest or seconds < 120:
        return f"{ns / limits.SECOND:g} s"
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours or seconds else f"{minutes} min"
