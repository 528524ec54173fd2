"""`hanse logout`: forget the node that programs run on."""

from __future__ import annotations

import contextlib

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output


@click.command(cls=Command)
@click.pass_obj
def logout(out: Output) -> None:
    """Run programs on this machine again. The token is removed here; the node still knows it."""
    from hanse.remote.finding import login_path

    with contextlib.suppress(FileNotFoundError):
        login_path().unlink()
    out.result({"url": None}, lambda: out.say("Programs run on this machine now."))
