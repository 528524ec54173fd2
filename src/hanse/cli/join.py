"""`hanse join`: this machine is one more of a node's site, in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output

if TYPE_CHECKING:
    from hanse.node.evictions.notice import Notice


@click.command(cls=Command)
@click.argument("token", required=False)
@click.option("--cpus", type=click.FloatRange(0), help="Cores to offer.  [default: all]")
@click.option(
    "--gpus",
    type=click.IntRange(0),
    default=0,
    help="GPUs to offer.  [default: those that Ray finds]",
)
@click.option("--address", metavar="IP", help="By which the other machines reach this one.")
@click.option("--evictions", type=click.Choice(("auto", "aws", "gcp", "azure", "off")),
              default="auto", show_default=True,
              help="Who tells that this machine is taken away: the cloud's service.")  # fmt: skip
@click.option("--evict-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="When this file appears, the machine is taken away; it may say in how many "
              "seconds.")  # fmt: skip
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where Ray's files are meanwhile.  [default: join in HANSE_HOME]")  # fmt: skip
@click.pass_obj
def join(
    out: Output, token: str | None, cpus: float | None, gpus: int, address: str | None,
    home: Path | None, evictions: str, evict_file: Path | None,
) -> None:  # fmt: skip
    """Add this machine to the site of a node, which TOKEN names, until Ctrl-C.

    There `hanse up --engine ray` runs, and `hanse token create --role join --for NAME` makes the
    token. Without TOKEN it is asked for, or read from stdin: command lines can be seen by others.
    Hanse, Ray and Python have to be the same as there.

    On Ctrl-C, SIGTERM or a cloud's notice that the machine is taken away it is emptied first: what
    runs here ends after its present item, and nothing that is done is lost. When the node's Ray is
    started anew, this machine joins again.
    """
    from hanse.home import home_directory
    from hanse.model.resources import Resources
    from hanse.node.evictions.sources import choose
    from hanse.node.evictions.watch import Watch
    from hanse.node.joining import Joining
    from hanse.remote.address import decode
    from hanse.runtime.machine import capacity, usable_cpus

    if token is None:
        token = click.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    cores = usable_cpus() if cpus is None else cpus
    offers = capacity(Resources(cpus=cores, gpus=gpus))
    joining = Joining(decode(token), offers, home or home_directory() / "join", address)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: joining.leave())

    def say(words: str) -> None:  # fmt: skip
        out.event({"said": words}, f"{words}.")

    def told(notice: Notice) -> None:
        say(f"this machine is taken away in {notice.left_s:.0f} s: {notice.reason}")
        joining.leave(notice.left_s)

    watch = Watch(choose(evictions, evict_file), told)
    try:
        joining.stay(say)
    finally:
        watch.close()
