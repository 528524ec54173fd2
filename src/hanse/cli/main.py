"""The `hanse` command itself: its name, its version, its subcommands.

Everything that a subcommand needs beyond click is imported when it runs, so that `hanse run` starts
a program 30 ms later than `python` and not 300.
"""

from __future__ import annotations

from typing import Final

import click

import hanse
from hanse.cli.shared import exits
from hanse.cli.shared.command import LazyGroup

# In the order in which people meet them. One line each: `hanse --help` imports none of them.
COMMANDS: Final = {
    "run": ("hanse.cli.run", "Run a Python program, and show how far its jobs are."),
    "map": ("hanse.cli.map", "Run a command line for each of many inputs."),
    "submit": (
        "hanse.cli.submit",
        "Run a script or a command on the node, and come back at once.",
    ),
    "jobs": ("hanse.cli.jobs", "List jobs, the newest first."),
    "job": ("hanse.cli.job", "Show one job; with --follow, until it ends."),
    "logs": ("hanse.cli.logs", "Show what a job's items printed."),
    "explain": ("hanse.cli.explain", "Say what a job waits for."),
    "quote": ("hanse.cli.quote", "Say what a job would take and cost, and submit nothing."),
    "cancel": ("hanse.cli.cancel", "Cancel a job."),
    "retry": ("hanse.cli.retry", "Run the failed items of a job again."),
    "replay": ("hanse.cli.replay", "Run one item again, here, in the foreground."),
    "export": ("hanse.cli.export", "Write a job's results to a file."),
    "rm": ("hanse.cli.rm", "Forget jobs, with all their results."),
    "gc": ("hanse.cli.gc", "Remove old jobs, and bytes that no job needs."),
    "up": ("hanse.cli.up", "Start a node on this machine."),
    "join": ("hanse.cli.join", "Add this machine to the site of a node."),
    "nodes": ("hanse.cli.nodes", "List the machines that work is done on."),
    "providers": ("hanse.cli.providers", "List the machines that the node rents, or could."),
    "down": ("hanse.cli.down", "End the node that runs on this machine."),
    "token": ("hanse.cli.token", "Make, list and revoke the tokens of this machine's node."),
    "link": ("hanse.cli.link", "Let this machine's node take work from another node."),
    "links": ("hanse.cli.links", "List the nodes that this machine's node works for."),
    "unlink": ("hanse.cli.unlink", "Work for a node no more."),
    "sites": ("hanse.cli.sites", "List the sites that work for the node."),
    "dash": ("hanse.cli.dash", "Open a page that shows jobs, sites and logs."),
    "login": ("hanse.cli.login", "Run programs on a node from now on."),
    "logout": ("hanse.cli.logout", "Run programs on this machine again."),
    "doctor": ("hanse.cli.doctor", "Look at this machine, and say what should be mended."),
    "simulate": (
        "hanse.cli.simulate",
        "Rehearse a scenario: what time and money do its jobs take?",
    ),
    "demo": ("hanse.cli.demo", "Count words, lose a worker, and prove the answer right."),
    "completion": ("hanse.cli.completion", "Print the completion script of a shell."),
}

_CODES = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in exits.MEANINGS.items())


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"""\b
Exit codes:
{_CODES}

A job is named by its id or its name. All but run know --json, all know --quiet. Records are kept in
HANSE_HOME. The full story of each: hanse COMMAND --help""",
)
@click.version_option(hanse.__version__, message="hanse %(version)s")
def main() -> None:
    """Hanse turns the machines a team can reach into one Python computer."""
