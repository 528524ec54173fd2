"""`hanse gc`: old records, and bytes that nothing refers to."""

from __future__ import annotations

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import local_records
from hanse.cli.shared.output import Output
from hanse.cli.shared.words import Age, size
from hanse.limits import ENVIRONMENT_AGE_S, RECORDS_AGE_S, RECORDS_KEPT


@click.command(cls=Command)
@click.option("--older-than", type=Age(), metavar="AGE",
              help="Remove all ended jobs older than this, such as 30d, 12h or 10m.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.pass_obj
def gc(out: Output, older_than: float | None, dry_run: bool) -> None:
    """Remove old jobs, and bytes that no job needs.

    Removes jobs whose name a newer job has, ended jobs beyond the bounds, blobs that no job
    refers to, logs of jobs that are gone, and environments that were not used for long. Never a
    job that can still be resumed, nor one that a program runs. These are this machine's own
    records; a node keeps its own.
    """
    from hanse.engines.environments.store import collect as collect_environments
    from hanse.engines.environments.store import default_root
    from hanse.records.gc import Collected, collect

    with local_records() as state:
        gone = Collected() if state is None else collect(state, older_than, dry_run)
    environments = collect_environments(default_root(), older_than, dry_run)
    document = {
        "jobs": gone.jobs, "blobs": gone.blobs, "bytes": gone.bytes,
        "environments": environments, "dry_run": dry_run,
    }  # fmt: skip
    many = f"{len(gone.jobs):,} job{'' if len(gone.jobs) == 1 else 's'}"
    would = "would be removed, with" if dry_run else f"and {gone.blobs:,} blobs removed:"

    def tell() -> None:
        out.say(f"{many} {would} {size(gone.bytes)}")
        if environments:
            verb = "would be" if dry_run else "were"
            out.say(f"{environments:,} unused environments of packages {verb} removed")

    out.result(document, tell, quiet=gone.jobs)


gc.epilog = (
    f"Without --older-than ended jobs are kept for {RECORDS_AGE_S // 86_400} days, "
    f"and the newest {RECORDS_KEPT:,} of them; environments for "
    f"{ENVIRONMENT_AGE_S // 86_400} days after their last use."
)
