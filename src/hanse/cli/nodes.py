"""`hanse nodes`: the machines that a node's jobs run on."""

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
def nodes(out: Output, home: Path | None) -> None:
    """List the machines that work is done on: those of a site, and the sites linked to it.

    The node is the one that `hanse login`, HANSE_URL or HANSE_TOKEN names, else this machine's.
    """
    from hanse.model.resources import format_bytes
    from hanse.remote.dial import Dial
    from hanse.remote.finding import find_node
    from hanse.wire import api

    told = find_node(None) if home is None else None
    dial = own_node(home) if told is None else Dial(told)
    found = dial.ask("GET", "/v1/machines", list[api.MachineInfo])
    rows = [
        (each.site, each.host, each.engine, f"{each.offers.cpus_milli / 1000:g}",
         f"{each.offers.gpus_milli / 1000:g}", format_bytes(each.offers.memory_bytes), each.state)
        for each in found
    ]  # fmt: skip
    out.result(
        {"machines": [msgspec.to_builtins(each) for each in found]},
        lambda: out.table(("~site", "~machine", "by", "cpus", "gpus", "memory", "~state"), rows),
        quiet=[each.host for each in found],
    )
