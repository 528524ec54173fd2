"""`hanse down`: end this machine's node, in order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from hanse.cli.shared.asking import wait_until
from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option
from hanse.cli.shared.output import Output
from hanse.errors import NodeUnavailable, UsageError


@click.command(cls=Command)
@home_option
@click.pass_obj
def down(out: Output, home: Path | None) -> None:
    """End the node that runs on this machine.

    Its jobs stay on record, and go on when it is started again.
    """
    from hanse.node.place import Place
    from hanse.remote.finding import node_home

    place = Place(home or node_home())
    running = place.running()
    if running is None:
        raise UsageError(f"no node runs in {place.home}")
    os.kill(running.pid, signal.SIGTERM)
    if not wait_until(lambda: not place.is_taken(), 30):
        raise NodeUnavailable(
            f"process {running.pid} has not ended within 30 s: `kill -9 {running.pid}` loses "
            "nothing that is on record"
        )
    out.result({"url": running.url, "ended": True}, lambda: out.say(f"{running.url} has ended."))
