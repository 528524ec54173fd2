"""`hanse logs`: what a job's items printed."""

from __future__ import annotations

import click

from hanse.cli.command import Command
from hanse.cli.lookup import job_argument
from hanse.cli.output import Output


@click.command(cls=Command)
@job_argument
@click.option("--item", type=click.IntRange(0), metavar="N", help="Only of this item.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends.")
@click.pass_obj
def logs(out: Output, job: str, item: int | None, follow: bool) -> None:
    """Show what a job's items printed."""
    raise NotImplementedError
