"""`hanse unlink`: this machine's node works for another node no more."""

from __future__ import annotations

from pathlib import Path

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option, own_node
from hanse.cli.shared.output import Output


@click.command(cls=Command)
@click.argument("id")
@home_option
@click.pass_obj
def unlink(out: Output, id: str, home: Path | None) -> None:
    """Work for a node no more.

    What runs for it here ends now, and runs elsewhere. `hanse links` shows the ids.
    """
    from urllib.parse import quote

    own_node(home).ask("DELETE", f"/v1/links/{quote(id, safe='')}", type(None))
    out.result({"id": id}, lambda: out.say(f"{id} has ended."))
