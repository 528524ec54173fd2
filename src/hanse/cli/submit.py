"""`hanse submit`: a script or a command line that runs on the node."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hanse.cli.shared import shells
from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output
from hanse.errors import JobBusy, NodeUnavailable, UsageError
from hanse.limits import PARCEL_BYTES

if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.client.job import Job

PATIENCE_S = 60.0  # until the node has recorded the script


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.option("--name", help="The job's name.  [default: the script's, or the command's]")
@click.option("--cpus", type=click.FloatRange(0, min_open=True),
              help="Cores it takes.  [default: none for a script, 1 with --shell]")  # fmt: skip
@click.option("--shell", "command", metavar="COMMAND", help="A command line in place of a script.")
@shells.options
@click.option("--site", default="", metavar="NAME",
              help="Where it runs: a site by its name in `hanse sites`, or a label.")  # fmt: skip
@click.option("--package", "packages", multiple=True, metavar="NAME",
              help="What it has installed, as pip names it, instead of what is there; may be "
              "repeated.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Show what it prints; end when it ends, as it ends.")
@click.argument("script", required=False, type=click.Path(path_type=Path))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def submit(
    out: Output, name: str | None, cpus: float | None, command: str | None, how: shells.How,
    site: str, packages: tuple[str, ...], wait: bool, script: Path | None, args: tuple[str, ...],
) -> None:  # fmt: skip
    """Run a script or a command on the node, and come back at once.

    The file is sent, and nothing beside it. It runs there as `python SCRIPT [ARGS]...` would, in an
    empty directory, as a job of one item: `hanse logs ID --follow` shows what it prints, `hanse job
    ID` how it ended, `hanse cancel ID` ends it. It runs again if the node was killed, so its own
    jobs should have names: then they go on where they were. `hanse.connect()` in it gives a client
    of that node, and so of all its sites; as it mostly waits for these, it takes no core of its
    own, unless --cpus says so.

    With --shell COMMAND it is a line for /bin/sh, in the directory of that name on the node's
    machine that this one is called in. With --wait the exit code is the command's own, and Ctrl-C
    cancels it.
    """
    from hanse.remote.finding import find_node

    if (script is None) == (command is None):
        raise UsageError("either a script or --shell COMMAND says what to run")
    if find_node() is None:
        raise UsageError(
            "what is submitted goes to a node, and none is named: `hanse login TOKEN`, or "
            "HANSE_URL or HANSE_TOKEN. Here `hanse run` runs a script, `hanse map` command lines"
        )
    if script is not None:
        if how.told:
            raise UsageError("--cwd and --env are for --shell: a script runs in an empty directory")
        work = _script(script, args, name)
    else:
        assert command is not None
        work = _command(command, how, name)
    given = {
        "resources": how.resources(cpus or (1.0 if command is not None else 0.0)),
        "retries": how.retries, "timeout": how.timeout, "calls_home": True, "site": site,
        "packages": packages or None,
    }  # fmt: skip
    if wait:
        raise SystemExit(_wait(out, work, given))
    id = _send(work, given)
    words = f"{id} ({work.label}) is on the node.\nWhat it prints: hanse logs {id} --follow"
    out.result({"id": id, "name": work.label}, lambda: out.say(words), quiet=[id])


@dataclass
class _Work:
    label: str
    argv: list[str]  # what is recorded of where the job comes from
    function: Callable[..., Any]
    inputs: tuple[Any, ...]


def _script(script: Path, args: tuple[str, ...], name: str | None) -> _Work:
    from hanse.client.script import run_script

    try:
        source = script.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {script}: {error.strerror}") from None
    if len(source) > PARCEL_BYTES // 2:
        raise UsageError(f"{script} has {len(source):,} bytes: that is no script")
    return _Work(
        name or script.name, [str(script), *args], run_script, (script.name, source, list(args))
    )


def _command(command: str, how: shells.How, name: str | None) -> _Work:
    from hanse.client.script import run_command

    label = name or f"{shells.label(command)}-{os.urandom(4).hex()}"
    inputs = command, how.directory, how.variables, False
    return _Work(label, [command], run_command, inputs)


def _begin(client: Client, work: _Work, given: dict[str, Any]) -> Job[Any]:
    """Hand it in; returns once the node has all of it. Raises JobBusy."""
    sys.argv = work.argv
    os.environ["HANSE_PROGRESS"] = "0"
    try:
        job = client._map(
            work.function, [work.inputs], 1, star=True, name=work.label, given=given, fresh=True
        )
    except JobBusy as error:
        raise JobBusy(f"{error}. --name NAME gives this one a name of its own") from error
    _wait_until_there(client, job)
    return job


def _send(work: _Work, given: dict[str, Any]) -> str:
    """Returns the job's id."""
    import hanse

    with hanse.connect() as client:
        return _begin(client, work, given).id


def _wait(out: Output, work: _Work, given: dict[str, Any]) -> int:
    """See it to its end; returns its exit code, as a shell would tell it."""
    import hanse
    from hanse.cli.shared.lookup import recorded
    from hanse.client.script import CommandFailed

    with hanse.connect() as client:
        job = _begin(client, work, given)
        out.event({"id": job.id, "name": work.label}, None)
        try:
            with recorded(job.id) as (side, head):
                for piece in side.log(head, None, True, lambda _: None):
                    stream = sys.stderr if piece.stream == "stderr" else sys.stdout
                    stream.write(piece.text)
                    stream.flush()
            job.wait()
        except CommandFailed as failed:
            return failed.code if failed.code >= 0 else 128 - failed.code
        except KeyboardInterrupt:
            job.cancel()
            job.join()
            raise
    return 0


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
