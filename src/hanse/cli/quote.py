"""`hanse quote`: what a job would take and cost, beforehand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from hanse.cli.shared import bill, quoted, words
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import record_of, recorded, records
from hanse.cli.shared.output import Output
from hanse.errors import UsageError, error_of

if TYPE_CHECKING:
    from hanse.client.quoting import Answer, Sample, Wanted
    from hanse.model.aims import Aims
    from hanse.model.quote import Row

_PATIENCE_S: Final = 10.0
_SURE: Final = {"sure": "yes", "even": "perhaps", "no": "no", "unknown": "?"}


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.option("--deadline", metavar="TIME", help="Seconds, or text such as 30min or 2h.")
@click.option("--objective", type=click.Choice(["fastest", "cheapest"]), help="Every site that "
              "helps, or the cheapest that meet the deadline.")  # fmt: skip
@click.option("--budget", type=float, metavar="N", help="What it may cost.")
@click.option("--regions", metavar="A,B", help="Where it may run.")
@click.option("--no-spot", is_flag=True, help="Not at sites that can be taken away.")
@click.option("--sample", type=click.IntRange(0), default=40, show_default=True, metavar="N",
              help="Items at most that are run to see how long they take; a fortieth of all if "
              "that is less.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, 1e6), default=30.0, show_default=True,
              metavar="N", help="How long they may run.")  # fmt: skip
@click.argument("target", metavar="SCRIPT|JOB")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def quote(
    out: Output, target: str, args: tuple[str, ...], deadline: str | None,
    objective: Literal["fastest", "cheapest"] | None, budget: float | None, regions: str | None,
    no_spot: bool, sample: int, seconds: float,
) -> None:  # fmt: skip
    """Say what a job would take and cost, and submit nothing.

    Of a job that is recorded, what is left of it, by what was learnt. A script runs up to its first
    map; a small sample of that is run where the job would run, unless it has a name under which
    items of it were timed before. What it prints goes to stderr. What is not asked for is as the
    map has it.

    For several deadlines: how long, how dear, at which sites, which machines would be rented for it
    and when, and how sure that is.
    """
    from hanse.client.aims import aims_of
    from hanse.client.quoting import Wanted

    named = None if regions is None else [region.strip() for region in regions.split(",")]
    told = aims_of(None, deadline, budget, named, None)
    wanted = Wanted(
        objective=objective, regions=named, spot=False if no_spot else None,
        deadline_ns=None if told is None else told.deadline_ns,
        budget_nano=None if told is None else told.budget_nano,
    )  # fmt: skip
    if target.endswith(".py") or Path(target).is_file():
        answer = _of_script(target, args, wanted, sample, seconds)
    else:
        answer = _of_job(target, wanted)
    _show(out, answer)


def _of_job(target: str, wanted: Wanted) -> Answer:
    from msgspec.structs import replace

    import hanse
    from hanse.client.quoting import Answer, left_of, rows, unread
    from hanse.model.aims import Aims

    with recorded(target) as (side, head):
        record = record_of(side, head)
    spec = record.job.spec
    own = replace(spec.aims or Aims(), deadline_ns=None, budget_nano=None)
    left, aims = left_of(record, wanted.of(own))
    with hanse.connect() as client:
        found = client._runtime.quote(
            replace(spec, total=left, aims=aims), list(record.timed), rows(aims), head.id,
            unread(record),
        )  # fmt: skip
    return Answer(found, aims, more=head.total is None)


def _of_script(
    target: str, args: tuple[str, ...], wanted: Wanted, sample: int, seconds: float
) -> Answer:
    import msgspec

    from hanse.client.quoting import ASKED, Answer, Ask, Refused, Sample
    from hanse.decoding import from_json

    if not Path(target).is_file():
        raise UsageError(f"there is no script {target}")
    with tempfile.TemporaryDirectory(prefix="hanse-quote-") as directory:
        place = Path(directory) / "answer"
        ran = Path(directory) / "sample"
        ask = Ask(str(place), str(ran), wanted, sample, seconds)
        environment = {**os.environ, ASKED: msgspec.json.encode(ask).decode()}
        try:
            code = _run(quoted.command(target, args), environment)
        finally:
            if ran.exists():
                _forget(from_json(ran.read_bytes(), Sample))
        if not place.exists():
            how = f"ended with exit code {code}" if code else "made no map"
            raise UsageError(f"{target} {how}, so there is nothing to quote")
        told = from_json(place.read_bytes(), Answer | Refused)
    if isinstance(told, Refused):
        raise error_of(told.code, told.words) or UsageError(told.words)
    return told


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Its exit code. On Ctrl-C, which the program gets too, as soon as it can take it, it has some
    time to end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with subprocess.Popen(command, env=environment, stdout=sys.stderr) as ran:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                return ran.wait()
            except KeyboardInterrupt:
                try:
                    ran.wait(_PATIENCE_S)
                except subprocess.TimeoutExpired:
                    ran.kill()
                raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget(sample: Sample) -> None:
    """The sample has served, or nobody waits for it any more."""
    from hanse.remote.finding import HERE

    with records(url=sample.url or HERE) as side:
        head = side.journal.find(sample.name) if side is not None else None
        if side is None or head is None:
            return
        if head.ended_s is None:
            side.cancel(head)
        side.remove([head.id])


def _show(out: Output, answer: Answer) -> None:
    from msgspec import to_builtins

    found, wanted = answer.quote, answer.wanted
    document: dict[str, Any] = to_builtins(found) | {
        "more": answer.more, "trouble": answer.trouble,
    }  # fmt: skip

    def human() -> None:
        out.say(_heading(answer))
        if found.items and found.rows:
            heads = ["deadline", "ends in", "at most", "cost", "at most", "in time", "sites"]
            if wanted.budget_nano is not None:
                heads.insert(6, "in budget")
            out.table(heads, [_cells(row, wanted) for row in found.rows])
            for line in _about(_asked(found.rows, wanted)):
                out.say(line)
        if answer.trouble:
            out.say(f"The sample: {answer.trouble}")
        if found.beside and found.rows:
            out.say(f"Beside what runs now: {', '.join(found.beside)}. It would have its part of "
                    "their slots, by weight")  # fmt: skip
        for site, why in found.refused.items() if found.items else ():
            out.say(f"{site} would get nothing: {why}")
        for offer, why in found.unrented.items():
            out.say(f"No {offer} can be rented for it now: {why}")

    out.result(document, human, quiet=())


def _heading(answer: Answer) -> str:
    found = answer.quote
    items = f"{found.items:,}{' or more' if answer.more else ''} items"
    if not found.items:
        return f"Nothing is left to do{' of what has come so far' if answer.more else ''}."
    if found.item_s is not None and found.rows:
        return (
            f"{items} at {words.duration(found.item_s)} each (\N{PLUS-MINUS SIGN}"
            f"{words.duration(found.spread)}), by {found.timed:,} that were timed:\n"
        )
    if found.rows:
        return (
            f"{items}, of which none was timed, as no site can run it. Rented for it would be, at "
            "first:\n"
        )
    if not found.able:
        return f"{items}, and no site can run it: nothing can be said."
    return f"{items}, of which none was timed: nothing can be said."


def _asked(rows: Sequence[Row], wanted: Aims) -> Row:
    """The row that was asked for; without a deadline, the last one: at leisure."""
    from hanse.limits import SECOND

    deadline_ns = wanted.deadline_ns
    deadline_s = None if deadline_ns is None else deadline_ns / SECOND
    return next((row for row in rows if row.deadline_s == deadline_s and deadline_s), rows[-1])


def _about(row: Row) -> Iterator[str]:
    """What else is to be said of it."""
    from hanse.model.resources import format_bytes

    for site in row.sites:
        if site.moved_bytes:
            yield (
                f"{format_bytes(site.moved_bytes)} would come to {site.site} from other regions: "
                f"{bill.amount(site.moved_cost)} of its cost"
            )
    for each in row.machines:
        when = f"in {words.duration(each.asked_s)}" if each.asked_s else "now"
        yield (
            f"{each.count} {each.offer} would be rented {when}, and work in "
            f"{words.duration(each.up_s)}: {bill.amount(each.cost)}"
            + (
                f" for {100 * each.share:.0f}% of the work"
                if row.end_s is not None
                else " at least"
            )
        )
    if row.renting and not row.machines:
        yield f"No machine would be rented: {row.renting[0]}"
    if row.sooner is not None:
        yield f"To finish an hour earlier would cost {bill.amount(row.sooner)} more"


def _cells(row: Row, wanted: Aims) -> list[str]:
    whole = "none, fastest" if row.objective == "fastest" else "none, cheapest"
    sites = [f"{each.site} {100 * each.share:.0f}%" for each in row.sites]
    timed = row.end_s is not None
    sites += [
        f"{each.count} {each.offer}" + f" {100 * each.share:.0f}%" * timed for each in row.machines
    ]
    cells = [
        whole if row.deadline_s is None else words.duration(row.deadline_s),
        words.duration(row.end_s) if row.end_s is not None else "?",
        words.duration(row.end_high_s) if row.end_high_s is not None else "?",
        bill.amount(row.cost), bill.amount(row.cost_high) if timed else "?",
        "" if row.deadline_s is None else _SURE[row.met],
    ]  # fmt: skip
    budget = [_SURE[row.paid]] if wanted.budget_nano is not None else []
    return [*cells, *budget, ", ".join(sites)]
