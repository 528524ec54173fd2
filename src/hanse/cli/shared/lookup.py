"""Whose records a command is about, and which job an id or a name means.

A command about jobs speaks to the node that HANSE_URL, HANSE_TOKEN or `hanse login` names; without
one, of this machine's own records.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from hanse.cli.shared.output import line
from hanse.errors import NoSuchJob, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from hanse.cli.shared.side import Side
    from hanse.journal.port import Head
    from hanse.records.record import JobRecord
    from hanse.records.state import State

COMPLETIONS: Final = 200  # more than anybody reads; each costs the shell a line
TAB_S: Final = 2.0  # nobody waits longer for a shell that completes a word
SIMILAR: Final = 1000  # newest jobs among which a similar name is looked for


@contextlib.contextmanager
def records(patience_s: float | None = None, url: str | None = None) -> Iterator[Side | None]:
    """What is recorded on the node, or here, for as long as the block lasts; None if nothing ever
    was. A node is waited for so long, by default as long as any request waits. `url` is as in
    `hanse.connect`.

    Raises JournalError, NodeUnavailable, NotAllowed, UsageError.
    """
    from hanse.remote.finding import find_node

    node = find_node(url)
    if node is not None:
        from hanse.cli.shared.there import There
        from hanse.remote.dial import Dial

        with contextlib.closing(There(Dial(node, patience_s))) as there:
            yield there
        return
    from hanse.cli.shared.here import Here

    with local_records() as state:
        yield None if state is None else Here(state)


@contextlib.contextmanager
def local_records() -> Iterator[State | None]:
    """What is recorded on this machine, whatever node programs run on; None if nothing ever was.

    Raises JournalError.
    """
    from hanse.records.state import open_state

    state = open_state(create=False)
    try:
        yield state
    finally:
        if state is not None:
            state.close()


@contextlib.contextmanager
def recorded(job: str) -> Iterator[tuple[Side, Head]]:
    """The records, and the head of the job of this id or name. Raises NoSuchJob, JournalError."""
    with records() as side:
        if side is None:
            raise NoSuchJob(f"there is no job {job!r}: no named job has run here yet{_beside()}")
        yield side, find(side, job)


def has_begun(side: Side, head: Head) -> bool:
    """Whether anything is recorded of the job: of one that was made just now nothing may be, and
    nothing ever will if its program was killed right then."""
    return next(iter(side.journal.read(head.id)), None) is not None


def record_of(side: Side, head: Head) -> JobRecord:
    """All that is recorded of a job. Raises UsageError if there is nothing yet, JournalError."""
    from hanse.records.record import open_record

    if not has_begun(side, head):
        raise UsageError(
            f"nothing is recorded of job {head.id} ({head.name}) yet: if its program is gone, run "
            f"it again, or forget the job: hanse rm {head.id}"
        )
    return open_record(side, head)


def go_to(directory: str) -> None:
    """Work where a job's program did, if that is still there: its items name files from there."""
    from hanse.home import home_directory

    os.environ["HANSE_HOME"] = str(home_directory())  # it may be told from where we are now
    with contextlib.suppress(OSError, ValueError):
        os.chdir(directory)


def find(side: Side, job: str) -> Head:
    """The job of this id or name. Raises NoSuchJob."""
    head = side.journal.find(job)
    if head is None:
        raise NoSuchJob(
            f"there is no job {job!r}{side.where}{_similar(side, job)}; hanse jobs lists them"
            f"{_beside()}"
        )
    return head


def _beside() -> str:
    from hanse.cli.shared.node import not_asked

    words = not_asked()
    return f"; {words}" if words else ""


def _similar(side: Side, job: str) -> str:
    names = {name for head in side.journal.heads(SIMILAR) for name in (head.name, head.id)}
    close = difflib.get_close_matches(job, sorted(names), n=1)
    return f" (perhaps {close[0]!r})" if close else ""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    # Whatever fails, the shell must get an answer, and nobody asked for an error here.
    with contextlib.suppress(Exception), records(TAB_S) as side:
        if side is not None:
            found: dict[str, str] = {}
            for head in side.journal.heads(COMPLETIONS):
                found |= _choices(head, incomplete)
            return [CompletionItem(text, help=words) for text, words in found.items()]
    return []


def _choices(head: Head, incomplete: str) -> dict[str, str]:
    """What the word may become, and what the shell may say of it.

    Shells put what they are given on the command line as it is, to be run by the next Enter. So of
    a job whose name is no plain word the id is offered, also for the beginning of its name.
    """
    if not re.fullmatch("j-[0-9a-f]{12}", head.id):  # from a database of somebody else's
        return {}
    plain = re.fullmatch(r"[\w.+:@/][\w.+:@/-]*", head.name) is not None
    by_name = not head.superseded and head.name.startswith(incomplete)
    found: dict[str, str] = {}
    if head.id.startswith(incomplete) or (by_name and not plain):
        found[head.id] = line(head.name)
    if by_name and plain:
        found[head.name] = head.id
    return found


job_argument = click.argument("job", metavar="ID", shell_complete=_complete)
jobs_argument = click.argument(
    "jobs", metavar="ID...", nargs=-1, required=True, shell_complete=_complete
)
