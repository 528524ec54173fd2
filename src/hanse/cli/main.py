"""The `hanse` command itself: its name, its version, its subcommands.

Everything that a subcommand needs beyond click is imported when it runs, so that `hanse run` starts
a program 30 ms later than `python` and not 300.
"""

from __future__ import annotations

import click

from hanse.cli.run import run


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The full story of each: hanse COMMAND --help",
)
@click.version_option(package_name="hanse", message="hanse %(version)s")
def main() -> None:
    """Hanse turns the machines a team can reach into one Python computer."""


main.add_command(run)
