"""`hanse quote`: what a job would take and cost, beforehand."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hanse.cli.shared import bill, words
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import record_of, recorded, records
from hanse.cli.shared.output import Output
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.client.quoting import Answer
    from hanse.model.aims import Aims
    from hanse.model.quote import Row

_SURE: Final = {"sure": "yes", "even": "perhaps", "no": "no"}


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.option("--deadline", metavar="TIME", help="Seconds, or text such as 30min or 2h.")
@click.option("--budget", type=float, metavar="N", help="What it may cost.")
@click.option("--regions", metavar="A,B", help="Where it may run.")
@click.option("--no-spot", is_flag=True, help="Not at sites that can be taken away.")
@click.option("--sample", default=40, show_default=True, metavar="N", help="Items at most that are "
              "run to see how long they take; a fortieth of all if that is less.")  # fmt: skip
@click.option("--seconds", default=30.0, show_default=True, help="How long they may run.")
@click.argument("target", metavar="SCRIPT|JOB")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def quote(
    out: Output, target: str, args: tuple[str, ...], deadline: str | None, budget: float | None,
    regions: str | None, no_spot: bool, sample: int, seconds: float,
) -> None:  # fmt: skip
    """Say what a job would take and cost, and submit nothing.

    Of a job that is recorded, what is left of it, by what was learnt. A script runs up to its first
    map; a small sample of that is run where the job would run, unless it has a name under which
    items of it were timed before. What it prints goes to stderr. For several deadlines: how long,
    how dear, at which sites, and how sure that is.
    """
    from hanse.client.aims import aims_of

    base = aims_of(None, None, None, regions.split(",") if regions else None, not no_spot)
    wanted = aims_of("cheapest", deadline, budget, None, None)
    assert wanted is not None
    rows = _rows(wanted)
    if target.endswith(".py") or Path(target).is_file():
        answer = _of_script(target, args, rows, base, sample, seconds)
    else:
        answer = _of_job(target, rows, base)
    _show(out, answer, wanted)


def _rows(wanted: Aims) -> list[Aims]:
    """The deadline that is asked for, half and twice of it, and none: in haste, or at leisure."""
    from msgspec.structs import replace

    time_ns = wanted.deadline_ns
    times = [] if time_ns is None else [max(1, time_ns // 2), time_ns, 2 * time_ns]
    return [
        replace(wanted, objective="fastest", deadline_ns=None),
        *(replace(wanted, deadline_ns=each) for each in times),
        replace(wanted, deadline_ns=None),
    ]


def _of_job(target: str, rows: list[Aims], base: Aims | None) -> Answer:
    from msgspec.structs import replace

    import hanse
    from hanse.client.quoting import Answer
    from hanse.model.aims import Aims

    with recorded(target) as (side, head):
        record = record_of(side, head)
    left = max(record.size, head.total or 0) - len(record.settled)
    spec = record.job.spec
    spec = replace(spec, total=left, aims=base or replace(spec.aims or Aims(), deadline_ns=None,
                                                          budget_nano=None))  # fmt: skip
    with hanse.connect() as client:
        found = client._runtime.quote(spec, list(record.timed), rows)
    return Answer(found, more=head.total is None)


def _of_script(
    target: str, args: tuple[str, ...], rows: list[Aims], base: Aims | None, sample: int,
    seconds: float,
) -> Answer:  # fmt: skip
    import msgspec

    from hanse.client.quoting import ASKED, Answer, Ask
    from hanse.model.aims import Aims

    with tempfile.TemporaryDirectory(prefix="hanse-quote-") as directory:
        place = Path(directory) / "answer"
        ask = Ask(str(place), rows, base or Aims(), sample, seconds)
        environment = {**os.environ, ASKED: msgspec.json.encode(ask).decode()}
        ran = subprocess.run(
            [sys.executable, target, *args], env=environment, stdout=sys.stderr, check=False
        )
        if not place.exists():
            how = f"ended with exit code {ran.returncode} and" if ran.returncode else ""
            raise UsageError(f"{target} {how} made no map, so there is nothing to quote")
        answer = msgspec.json.decode(place.read_bytes(), type=Answer)
    if answer.sample:
        _remove(answer.sample)
    return answer


def _remove(sample: str) -> None:
    """The sample has served."""
    from hanse.ids import JobId

    with records() as side:
        if side is not None:
            side.remove([JobId(sample)])


def _show(out: Output, answer: Answer, wanted: Aims) -> None:
    from msgspec import to_builtins

    found = answer.quote
    document: dict[str, Any] = to_builtins(found) | {"more": answer.more}

    def human() -> None:
        more = " or more" if answer.more else ""
        if not found.items:
            out.say("Nothing is left to do.")
        elif found.item_s is None or not found.rows:
            out.say(f"{found.items:,}{more} items are left, and no item was timed, "
                    "or no site may run them: nothing can be said.")  # fmt: skip
        else:
            out.say(f"{found.items:,}{more} items at {words.duration(found.item_s)} each "
                    f"(\N{PLUS-MINUS SIGN}{words.duration(found.spread)}), by {found.timed:,} that "
                    "were timed:\n")  # fmt: skip
            heads = ["deadline", "ends in", "at most", "cost", "at most", "in time", "sites"]
            if wanted.budget_nano is not None:
                heads.insert(6, "in budget")
            out.table(heads, [_cells(row, wanted) for row in found.rows])
        for site, why in found.refused.items():
            out.say(f"{site} would get nothing: {why}")

    out.result(document, human, quiet=())


def _cells(row: Row, wanted: Aims) -> list[str]:
    whole = "none, fastest" if row.objective == "fastest" else "none, cheapest"
    sites = ", ".join(f"{each.site} {100 * each.share:.0f}%" for each in row.sites)
    cells = [
        whole if row.deadline_s is None else words.duration(row.deadline_s),
        words.duration(row.end_s), words.duration(row.end_high_s),
        bill.amount(row.cost), bill.amount(row.cost_high),
        "" if row.deadline_s is None else _SURE[row.met],
    ]  # fmt: skip
    return [*cells, *([_SURE[row.paid]] if wanted.budget_nano is not None else []), sites]
