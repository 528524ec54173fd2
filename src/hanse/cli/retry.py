"""`hanse retry`: the failed items of a job, once more."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from hanse.cli.shared import exits, telling
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import go_to, job_argument, record_of, recorded
from hanse.cli.shared.output import Mode, Output
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.journal.port import Head


@click.command(cls=Command)
@job_argument
@click.option("--failed", is_flag=True, required=True, help="The items that failed for good.")
@click.pass_obj
def retry(out: Output, job: str, failed: bool) -> None:
    """Run the failed items of a job again.

    In the directory of its program, with the function as it is recorded; what is done stays done.
    The new results are part of the job, and its program finds them when it asks for the job
    again. Exit code 1 if items fail again.
    """
    with recorded(job) as (side, head):
        directory = record_of(side, head).program.cwd
    # Closed again: a client opens the records by itself.
    if not head.failed:
        raise UsageError(f"job {head.id} ({head.name}) has no failed items")
    go_to(directory)
    _run(out, head)
    with recorded(head.id) as (_, after):
        document = telling.document(after, None) | {"retried": head.failed}
        words = f"{head.failed:,} items were run again: {after.failed:,} of them failed again"
        out.result(document, lambda: out.say(words), quiet=[head.id])
    raise SystemExit(exits.OK if after.state == "done" and not after.failed else exits.FAILED)


def _run(out: Output, head: Head) -> None:
    """Resume the job, and wait for its end, whatever comes of its items."""
    import hanse

    for_people = out.mode is Mode.HUMAN
    # Otherwise stdout is ours alone, and what items print goes to stderr.
    stdout = sys.stdout if for_people else sys.stderr
    with (
        contextlib.redirect_stdout(stdout),
        _progress_shown(for_people),
        hanse.connect() as client,
    ):
        client.resume(head.id, retry_failed=True).join()


@contextlib.contextmanager
def _progress_shown(shown: bool) -> Iterator[None]:
    os.environ["HANSE_PROGRESS"] = "1" if shown else "0"
    try:
        yield
    finally:
        from hanse.client import watcher

        watcher.close()
