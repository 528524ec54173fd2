"""`hanse up`: a node, in the foreground."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import click
import msgspec

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
@click.option("--prices", type=click.Path(dir_okay=False, exists=True, path_type=Path),
              metavar="FILE",
              help="Other prices, from certain moments on: see docs/placement.md.")  # fmt: skip
@click.option("--egress", type=click.Path(dir_okay=False, exists=True, path_type=Path),
              metavar="FILE",
              help="What bytes between regions cost.  "
              "[default: egress.toml in its directory]")  # fmt: skip
@click.option("--label", "labels", multiple=True, help="A word such as spot; may be repeated.")
@click.option("--evictions", type=click.Choice(("auto", "aws", "gcp", "azure", "sigterm", "off")),
              help="Who tells that this machine is taken away.  "
              "[default: auto with --label spot, else off]")  # fmt: skip
@click.option("--evict-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="When this file appears, the machine is taken away; it may say in how many "
              "seconds.")  # fmt: skip
@click.option("--notice", type=click.FloatRange(0), default=30.0, metavar="SECONDS",
              help="The time that is left then, if nobody says.  [default: 30]")  # fmt: skip
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
@click.option("--providers", type=click.Path(dir_okay=False, exists=True, path_type=Path),
              metavar="FILE",
              help="What can be rented.  [default: providers.toml in its directory]")  # fmt: skip
@click.option("--rented", is_flag=True,
              help="Work for the node whose link token is on stdin, and end with it.")  # fmt: skip
@click.option("--systemd", is_flag=True, help="Print a unit that does this, and start nothing.")
@home_option
@click.pass_obj
def up(
    out: Output, listen: str, names: tuple[str, ...], region: str, price: float | None,
    labels: tuple[str, ...], cpus: float | None, no_work: bool, sandbox: str | None, engine: str,
    ray_address: str | None, providers: Path | None, rented: bool, systemd: bool,
    home: Path | None, evictions: str | None, evict_file: Path | None, notice: float,
    prices: Path | None, egress: Path | None,
) -> None:  # fmt: skip
    """Start a node on this machine, and run it until Ctrl-C or `hanse down`.

    Programs reach it by `hanse.connect("http://127.0.0.1:7437")`. Jobs go on when their programs
    leave, and when the node is started again. Others need a token: see `hanse token`. Who did what
    is in audit.log in the node's directory.

    With --rented it is a machine that a provider has brought: in a new directory that goes with it
    and on any free port of loopback, unless these are named; its token is read from stdin. It ends
    when it is sent away, or when the other node is silent for a quarter of an hour.
    """
    from hanse.model.resources import Resources
    from hanse.node import daemon
    from hanse.node.place import Running
    from hanse.remote.finding import node_home

    if no_work and (cpus or sandbox or ray_address or engine != "local"):
        raise UsageError("with --no-work nothing runs here: leave out what says how")
    given = click.get_current_context().get_parameter_source("listen")
    if rented and given is click.core.ParameterSource.DEFAULT:
        listen = "127.0.0.1:0"
    host, port = _split(listen, daemon.DEFAULT_PORT)
    settings = daemon.Settings(
        home=home or node_home(), host=host, port=port, names=names, region=region, labels=labels,
        price=price, resources=Resources(cpus=cpus) if cpus else None, sandbox=sandbox or "",
        engine="ray" if ray_address else engine, ray_address=ray_address,
        works=not no_work, evictions=evictions or "", evict_file=evict_file, notice_s=notice,
        providers=None if providers is None else providers.absolute(),
        prices=None if prices is None else prices.absolute(),
        egress=None if egress is None else egress.absolute(),
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

    if not rented:
        daemon.run(settings, ready)
        return
    token = sys.stdin.readline().strip()
    with contextlib.ExitStack() as stack:
        if home is None:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="hanse-rented-"))
            settings = msgspec.structs.replace(settings, home=Path(made))
        daemon.run(msgspec.structs.replace(settings, rented=token), ready)


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
