"""`hanse jobs`: the jobs on record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from hanse.cli.shared import telling
from hanse.cli.shared.command import Command
from hanse.cli.shared.node import not_asked
from hanse.cli.shared.output import Output
from hanse.limits import JOBS_LISTED, JOBS_SHOWN

if TYPE_CHECKING:
    from hanse.cli.shared.side import Side
    from hanse.journal.port import Head, Holder

_COLUMNS = ("id", "~name", "state", ">items", ">took", ">begun", "~function", "~user")


@click.command(cls=Command)
@click.option("--all", "everything", is_flag=True, help="Also jobs whose name a newer job has.")
@click.option("--limit", type=click.IntRange(1, JOBS_LISTED), metavar="N",
              help=f"At most N jobs.  [default: {JOBS_SHOWN}; with --all, all]")  # fmt: skip
@click.option("--state", type=click.Choice(telling.STATES), help="Only jobs in this state.")
@click.pass_obj
def jobs(out: Output, everything: bool, limit: int | None, state: str | None) -> None:
    """List jobs, the newest first.

    Jobs with a name are recorded; on a node, all are. One that is interrupted was running when its
    program ended: the same program goes on with it. With --quiet only ids are written.
    """
    most = limit or (JOBS_LISTED if everything else JOBS_SHOWN)
    found, more = _found(everything, most, state)
    document = {"jobs": [telling.document(*each) for each in found], "more": more}
    out.result(document, lambda: _show(out, found), quiet=[head.id for head, _ in found])
    if words := not_asked():
        out.note(f"Only jobs of programs without a node are listed; {words}.")
    if more and limit is None:
        out.note(f"The newest {most:,}; hanse jobs --all lists more.")


def _found(
    everything: bool, most: int, state: str | None
) -> tuple[list[tuple[Head, Holder | None]], bool]:
    """The jobs, each with who runs it, and whether there are more."""
    from hanse.cli.shared.lookup import records

    found: list[tuple[Head, Holder | None]] = []
    with records() as opened:
        for head in _heads(opened) if opened is not None else ():
            if head.superseded and not everything:
                continue
            assert opened is not None
            holder = opened.holder(head)
            if state is not None and telling.state_of(head, holder) != state:
                continue
            if len(found) == most:
                return found, True
            found.append((head, holder))
    return found, False


def _heads(opened: Side) -> Iterator[Head]:
    """Newest first; more of them are read only when they are needed."""
    given, limit = 0, 2 * JOBS_SHOWN
    while given < limit:
        heads = opened.journal.heads(limit)
        yield from heads[given:]
        if len(heads) < limit or limit == JOBS_LISTED:
            return
        given, limit = len(heads), min(8 * limit, JOBS_LISTED)


def _show(out: Output, found: list[tuple[Head, Holder | None]]) -> None:
    if not found:
        out.note("There are none. Jobs with a name are recorded: client.map(f, xs, name=...)")
        return
    out.table(
        _COLUMNS,
        [
            (head.id, head.name, telling.state_of(head, holder), telling.items(head),
             telling.took(head, holder), telling.when(head), head.function, head.user)
            for head, holder in found
        ],
    )  # fmt: skip
    for head, _ in found:
        if why := telling.nowhere(head):
            out.note(f"{head.id} runs nowhere: {why}")
