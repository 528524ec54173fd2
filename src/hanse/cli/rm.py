"""`hanse rm`: jobs that shall be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import find, jobs_argument, records
from hanse.cli.shared.output import Output
from hanse.errors import JournalDamaged, JournalUnavailable, NoSuchJob
from hanse.limits import JOBS_LISTED

if TYPE_CHECKING:
    from hanse.journal.port import Head
    from hanse.records.state import State


@click.command(cls=Command)
@jobs_argument
@click.pass_obj
def rm(out: Output, jobs: tuple[str, ...]) -> None:
    """Forget jobs, with all their results and logs.

    If one of them does not exist, or is being run, none is removed.
    """
    from hanse.cli.shared.words import size
    from hanse.records.gc import remove

    with records() as state:
        if state is None:
            raise NoSuchJob(f"there is no job {jobs[0]!r}: no named job has run here yet")
        heads = {head.id: head for head in [_find(state, job) for job in jobs]}
        _refuse_busy(state, list(heads.values()))
        for id in heads:
            remove(state, id)
        freed, why_not = _collect(state)
        document = {"removed": list(heads), "bytes": freed}
        many = f"{len(heads)} job{'s' if len(heads) > 1 else ''}"
        out.result(
            document,
            lambda: out.say(f"{many} removed, {size(freed)} of blobs with them"),
            quiet=heads,
        )
        if why_not:
            out.note(f"hanse: their blobs stay until hanse gc: {why_not}")


def _find(state: State, job: str) -> Head:
    """As `find`; one that is damaged is found by its id, because removing it is the remedy."""
    try:
        return find(state, job)
    except JournalDamaged:
        for head in state.journal.heads(JOBS_LISTED):
            if head.id == job:
                return head
        raise


def _refuse_busy(state: State, heads: list[Head]) -> None:
    from hanse.errors import JobBusy

    for head in heads:
        holder = state.journal.holder(head.id)
        if holder is not None:
            raise JobBusy(
                f"job {head.id} ({head.name}) is run by process {holder.pid} on {holder.host}: "
                f"hanse cancel {head.id} first"
            )


def _collect(state: State) -> tuple[int, str]:
    """Free the bytes that only these jobs needed; a program that writes now may hold that up."""
    try:
        return state.blobs.collect(state.journal.blobs).bytes, ""
    except JournalUnavailable as error:
        return 0, str(error)
