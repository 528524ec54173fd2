"""`hanse submit`: a script that runs on the node."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output
from hanse.errors import JobBusy, NodeUnavailable, UsageError
from hanse.limits import PARCEL_BYTES

if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.client.job import Job

PATIENCE_S = 60.0  # until the node has recorded the script


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.option("--name", help="The job's name.  [default: the script's]")
@click.option("--cpus", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Cores that it takes of the node.")  # fmt: skip
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def submit(out: Output, name: str | None, cpus: float, script: Path, args: tuple[str, ...]) -> None:
    """Run a script on the node, and come back at once.

    The file is sent, and nothing beside it. It runs there as `python SCRIPT [ARGS]...` would, in an
    empty directory, as a job of one item: `hanse logs ID --follow` shows what it prints, `hanse job
    ID` how it ended, `hanse cancel ID` ends it. It runs again if the node was killed, so its own
    jobs should have names: then they go on where they were.
    """
    from hanse.remote.finding import find_node

    if find_node() is None:
        raise UsageError(
            "a script is submitted to a node, and none is named: `hanse login TOKEN`, or HANSE_URL "
            "or HANSE_TOKEN. Here `hanse run` runs it"
        )
    source = script.read_bytes()
    if len(source) > PARCEL_BYTES // 2:
        raise UsageError(f"{script} has {len(source):,} bytes: that is no script")
    label = name or script.name
    id = _send(label, cpus, script, source, args)
    words = f"{id} ({label}) is on the node.\nWhat it prints: hanse logs {id} --follow"
    out.result({"id": id, "name": label}, lambda: out.say(words), quiet=[id])


def _send(label: str, cpus: float, script: Path, source: bytes, args: tuple[str, ...]) -> str:
    """Returns the job's id, once the node has all of it. Raises JobBusy."""
    import hanse
    from hanse.client.script import run_script

    sys.argv = [str(script), *args]  # what is recorded of where the job comes from
    os.environ["HANSE_PROGRESS"] = "0"
    needs = hanse.Resources(cpus=cpus)
    with hanse.connect() as client:
        try:
            job = client.map(
                run_script, [script.name], [source], [list(args)], name=label, resources=needs,
                fresh=True,
            )  # fmt: skip
        except JobBusy as error:
            raise JobBusy(f"{error}. --name NAME gives this one a name of its own") from error
        _wait_until_there(client, job)
        return job.id


def _wait_until_there(client: Client, job: Job[Any]) -> None:
    from hanse.cli.shared.asking import wait_until

    journal = client._runtime.records().journal

    def there() -> bool:
        head = journal.find(job.id)
        return job.state != "running" or (head is not None and head.size > 0)

    if not wait_until(there, PATIENCE_S):
        raise NodeUnavailable(
            f"the node has not taken job {job.id} within {PATIENCE_S:.0f} s: look with hanse jobs"
        )
    if job.state == "failed" and not job.failures():  # nothing of it ran: it could not be sent
        job.wait()
