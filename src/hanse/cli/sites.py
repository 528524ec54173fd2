"""`hanse sites`: the sites that work for a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from hanse.cli.shared import bill, words
from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option, the_node
from hanse.cli.shared.output import Output

if TYPE_CHECKING:
    from hanse.wire.api import SiteSeen


@click.command(cls=Command)
@home_option
@click.pass_obj
def sites(out: Output, home: Path | None) -> None:
    """List the sites that work for the node, and what each has free now.

    The node is the one that `hanse login`, HANSE_URL or HANSE_TOKEN names, otherwise the one that
    runs on this machine.
    """
    from hanse.wire import api

    found = the_node(home).ask("GET", "/v1/sites", list[api.SiteSeen])
    out.result(
        {"sites": [msgspec.to_builtins(each) for each in found]},
        lambda: out.table(
            ("~id", "state", "uses", ">leases", "region", ">an hour", ">heard", ">trip", "python"),
            [_row(each) for each in found],
        ),
        quiet=[each.id for each in found],
    )


def _row(site: SiteSeen) -> tuple[str, ...]:
    used = (site.capacity.cpus_milli - site.free.cpus_milli) / 1000
    return (
        site.id, site.state, f"{used:g} of {site.capacity.cpus_milli / 1000:g} cpus",
        f"{site.leases:,}", site.region, bill.amount(site.price) + " spot" * site.spot,
        f"{words.duration(site.heard_s)} ago" if site.incarnation else "",
        words.duration(site.trip_s) if site.trip_s else "", site.python,
    )  # fmt: skip
