"""`hanse cancel`: end a job, wherever its program is."""

from __future__ import annotations

import click

from hanse.cli.shared import telling
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import find, job_argument, recorded
from hanse.cli.shared.output import Output


@click.command(cls=Command)
@job_argument
@click.pass_obj
def cancel(out: Output, job: str) -> None:
    """Cancel a job.

    What it has done stays on record. If a program runs the job, it is asked to stop it, and the
    command waits until it did. A job that has ended already is left as it is.
    """
    with recorded(job) as (side, head):
        ended_before = head.ended_s is not None
        if not ended_before:
            side.cancel(head)
            head = find(side, head.id)
        document = telling.document(head, None) | {"ended_before": ended_before}
        words = f"{head.id} ({head.name}): {'it had ended before: ' if ended_before else ''}"
        shown = f"{words}{head.state}, {telling.items(head)} done"
        out.result(document, lambda: out.say(shown), quiet=[head.id])
