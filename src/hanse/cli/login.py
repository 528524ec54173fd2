"""`hanse login`: which node programs of this user run on."""

from __future__ import annotations

import sys

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output


@click.command(cls=Command)
@click.argument("token", required=False)
@click.pass_obj
def login(out: Output, token: str | None) -> None:
    """Run programs on a node from now on: the one that TOKEN names.

    Without TOKEN it is asked for, or read from stdin: command lines can be seen by others. It is
    kept in HANSE_HOME, for this user's eyes only. `hanse logout` forgets it.
    """
    from hanse.cli.shared.node import described
    from hanse.journal import private
    from hanse.remote import address
    from hanse.remote.dial import Dial
    from hanse.remote.finding import login_path
    from hanse.wire.api import NodeInfo

    if token is None:
        token = click.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    found = address.decode(token)
    info = Dial(found).ask("GET", "/v1/node", NodeInfo)
    path = login_path()
    private.directory(str(path.parent))
    private.write(path, address.encode(found).encode() + b"\n")
    words = f"Programs run on {found.url} now ({described(info)})."
    out.result({"url": found.url, "host": info.host}, lambda: out.say(words))
