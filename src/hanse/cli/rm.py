"""`hanse rm`: jobs that shall be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import find, jobs_argument, records
from hanse.cli.shared.output import Output
from hanse.errors import JournalDamaged, NoSuchJob
from hanse.limits import JOBS_LISTED

if TYPE_CHECKING:
    from hanse.cli.shared.side import Side
    from hanse.journal.port import Head


@click.command(cls=Command)
@jobs_argument
@click.pass_obj
def rm(out: Output, jobs: tuple[str, ...]) -> None:
    """Forget jobs, with all their results and logs.

    If one of them does not exist, or is being run, none is removed.
    """
    from hanse.cli.shared.words import size

    with records() as side:
        if side is None:
            raise NoSuchJob(f"there is no job {jobs[0]!r}: no named job has run here yet")
        heads = {head.id: head for head in [_find(side, job) for job in jobs]}
        _refuse_busy(side, list(heads.values()))
        freed, why_not = side.remove(list(heads))
        document = {"removed": list(heads), "bytes": freed}
        many = f"{len(heads)} job{'s' if len(heads) > 1 else ''}"
        out.result(
            document,
            lambda: out.say(f"{many} removed, {size(freed)} of blobs with them"),
            quiet=heads,
        )
        if why_not:
            out.note(f"hanse: their blobs stay until hanse gc: {why_not}")


def _find(side: Side, job: str) -> Head:
    """As `find`; one that is damaged is found by its id, because removing it is the remedy."""
    try:
        return find(side, job)
    except JournalDamaged:
        for head in side.journal.heads(JOBS_LISTED):
            if head.id == job:
                return head
        raise


def _refuse_busy(side: Side, heads: list[Head]) -> None:
    from hanse.errors import JobBusy

    for head in heads:
        holder = side.holder(head)
        if holder is not None:
            raise JobBusy(
                f"job {head.id} ({head.name}) is run by process {holder.pid} on {holder.host}: "
                f"hanse cancel {head.id} first"
            )
