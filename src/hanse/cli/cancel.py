"""`hanse cancel`: end a job, wherever its program is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hanse.cli.shared import telling
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import find, job_argument, record_of, recorded
from hanse.cli.shared.output import Output
from hanse.errors import JournalUnavailable

if TYPE_CHECKING:
    from hanse.journal.port import Head
    from hanse.records.state import State


@click.command(cls=Command)
@job_argument
@click.pass_obj
def cancel(out: Output, job: str) -> None:
    """Cancel a job.

    What it has done stays on record. If a program runs the job, it is asked to stop it, and the
    command waits until it did. A job that has ended already is left as it is.
    """
    with recorded(job) as (state, head):
        ended_before = head.ended_s is not None
        if not ended_before:
            _cancel(state, head)
            head = find(state, head.id)
        document = telling.document(head, None) | {"ended_before": ended_before}
        words = f"{head.id} ({head.name}): {'it had ended before: ' if ended_before else ''}"
        shown = f"{words}{head.state}, {telling.items(head)} done"
        out.result(document, lambda: out.say(shown), quiet=[head.id])


def _is_over(state: State, head: Head) -> bool:
    held = state.journal.holder(head.id) is not None
    return not held or find(state, head.id).ended_s is not None


def _cancel(state: State, head: Head) -> None:
    from hanse.cli.shared.asking import ask, wait_until

    if state.journal.holder(head.id) is not None:
        answer = ask(state, head.id, "cancel")
        # What it did is recorded a bit later.
        ended = answer is not None and wait_until(lambda: _is_over(state, head))
        holder = state.journal.holder(head.id)
        if not ended and holder is not None:
            but = "does not answer" if answer is None else "has not ended it yet"
            raise JournalUnavailable(
                f"process {holder.pid} on {holder.host}, which runs job {head.id}, {but}; it will "
                "cancel the job when it can. If it hangs, end that process"
            )
    if find(state, head.id).ended_s is None:  # its program is gone, and did not do it
        from hanse.records.ending import cancel as cancel_record

        record_of(state, head)  # of which something must be there
        cancel_record(state, head)
