"""`hanse up`: a node, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option
from hanse.cli.shared.output import Output
from hanse.errors import UsageError


@click.command(cls=Command)
@click.option("--listen", default="127.0.0.1:7437", show_default=True, metavar="ADDRESS[:PORT]",
              help="Where to be reached. Beyond loopback TLS is turned on.")  # fmt: skip
@click.option("--name", "names", multiple=True, metavar="HOST",
              help="A name or address of this node, for others; may be repeated.")  # fmt: skip
@click.option("--region", default="", help="Where this site is, such as eu-west.")
@click.option("--price", type=click.FloatRange(0), metavar="N", help="What an hour of it costs.")
@click.option("--label", "labels", multiple=True, help="A word such as spot; may be repeated.")
@click.option(
    "--cpus", type=click.FloatRange(0, min_open=True), help="Cores to use.  [default: all]"
)
@click.option("--no-work", is_flag=True,
              help="Keep jobs, and let sites that are linked to it do the work.")  # fmt: skip
@click.option("--sandbox", type=click.Choice(["bwrap"]),
              help="Run items without network and with a read-only root.")  # fmt: skip
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="What runs the work: this machine, or a Ray cluster that others join.",
)
@click.option("--ray-address", metavar="HOST:PORT",
              help="Use the Ray cluster that is there, instead of heading one.")  # fmt: skip
@click.option("--systemd", is_flag=True, help="Print a unit that does this, and start nothing.")
@home_option
@click.pass_obj
def up(
    out: Output, listen: str, names: tuple[str, ...], region: str, price: float | None,
    labels: tuple[str, ...], cpus: float | None, no_work: bool, sandbox: str | None, engine: str,
    ray_address: str | None, systemd: bool, home: Path | None,
) -> None:  # fmt: skip
    """Start a node on this machine, and run it until Ctrl-C or `hanse down`.

    Programs reach it by `hanse.connect("http://127.0.0.1:7437")`. Jobs go on when their programs
    leave, and when the node is started again. Others need a token: see `hanse token`. Who did what
    is in audit.log in the node's directory.
    """
    from hanse.model.resources import Resources
    from hanse.node import daemon
    from hanse.node.place import Running
    from hanse.remote.finding import node_home

    if no_work and (cpus or sandbox or ray_address or engine != "local"):
        raise UsageError("with --no-work nothing runs here: leave out what says how")
    host, port = _split(listen, daemon.DEFAULT_PORT)
    settings = daemon.Settings(
        home=home or node_home(), host=host, port=port, names=names, region=region, labels=labels,
        price=price, resources=Resources(cpus=cpus) if cpus else None, sandbox=sandbox or "",
        engine="ray" if ray_address else engine, ray_address=ray_address,
        works=not no_work,
    )  # fmt: skip

    if systemd:
        from hanse.cli.shared.unit import unit_for

        unit = unit_for(settings)
        out.result({"unit": unit}, lambda: out.say(unit))
        return

    def ready(running: Running, token: str) -> None:
        document = {"url": running.url, "pid": running.pid, "home": str(settings.home)}
        words = f"A node runs at {running.url} (process {running.pid}). Ctrl-C ends it."
        out.event(document, words, quiet=running.url)

    daemon.run(settings, ready)


def _split(listen: str, default: int) -> tuple[str, int]:
    """Address and port. An IPv6 address with a port is in brackets."""
    host, port = listen, ""
    if listen.startswith("["):
        host, _, port = listen[1:].partition("]")
        port = port.removeprefix(":")
    elif listen.count(":") == 1:
        host, _, port = listen.partition(":")
    if not host or (port and not (port.isdecimal() and int(port) < 65536)):
        raise UsageError(f"--listen is an address and a port, such as 0.0.0.0:7437, not {listen!r}")
    return host, int(port) if port else default
