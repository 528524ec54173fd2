"""`hanse map`: a command line for each of many inputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from hanse.cli.shared import exits, shells
from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Mode, Output, on_terminal

if TYPE_CHECKING:
    from hanse.client.client import Client


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.option("--shell", "command", required=True, metavar="COMMAND",
              help="A line for /bin/sh; {} in it stands for the input, quoted.")  # fmt: skip
@click.option("--name", help="Makes it durable: called again, it goes on where it was.")
@click.option("--fresh", is_flag=True, help="Start over, whatever is recorded under the name.")
@click.option("--cpus", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Cores that each takes.")  # fmt: skip
@shells.options
@click.argument("inputs", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def map(
    out: Output, command: str, name: str | None, fresh: bool, cpus: float, how: shells.How,
    inputs: tuple[str, ...],
) -> None:  # fmt: skip
    """Run a command line for each of many inputs, on all cores or on the node.

    Inputs are the arguments, or the lines of stdin if there are none: they are read as they are
    needed. What commands write to stdout comes in the order of the inputs; stderr at once. The exit
    code is 1 if one of them failed. With --json there is one object for each on a line of its own.

    \b
      hanse map --shell 'gzip -k {}' *.log
      find . -name '*.png' | hanse map --shell 'optipng -quiet'
    """
    import hanse

    show = out.mode is Mode.HUMAN and on_terminal(sys.stderr)
    os.environ["HANSE_PROGRESS"] = "1" if show else "0"
    sys.argv = [command, *inputs]
    with hanse.connect() as client:
        failed = _run(out, client, command, inputs or _lines(), name, fresh, cpus, how)
    raise SystemExit(exits.FAILED if failed else exits.OK)


def _run(
    out: Output, client: Client, command: str, inputs: Any, name: str | None, fresh: bool,
    cpus: float, how: shells.How,
) -> int:  # fmt: skip
    """Returns how many failed."""
    from hanse.client.script import run_command

    seen: list[str] = []  # inputs that were read, and whose results were not shown yet

    def calls() -> Iterator[str]:
        for one in inputs:
            seen.append(one)
            yield shells.filled(command, one)

    job = client.map(
        _Each(run_command, how.directory, how.variables), calls(), name=name, fresh=fresh,
        resources=how.resources(cpus), retries=how.retries, timeout=how.timeout,
        on_error="collect",
    )  # fmt: skip
    failed = 0
    try:
        for item, result in enumerate(job):
            failed += _tell(out, item, seen.pop(0), result)
    except BaseException:
        if name is None:
            job.cancel()
        raise
    return failed


class _Each:
    """Calls a function of a command, a directory and variables with one command after another."""

    def __init__(self, function: Any, directory: str, variables: dict[str, str]) -> None:
        self._function = function
        self._rest = directory, variables, True
        self.__qualname__ = "command"

    def __call__(self, command: str) -> bytes:
        result: bytes = self._function(command, *self._rest)
        return result


def _tell(out: Output, item: int, given: str, result: bytes | BaseException) -> int:
    from hanse.client.script import CommandFailed

    if isinstance(result, bytes):
        text = result.decode(errors="replace")
        document = {"item": item, "input": given, "exit_code": 0, "stdout": text}
        if out.mode is Mode.HUMAN:
            sys.stdout.flush()
            sys.stdout.buffer.write(result)
            sys.stdout.buffer.flush()
        out.event(document, None)
        return 0
    code = result.code if isinstance(result, CommandFailed) else None
    out.event({"item": item, "input": given, "exit_code": code, "error": str(result)}, None)
    if out.mode is not Mode.JSON:
        out.note(f"hanse: item {item}: {result}")
    return 1


def _lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\n")
