"""`hanse doctor`: what this machine offers, what is recorded on it, and what should be mended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from hanse.cli.shared import exits
from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output

if TYPE_CHECKING:
    from hanse.cli.shared.checks import Finding
    from hanse.records.state import State

COUNTED: Final = 10_000  # jobs; more are not worth the time of counting them
SHOWN: Final = 50  # damaged places; whoever has more needs a copy, not a list
_MARKS: Final = {"ok": "ok", "note": "note", "mend": "MEND"}


@click.command(cls=Command)
@click.option("--deep", is_flag=True, help="Read and check all that is recorded. May take long.")
@click.pass_obj
def doctor(out: Output, deep: bool) -> None:
    """Look at this machine, and say what should be mended.

    Cores, memory, limits, Python, disks, the journal, the node that programs run on, and the
    versions of all libraries. Exit code 1 means that something must be mended; the advice says how.
    """
    from msgspec import to_builtins

    found = list(_findings(deep))
    broken = [finding for finding in found if finding.level == "mend"]
    document = {"healthy": not broken, "findings": to_builtins(found)}
    out.result(document, lambda: _show(out, found, len(broken)))
    raise SystemExit(exits.FAILED if broken else exits.OK)


def _show(out: Output, found: list[Finding], broken: int) -> None:
    width = max(len(finding.name) for finding in found)
    for finding in found:
        out.say(f"{_MARKS[finding.level]:<4}  {finding.name:<{width}}  {finding.value}")
        for row in finding.advice.splitlines():
            out.say(f"{'':<4}  {'':<{width}}  -> {row}")
    notes = sum(finding.level == "note" for finding in found)
    out.say()
    out.say(f"{broken} to mend, {notes} worth knowing." if broken or notes else "All is well.")


def _findings(deep: bool) -> Iterator[Finding]:
    from hanse.cli.shared import checks

    for check in (checks.cores, checks.memory, checks.limits, checks.python):
        yield from check()
    yield from checks.temporary()
    yield from checks.shared_memory()
    yield from _records(deep)
    yield from _node()
    yield from checks.sandbox()
    yield from checks.versions()
    yield from checks.uv()


def _node() -> Iterator[Finding]:
    """The node that programs run on, if one is named."""
    from hanse.cli.shared.checks import Finding
    from hanse.cli.shared.node import described
    from hanse.errors import HanseError
    from hanse.remote.finding import find_node

    try:
        node = find_node()
        if node is None:
            return
        from hanse.remote.dial import Dial
        from hanse.wire.api import NodeInfo

        info = Dial(node).ask("GET", "/v1/node", NodeInfo)
    except HanseError as error:
        advice = "start it, or log in anew; `hanse logout` lets programs run on this machine"
        yield Finding("node", str(error), "mend", advice)
        return
    yield Finding("node", f"{node.url}: {described(info)}")


def _records(deep: bool) -> Iterator[Finding]:
    from hanse.cli.shared.checks import Finding, state_directory
    from hanse.cli.shared.lookup import local_records
    from hanse.errors import HanseError
    from hanse.home import home_directory

    yield from state_directory(
        home_directory(), wal=not os.environ.get("HANSE_JOURNAL", "").startswith("postgres")
    )
    try:
        with local_records() as state:
            if state is None:
                yield Finding("journal", "none yet: no named job has run here")
                return
            yield _journal(state)
            yield _blobs(state)
            if deep:
                yield from _damage(state)
    except HanseError as error:
        yield Finding("journal", str(error), "mend", "nothing can be recorded or resumed before")


def _journal(state: State) -> Finding:
    from hanse.cli.shared.checks import Finding
    from hanse.cli.shared.words import size
    from hanse.journal.schema import VERSION

    jobs = len(state.journal.heads(limit=COUNTED))
    many = f"{jobs:,} jobs" if jobs < COUNTED else f"{COUNTED:,} jobs or more"
    taken = size(state.journal.stored_bytes())
    # It was brought to our version when it was opened, or it was not opened.
    return Finding("journal", f"{state.journal.where}: version {VERSION}, {many}, {taken}")


def _blobs(state: State) -> Finding:
    from hanse.cli.shared.checks import Finding, judge_quota
    from hanse.cli.shared.words import size
    from hanse.records.state import quota_bytes

    used, quota = state.blobs.used_bytes(), quota_bytes()
    return Finding("blobs", f"{size(used)} of {size(quota)}", *judge_quota(used, quota))


def _damage(state: State) -> Iterator[Finding]:
    from hanse.cli.shared.checks import Finding
    from hanse.records.checking import damages

    found = list(dict.fromkeys(damages(state)))
    for row in found[:SHOWN]:
        yield Finding("damage", row, "mend", "restore it from a copy, or start its job over")
    if len(found) > SHOWN:
        yield Finding("damage", f"and {len(found) - SHOWN:,} more", "mend")
    if not found:
        yield Finding("deep check", "everything is as it was written")
