"""`hanse link`: this machine's node works for another node too."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option, own_node
from hanse.cli.shared.output import Output
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.core.sharing import Hours

_HOURS = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?")


@click.command(cls=Command)
@click.argument("token", required=False)
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0,
              help="The part of this machine that it may have, such as 0.5.")  # fmt: skip
@click.option("--cpus", type=click.FloatRange(0, min_open=True), help="At most so many cores.")
@click.option("--hours", "hours", multiple=True, metavar="FROM-TO",
              help="Only at this time of the day, such as 20-6; may be repeated.")  # fmt: skip
@click.option("--allow", multiple=True, metavar="PATTERN",
              help="Only functions of this name, such as 'report_*'; may be repeated.")  # fmt: skip
@home_option
@click.pass_obj
def link(
    out: Output, token: str | None, share: float, cpus: float | None, hours: tuple[str, ...],
    allow: tuple[str, ...], home: Path | None,
) -> None:  # fmt: skip
    """Let this machine's node take work from another node.

    TOKEN names that one, where `hanse token create --role link --for NAME` made it. Without TOKEN
    it is asked for, or read from stdin: command lines can be seen by others. This machine only
    dials, so it may stand behind a NAT or a proxy. Its own jobs come first. `hanse unlink` ends it
    at once.

    Whoever runs jobs on that node runs code on this machine, as the user of this node.
    """
    from hanse.wire import api

    dial = own_node(home)
    if token is None:
        token = click.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    new = api.NewLink(
        token=token, share=share, cpus=cpus, hours=[_hours(each) for each in hours],
        allow=list(allow),
    )  # fmt: skip
    made = dial.ask("POST", "/v1/links", api.LinkInfo, new)
    words = f"{made.id}: this machine works for {made.url} too."
    out.result({"id": made.id, "url": made.url}, lambda: out.say(words), quiet=[made.id])


def _hours(text: str) -> Hours:
    from hanse.core.sharing import DAY_MINUTES, Hours

    found = _HOURS.fullmatch(text.strip())
    if found is not None:
        start = 60 * int(found[1]) + int(found[2] or 0)
        stop = 60 * int(found[3]) + int(found[4] or 0)
        if max(start, stop) <= DAY_MINUTES and start != stop:
            return Hours(start % DAY_MINUTES, stop % DAY_MINUTES)
    raise UsageError(f"--hours is a part of the day such as 20-6 or 12:30-13, not {text!r}")
