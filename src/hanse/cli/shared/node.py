"""What commands about this machine's node have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hanse.remote.dial import Dial
    from hanse.wire.api import NodeInfo

home_option = click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The node's directory.  [default: node in HANSE_HOME]",
)  # fmt: skip


def own_node(home: Path | None) -> Dial:
    """The node that runs on this machine, for its own user. Raises UsageError if none does."""
    from hanse.errors import UsageError
    from hanse.node.place import Place
    from hanse.remote import address
    from hanse.remote.dial import Dial
    from hanse.remote.finding import node_home

    place = Place(home or node_home())
    running = place.running()
    if running is None:
        raise UsageError(f"no node runs in {place.home}: start one with `hanse up`")
    return Dial(address.decode(place.local_token.read_text("ascii")))


def not_asked() -> str:
    """Which node of this user runs on this machine, where a command looked at the machine's own
    records; empty if none does, or if somebody said which records are meant."""
    from hanse.node.place import Place
    from hanse.remote.finding import find_node, node_home

    if find_node() is not None or os.environ.get("HANSE_URL"):
        return ""
    running = Place(node_home()).running()
    if running is None:
        return ""
    return f"the node that runs here was not asked: HANSE_URL={running.url} names it"


def described(info: NodeInfo) -> str:
    """A node in a few words: its host, what it has, and its version."""
    cores = info.capacity.cpus_milli / 1000
    offers = f"{cores:g} cores" if cores else "no work of its own"
    return f"{info.host}, {offers}, Hanse {info.version}"


def the_node(home: Path | None) -> Dial:
    """The node of `home`; without it, the one that this user's programs run on, or else the one
    that runs here. Raises UsageError if there is none."""
    from hanse.remote.dial import Dial
    from hanse.remote.finding import find_node

    found = find_node() if home is None else None
    return Dial(found) if found is not None else own_node(home)
