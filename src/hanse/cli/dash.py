"""`hanse dash`: a page to look at."""

from __future__ import annotations

import contextlib
import html
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option, the_node
from hanse.cli.shared.output import Output
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.remote.dial import Dial

_HOP = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Hanse</title>
<meta http-equiv="refresh" content="0; url={url}"><p><a href="{url}">To the page of Hanse</a></p>
</html>
"""


@click.command(cls=Command)
@click.option("--no-open", is_flag=True, help="Open no browser, only print where the page is.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N",
              help="Serve this machine's records here.  [default: any]")  # fmt: skip
@home_option
@click.pass_obj
def dash(out: Output, no_open: bool, port: int, home: Path | None) -> None:
    """Open a page that shows jobs, sites and logs, with timelines and failures.

    It is the page of the node that `hanse login`, HANSE_URL or HANSE_TOKEN names, or of the one
    that runs on this machine. Without a node, or with HANSE_URL=here, it shows this machine's own
    records, and is served until Ctrl-C.

    The address has a code in it that lets one browser in, once, within two minutes. That browser
    may look for twelve hours, and change nothing; `hanse token list` shows it.
    """
    dial = _node(home)
    if dial is None:
        _serve(out, port, no_open)
        return
    from hanse.wire import api

    with contextlib.closing(dial):
        made = dial.ask("POST", "/dash/codes", api.DashCode)
    _show(out, dial.url, made.code, no_open)
    if dial.url.startswith("https://"):
        out.note(
            "The node's certificate is of its own authority: a browser warns of it until it has "
            "authority.pem from the node's directory."
        )


def _node(home: Path | None) -> Dial | None:
    """None if this machine's records are meant."""
    import os

    from hanse.remote.finding import HERE

    if home is None and os.environ.get("HANSE_URL", "").strip() == HERE:
        return None
    try:
        return the_node(home)
    except UsageError:
        if home is not None or _is_named():
            raise
        return None


def _is_named() -> bool:
    """Whether somebody said which node."""
    from hanse.remote.finding import find_node

    return find_node() is not None


def _serve(out: Output, port: int, no_open: bool) -> None:
    from hanse.cli.shared.dash_here import OfRecords
    from hanse.cli.shared.lookup import local_records
    from hanse.node.dash.serving import serve

    with local_records() as state:
        if state is None:
            raise UsageError(
                "no named job has run here yet, and no node runs: there is nothing to see"
            )
        serve(OfRecords(state), port, lambda url, code: _show(out, url, code, no_open))


def _show(out: Output, url: str, code: str, no_open: bool) -> None:
    address = f"{url}/#code={code}"
    opened = not no_open and _open(address)
    words = f"The page of {url} is open." if opened else f"Open this within two minutes: {address}"
    out.event({"url": url, "address": None if opened else address}, words, quiet=address)


def _open(address: str) -> bool:
    """Open the browser by way of a file that only this user can read: other users see the command
    lines of this machine."""
    from hanse.home import home_directory
    from hanse.journal import private

    path = home_directory() / "dash.html"
    private.directory(str(path.parent))
    private.write(path, _HOP.format(url=html.escape(address)).encode())
    return webbrowser.open(path.as_uri())
