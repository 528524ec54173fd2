"""`hanse token`: who may do what on this machine's node."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.node import home_option
from hanse.cli.shared.output import Output
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.node.tokens import Tokens
    from hanse.remote.address import Address

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_ROLES = ("read", "submit", "link", "join", "admin")


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of this machine's node.

    Whoever has a token that may submit runs code on this machine as you. A running node looks at
    every change at once.
    """


@token.command(cls=Command)
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What it may do.")
@click.option("--for", "name", required=True, metavar="NAME", help="Whom it is for.")
@click.option("--expires", metavar="TIME", help="After 30d, 12h, ...  [default: never]")
@home_option
@click.pass_obj
def create(out: Output, role: str, name: str, expires: str | None, home: Path | None) -> None:
    """Make a token, and print it: it is shown once and kept nowhere.

    It carries the node's URL, the fingerprint of its authority, and the secret.
    """
    from hanse.node.tokens import Role
    from hanse.remote import address

    tokens, mine = _open(home)
    until = None if expires is None else time.time() + _seconds(expires)
    made, secret = tokens.create(Role(role), name, until)
    text = address.encode(address.Address(mine.url, mine.fingerprint, secret))
    document = {"id": made.id, "token": text, "role": role, "for": name, "expires_s": until}
    out.result(document, lambda: out.say(text), quiet=[text])


@token.command("list", cls=Command)
@home_option
@click.pass_obj
def list_(out: Output, home: Path | None) -> None:
    """List tokens, never their secrets."""
    from hanse.cli.shared.words import moment
    from hanse.node.place import Place
    from hanse.node.tokens import Tokens
    from hanse.remote.finding import node_home

    now = time.time()
    found = Tokens(Place(home or node_home()).tokens).all()
    document = [
        {"id": t.id, "role": str(t.role), "for": t.name, "created_s": t.created_s,
         "expires_s": t.expires_s, "expired": t.expired(now)}
        for t in found
    ]  # fmt: skip
    rows = [
        (t.id, str(t.role), t.name, moment(t.created_s),
         "never" if t.expires_s is None else moment(t.expires_s) + " expired" * t.expired(now))
        for t in found
    ]  # fmt: skip
    out.result(
        {"tokens": document}, lambda: out.table(("id", "role", "~for", "made", "expires"), rows),
        quiet=[t.id for t in found],
    )  # fmt: skip


@token.command(cls=Command)
@click.argument("id")
@home_option
@click.pass_obj
def revoke(out: Output, id: str, home: Path | None) -> None:
    """Take a token back: from now on it is refused."""
    tokens, _ = _open(home)
    gone = tokens.revoke(id)
    out.result({"id": gone.id}, lambda: out.say(f"{gone.id} ({gone.name}) is refused from now on."))


def _open(home: Path | None) -> tuple[Tokens, Address]:
    """The tokens of a node that was started here at least once, and its own address."""
    from hanse.node.place import Place
    from hanse.node.tokens import Tokens
    from hanse.remote import address
    from hanse.remote.finding import node_home

    place = Place(home or node_home())
    try:
        mine = address.decode(place.local_token.read_text("ascii"))
    except FileNotFoundError:
        raise UsageError(f"there is no node in {place.home}: start one with `hanse up`") from None
    return Tokens(place.tokens), mine


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if found is None or int(found[1]) == 0:
        raise UsageError(f"--expires is a time such as 30d, 12h or 45m, not {text!r}")
    return int(found[1]) * _SECONDS[found[2]]
