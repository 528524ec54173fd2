"""`hanse completion`: the script that teaches a shell our commands, options, and jobs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output

HOW = {
    "bash": 'eval "$(hanse completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(hanse completion zsh)"    in ~/.zshrc, after compinit',
    "fish": "hanse completion fish | source    in ~/.config/fish/config.fish",
}


@click.command(cls=Command, epilog="\b\n" + "\n".join(HOW.values()))
@click.argument("shell", type=click.Choice(list(HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    With it the tab key completes commands, options, and the ids and names of jobs.
    """
    out: Output = ctx.obj
    kind = get_completion_class(shell)
    assert kind is not None
    # Not .source(): that of bash starts a bash to ask its version, and complains on stderr.
    maker = kind(ctx.find_root().command, {}, "hanse", "_HANSE_COMPLETE")
    script = maker.source_template % maker.source_vars()
    out.result({"shell": shell, "script": script}, lambda: out.say(script), quiet=())
