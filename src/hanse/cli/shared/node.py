"""What commands about this machine's node have in common."""

from __future__ import annotations

from pathlib import Path

import click

home_option = click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The node's directory.  [default: node in HANSE_HOME]",
)  # fmt: skip
