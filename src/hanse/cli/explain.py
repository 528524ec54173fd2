"""`hanse explain`: what a job waits for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hanse.cli.shared import bill, telling
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import job_argument, record_of, recorded
from hanse.cli.shared.output import Output

if TYPE_CHECKING:
    from hanse.cli.shared.side import Side
    from hanse.journal.port import Head, Holder
    from hanse.records.record import JobRecord


@click.command(cls=Command)
@job_argument
@click.pass_obj
def explain(out: Output, job: str) -> None:
    """Say what a job waits for, with numbers.

    The program or the node that runs the job is asked. Of a job that nobody runs its record tells
    what is done, what is left, and how to go on.
    """
    with recorded(job) as (side, head):
        holder = side.holder(head)
        told = explained(side, head, holder)
        document = telling.document(head, holder) | told
        out.result(document, lambda: out.say("\n".join(told["lines"])), quiet=())


def explained(side: Side, head: Head, holder: Holder | None) -> dict[str, Any]:
    """What the job waits for: its "lines", and whether the program that runs it "answered"."""
    answer = side.explain(head) if holder is not None else None
    told = _told(answer) if answer is not None else _from_record(side, head, holder)
    return {"answered": answer is not None} | told


def _told(answer: str) -> dict[str, Any]:
    """The program's own words: JSON with "lines"; anything else is shown as it is."""
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        return {"lines": answer.splitlines()}
    if isinstance(told, dict) and isinstance(told.get("lines"), list):
        return {**told, "lines": [str(row) for row in told["lines"]]}
    lines = told if isinstance(told, list) else [answer]
    return {"lines": [str(row) for row in lines]}


def _from_record(side: Side, head: Head, holder: Holder | None) -> dict[str, Any]:
    from hanse.core.why import bill as bill_of

    record = record_of(side, head)
    lines = [f"{head.id} ({head.name}): {telling.state_of(head, holder)}",
             f"items: {telling.items(head)}"]  # fmt: skip
    if holder is not None:
        lines.append(f"process {holder.pid} on {holder.host} runs it, and does not answer now")
    elif head.ended_s is None:
        left = (head.total or head.size) - head.done - head.failed
        more = "" if head.total is not None else ", and inputs that were not read yet"
        lines.append(f"no program runs it: {left:,} items wait for that{more}")
        lines.append(f"to go on: {record.program.command}   (in {record.program.cwd})")
    elif head.failed:
        lines.append(
            f"it waits for nothing; to run what failed again: hanse retry {head.id} --failed"
        )
    else:
        lines.append("it waits for nothing")
    because = ended_because(record)
    if because:
        lines.append(f"why it ended: {because}")
    lines += bill_of(record.account, head.ended_s is not None)
    return {"lines": lines, "account": bill.document(record.account)}


def ended_because(record: JobRecord) -> str:
    """What ended the job, where that was none of its items."""
    from hanse.core.events import JobEnded

    last = record.facts[-1]
    return last.because if isinstance(last, JobEnded) else ""
