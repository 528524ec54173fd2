"""`hanse simulate`: a scenario of sites, jobs and faults, rehearsed in virtual time."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hanse.cli.shared import bill, exits
from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output
from hanse.errors import UsageError
from hanse.limits import REHEARSED_BYTES, REHEARSED_STEPS

if TYPE_CHECKING:
    from hanse.sim.rehearsal import Rehearsal
    from hanse.sim.rehearsal_books import SiteBook
    from hanse.sim.rehearsal_bound import Bound
    from hanse.sim.rehearsal_scenario import Scenario

_FILE = click.Path(path_type=Path, dir_okay=False)
_THERE = click.Path(path_type=Path, dir_okay=False, exists=True)
_JOBS: Final = ("~job", ">items", ">failed", "state", ">submitted", ">ended", ">bound", ">factor")
_SITES: Final = ("~site", "~region", ">machines", ">cpus", ">items", ">use", ">twice", ">leases",
                 ">evictions", ">cost")  # fmt: skip


@click.command(cls=Command)
@click.argument("scenario", type=_THERE)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
              help="Another seed, other luck.")  # fmt: skip
@click.option("--png", type=_FILE, metavar="FILE", help="Draw the timeline.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write timeline and tables as a page.")
@click.option("--like", metavar="JOB", help="Give the first job the times that this one took.")
@click.pass_obj
def simulate(
    out: Output, scenario: Path, seed: int, png: Path | None, html: Path | None, like: str | None
) -> None:
    """Rehearse a scenario: what time and money do its jobs take?

    SCENARIO is a TOML file with the tables [[site]], [[job]] and [[fault]]; docs/simulate.md
    explains each key, and examples/scenarios has three to begin with. The real scheduler runs it in
    virtual time: nothing is started, and hours pass in seconds. The same seed, the same result.

    The bound is the time that no schedule could beat: all work spread evenly over all cpus, or the
    longest item. The exit code is 1 if items fail for good or a job does not end.
    """
    from hanse.sim.rehearsal import rehearse
    from hanse.sim.rehearsal_scenario import parse

    draw_png = _png_writer() if png is not None else _nothing
    for path in (png, html):
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")
    plan = parse(_read(scenario))
    if like is not None:
        plan = _like(plan, like)
    rehearsal = rehearse(plan, seed)
    title = f"{scenario.name}, seed {seed}"
    out.result(_document(rehearsal), lambda: _show(out, rehearsal), quiet=())
    for words in (_unfinished(rehearsal), _failed(rehearsal)):
        if words:
            out.note(f"hanse: {words}")
    _write(png, lambda: _drawn(rehearsal, title, draw_png))
    _write(html, lambda: _page(rehearsal, title).encode())
    if any(job.state != "done" or job.failed for job in rehearsal.books.jobs.values()):
        raise click.exceptions.Exit(exits.FAILED)


def _write(path: Path | None, made: Callable[[], bytes]) -> None:
    """Raises OSError, which names the file also where the system does not."""
    if path is None:
        return
    data = made()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _drawn(rehearsal: Rehearsal, title: str, draw: Callable[..., None]) -> bytes:
    from hanse.sim.rehearsal_timeline import timeline

    file = io.BytesIO()
    draw(timeline(rehearsal), f"{title}: {_summary(rehearsal)}", file)
    return file.getvalue()


def _read(path: Path) -> str:
    with open(path, "rb") as file:
        data = file.read(REHEARSED_BYTES + 1)
    if len(data) > REHEARSED_BYTES:
        raise UsageError(f"{path} has more than {REHEARSED_BYTES:,} bytes: that is no scenario")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (at byte {error.start})") from None


def _like(scenario: Scenario, job: str) -> Scenario:
    from hanse.cli.shared.lookup import recorded
    from hanse.records.tally import usage_of

    with recorded(job) as (_, head):
        return scenario.like(usage_of(head))


def _png_writer() -> Any:
    try:
        from hanse.cli.shared.simulate_png import draw
    except ImportError as error:
        raise UsageError(
            f"drawing a PNG needs matplotlib ({error}): pip install 'hanse[plots]', or write a "
            "page with --html, which needs nothing"
        ) from None
    return draw


def _nothing(*_: Any) -> None:
    """No PNG is wanted."""


def _page(rehearsal: Rehearsal, title: str) -> str:
    from hanse.cli.shared.simulate_html import page
    from hanse.sim.rehearsal_timeline import timeline

    tables = ((_JOBS, _job_rows(rehearsal)), (_SITES, _site_rows(rehearsal)))
    return page(timeline(rehearsal), title, _summary(rehearsal), tables)


# --- for people ---------------------------------------------------------------------------------
def _show(out: Output, rehearsal: Rehearsal) -> None:
    out.table(_JOBS, _job_rows(rehearsal))
    out.say()
    out.table(_SITES, _site_rows(rehearsal))
    out.say()
    out.say(_summary(rehearsal))


def _summary(rehearsal: Rehearsal) -> str:
    ended_s, bound_s = rehearsal.ended_ns / 1e9, rehearsal.bound.seconds
    end = "All ends after" if rehearsal.whole else "Not all has ended after"
    return (
        f"{end} {_time(ended_s)}, {_factor(ended_s, bound_s)} x the bound of {_time(bound_s)}. "
        f"Cost {bill.amount(rehearsal.cost)}. Done twice: {100 * rehearsal.share_twice:.1f}% of "
        "the work."
        f"{_moved(rehearsal)}{''.join(_unkept(rehearsal))}"
    )


def _unkept(rehearsal: Rehearsal) -> Iterator[str]:
    """Deadlines that were missed, and budgets that ended a job."""
    for kind, book in zip(rehearsal.scenario.jobs, rehearsal.books.jobs.values(), strict=True):
        over_s = book.ended_ns / 1e9 - kind.submitted_s - kind.deadline_s
        if book.state == "done" and over_s > 0:
            yield f" {kind.name} was {_time(over_s)} late."
        elif book.state == "failed" and not book.failed and math.isfinite(kind.budget):
            yield f" The budget of {kind.name} ended it after {book.done:,} of its items."


def _moved(rehearsal: Rehearsal) -> str:
    from hanse.cli.shared.words import size

    jobs = rehearsal.books.jobs.values()
    nbytes = sum(job.moved_bytes for job in jobs)
    cost = sum(job.moved_cost for job in jobs)
    return f" {size(nbytes)} went to other regions, for {bill.amount(cost)}." if nbytes else ""


def _unfinished(rehearsal: Rehearsal) -> str:
    left = [str(job) for job, book in rehearsal.books.jobs.items() if book.ended_ns < 0]
    if not left:
        return ""
    if rehearsal.steps < REHEARSED_STEPS:
        return (
            f"{', '.join(left)} did not end: nothing more can happen, for no site is left that "
            "could run an item or be heard of. Do all of them stop, or fail for good?"
        )
    return (
        f"{', '.join(left)} did not end: after {rehearsal.steps:,} steps the rehearsal was "
        "given up. Do all sites stay cut off? Else take fewer or longer items"
    )


def _failed(rehearsal: Rehearsal) -> str:
    parts = [
        f"{book.failed:,} of {kind.items:,} items of {kind.name}"
        for kind, book in zip(rehearsal.scenario.jobs, rehearsal.books.jobs.values(), strict=True)
        if book.failed
    ]
    return f"failed for good: {', '.join(parts)}" if parts else ""


def _job_rows(rehearsal: Rehearsal) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind, (id, book) in zip(rehearsal.scenario.jobs, rehearsal.books.jobs.items(), strict=True):
        bound_s, ended_s = rehearsal.bounds[id].seconds, book.ended_ns / 1e9
        rows.append(
            (kind.name, f"{kind.items:,}", f"{book.failed:,}", book.state,
             _time(kind.submitted_s), _time(ended_s) if book.ended_ns >= 0 else "",
             _time(bound_s), _factor(ended_s - kind.submitted_s, bound_s - kind.submitted_s))
        )  # fmt: skip
    return rows


def _site_rows(rehearsal: Rehearsal) -> list[tuple[str, ...]]:
    return [
        (row["name"], row["region"], f"{row['machines']:,}", f"{row['cpus']:,}",
         f"{row['items']:,}", f"{100 * row['use']:.1f}%", f"{100 * row['twice']:.1f}%",
         f"{row['leases']:,}", f"{row['evictions']:,}", bill.amount(row['cost']))
        for row in _sites(rehearsal)
    ]  # fmt: skip


def _time(seconds: float) -> str:
    from hanse.core.words import duration

    if not math.isfinite(seconds):
        return "never"
    return f"{seconds:.1f} s" if seconds < 120 else duration(round(seconds * 1e9))


def _factor(taken_s: float, bound_s: float) -> str:
    return f"{taken_s / bound_s:.3f}" if taken_s > 0 and 0 < bound_s < math.inf else "-"


# --- for programs -------------------------------------------------------------------------------
def _document(rehearsal: Rehearsal) -> dict[str, Any]:
    """Fields may be added, and none is taken away. Times are seconds from the start."""
    return {
        "seed": rehearsal.seed,
        "ended_s": rehearsal.ended_ns / 1e9 if rehearsal.whole else None,
        "bound_s": _finite(rehearsal.bound),
        "cost": rehearsal.cost,
        "twice": rehearsal.share_twice,
        "jobs": [_job(rehearsal, number) for number in range(len(rehearsal.scenario.jobs))],
        "sites": _sites(rehearsal),
        "machines": [_machine(site) for site in rehearsal.books.sites.values()],
        "faults": [
            {"machine": mark.site, "what": mark.what, "at_s": mark.start_ns / 1e9}
            for mark in rehearsal.books.marks
        ],
    }


def _finite(bound: Bound) -> float | None:
    return bound.seconds if math.isfinite(bound.seconds) else None


def _job(rehearsal: Rehearsal, number: int) -> dict[str, Any]:
    kind = rehearsal.scenario.jobs[number]
    id, book = list(rehearsal.books.jobs.items())[number]
    bound = rehearsal.bounds[id]
    return {
        "name": kind.name, "items": kind.items, "done": book.done, "failed": book.failed,
        "state": book.state, "submitted_s": kind.submitted_s,
        "ended_s": book.ended_ns / 1e9 if book.ended_ns >= 0 else None,
        "bound_s": _finite(bound), "work_s": bound.work_s, "longest_s": bound.longest_s,
        "moved_bytes": book.moved_bytes, "moved_cost": book.moved_cost,
    }  # fmt: skip


def _sites(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """One for each [[site]], whatever its count."""
    books, rows = rehearsal.books.sites, []
    for kind in rehearsal.scenario.sites:
        own = [books[name] for name in kind.names()]
        busy_ns = sum(site.busy_ns for site in own)
        up_ns = sum(site.up_ns for site in own) * kind.cpus
        rows.append({
            "name": kind.name, "region": kind.region, "machines": kind.count,
            "cpus": kind.count * kind.cpus, "items": sum(site.items for site in own),
            "use": busy_ns / up_ns if up_ns else 0.0,
            "twice": sum(site.twice_ns for site in own) / busy_ns if busy_ns else 0.0,
            "leases": sum(site.leases for site in own),
            "evictions": sum(site.evictions for site in own),
            "cost": sum(site.cost for site in own),
        })  # fmt: skip
    return rows


def _machine(site: SiteBook) -> dict[str, Any]:
    return {
        "name": site.name, "site": site.kind.name, "region": site.kind.region,
        "cpus": site.kind.cpus, "items": site.items, "leases": site.leases,
        "evictions": site.evictions, "up_s": site.up_ns / 1e9, "busy_s": site.busy_ns / 1e9,
        "useful_s": site.useful_ns / 1e9, "failed_s": site.failed_ns / 1e9,
        "twice_s": site.twice_ns / 1e9, "use": site.use, "cost": site.cost,
    }  # fmt: skip
