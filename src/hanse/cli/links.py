"""`hanse links`: the nodes that this machine's node works for."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option, own_node
from hanse.cli.shared.output import Output


@click.command(cls=Command)
@home_option
@click.pass_obj
def links(out: Output, home: Path | None) -> None:
    """List the nodes that this machine's node works for, and what each may have and uses now."""
    from hanse.wire import api

    found = own_node(home).ask("GET", "/v1/links", list[api.LinkInfo])
    rows = [
        (each.id, each.url, each.site or "-", f"{each.used.cpus_milli / 1000:g} of "
         f"{each.offered.cpus_milli / 1000:g} cpus", each.state)
        for each in found
    ]  # fmt: skip
    out.result(
        {"links": [msgspec.to_builtins(each) for each in found]},
        lambda: out.table(("id", "~node", "~as", "uses", "~state"), rows),
        quiet=[each.id for each in found],
    )
