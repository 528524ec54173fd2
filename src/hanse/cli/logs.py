"""`hanse logs`: what a job's items printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import job_argument, recorded
from hanse.cli.shared.output import Output
from hanse.errors import NodeUnavailable

if TYPE_CHECKING:
    from hanse.records.logs import Piece


@click.command(cls=Command)
@job_argument
@click.option("--item", type=click.IntRange(0), metavar="N", help="Only of this item.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job runs no more.")
@click.pass_obj
def logs(out: Output, job: str, item: int | None, follow: bool) -> None:
    """Show what a job's items printed.

    Each line begins with the number of the item that printed it, or with [-] where that is not
    known: programs that items start, and code in C. With --item its text is shown as it was
    printed; with --json each piece of output is one object on a line of its own.
    """

    def lost(error: NodeUnavailable) -> None:
        out.note(f"hanse: {error}; trying again until it is back")

    with recorded(job) as (side, head):
        for piece in side.log(head, item, follow, lost):
            _show(out, piece, numbered=item is None)


def _show(out: Output, piece: Piece, *, numbered: bool) -> None:
    from msgspec import to_builtins

    text = piece.text.replace("\r\n", "\n")
    if piece.stream == "hanse":
        text = f"({text.strip()})\n"
    elif numbered:
        who = "-" if piece.item is None else str(piece.item)
        text = "".join(f"[{who}] {row}\n" for row in text.removesuffix("\n").split("\n"))
    out.event(to_builtins(piece), text, end="")
