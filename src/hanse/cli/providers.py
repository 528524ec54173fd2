"""`hanse providers`: what the node could rent, and what it has rented."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option, the_node
from hanse.cli.shared.output import Output


@click.command(cls=Command)
@home_option
@click.pass_obj
def providers(out: Output, home: Path | None) -> None:
    """List the machines that the node rents, or could, with their cost.

    What can be rented is said by a file: see `hanse up --providers`. The node is the one that
    `hanse login`, HANSE_URL or HANSE_TOKEN names, otherwise the one that runs on this machine.
    """
    from hanse.cli.shared import bill, words
    from hanse.wire import api

    found = the_node(home).ask("GET", "/v1/providers", list[api.ProviderInfo])
    offers = [
        (provider.name, offer.name, f"{offer.amount.cpus_milli / 1000:g}",
         f"{offer.amount.gpus_milli / 1000:g}", bill.amount(offer.price) + " spot" * offer.spot,
         offer.region, f"{sum(m.offer == offer.name for m in provider.machines)} of {offer.most}",
         bill.amount(offer.spent), offer.seen, provider.trouble or offer.trouble)
        for provider in found for offer in provider.offers
    ]  # fmt: skip
    machines = [
        (each.id, each.offer, each.handle, words.moment(each.since_s), bill.amount(each.cost),
         each.job, each.state)
        for provider in found for each in provider.machines
    ]  # fmt: skip

    def show() -> None:
        head = ("~provider", "offer", "cpus", "gpus", "an hour", "region", "there", ">spent")
        out.table((*head, "~seen", "~trouble"), offers)
        if machines:
            out.table(
                ("~machine", "offer", "~handle", "since", ">cost", "~for", "~state"), machines
            )

    out.result(
        {"providers": [msgspec.to_builtins(each) for each in found]}, show,
        quiet=[each.id for provider in found for each in provider.machines],
    )  # fmt: skip
