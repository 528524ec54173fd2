"""What the commands that run command lines have in common: where, with what, and how often."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.model.resources import Resources

PLACE = "{}"


@dataclass(frozen=True)
class How:
    directory: str
    variables: dict[str, str]
    memory: str | None
    retries: int
    timeout: float | None
    told: bool  # where or with what was said

    def resources(self, cpus: float) -> Resources:
        """`cpus`: 0 for what mostly waits for jobs of its own."""
        from hanse.model.resources import SCRIPTS, Resources

        custom = {} if cpus else {SCRIPTS: 1}
        return Resources(cpus=cpus, memory=self.memory or 0, custom=custom)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, as one argument: `how`."""

    @click.option("--cwd", metavar="DIR", help="Where it runs.  [default: this directory]")
    @click.option(
        "--env",
        "env",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="A variable that it gets, from here if no value is given; may be repeated. "
        "It is recorded with the job.",
    )
    @click.option("--memory", metavar="SIZE", help="Such as 2GiB: what one needs, and is held to.")
    @click.option(
        "--retries", type=click.IntRange(0), default=0, help="If it fails, so often again."
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="How long one may take.",
    )
    @functools.wraps(command)
    def with_how(
        *args: Any,
        cwd: str | None,
        env: tuple[str, ...],
        memory: str | None,
        retries: int,
        timeout: float | None,
        **kwargs: Any,
    ) -> Any:
        told = bool(cwd or env)
        variables = _variables(env)
        how = How(os.path.abspath(cwd or "."), variables, memory, retries, timeout, told)
        return command(*args, how=how, **kwargs)

    return with_how


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, told, value = one.partition("=")
        if not told and name not in os.environ:
            raise UsageError(f"--env {name}: there is no such variable here")
        found[name] = value if told else os.environ[name]
    return found


def label(command: str) -> str:
    """A name for a job that has none: the program's."""
    words = command.split()
    return re.sub(r"[^\w.-]", "", os.path.basename(words[0]) if words else "")[:40] or "command"


def filled(command: str, value: str) -> str:
    """The command for one input: quoted, in place of each {}, or at its end if there is none."""
    quoted = shlex.quote(value)
    return command.replace(PLACE, quoted) if PLACE in command else f"{command} {quoted}"
