"""`hanse job`: one job, as it is or until it ends."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from hanse.cli.explain import ended_because, explained
from hanse.cli.shared import bill, exits, telling, words
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import has_begun, job_argument, record_of, recorded
from hanse.cli.shared.output import Output
from hanse.limits import FAILURES_SHOWN

if TYPE_CHECKING:
    from hanse.cli.shared.side import Side
    from hanse.journal.port import Head, Holder
    from hanse.model.account import Account
    from hanse.records.record import JobRecord


@click.command(cls=Command)
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Show its progress until it ends.")
@click.option("--failures", is_flag=True, help="Show every failed item with its whole story.")
@click.pass_obj
def job(out: Output, job: str, follow: bool, failures: bool) -> None:
    """Show one job; with --follow, until it ends.

    Who made it, what it calls, how far it is, what its items took, and what failed.

    With --follow its progress is shown until it ends, and the exit code is 1 unless all went
    well; Ctrl-C ends the looking, not the job. With --follow --json each change is one line.
    """
    if follow and failures:
        raise click.UsageError("--follow and --failures exclude each other")
    with recorded(job) as (side, head):
        if follow:
            from hanse.cli.shared.following import follow as until_it_ends

            good = until_it_ends(out, side, head)
            raise SystemExit(exits.OK if good else exits.FAILED)
        holder = side.holder(head)
        if not failures and not has_begun(side, head):
            _show_head(out, head, holder)
            return
        record = record_of(side, head)
        if failures:
            _list_failures(out, record)
        else:
            account = _account(side, record, holder)
            shown = _document(record, holder, account)
            out.result(shown, lambda: _show(out, record, holder, account), quiet=[head.id])


def _account(side: Side, record: JobRecord, holder: Holder | None) -> Account | None:
    """Who runs it knows best, and is asked where it matters; else what is recorded."""
    told = None
    if holder is not None and record.job.spec.aims is not None:
        told = bill.account_of(explained(side, record.head, holder).get("account"))
    return told or record.account


def _show_head(out: Output, head: Head, holder: Holder | None) -> None:
    """A job of which nothing is recorded yet but that it was made."""
    document = telling.document(head, holder) | {
        "usage": None, "account": None, "because": "", "program": None, "failures": [],
    }  # fmt: skip
    pairs = [("job", head.id), ("name", head.name), ("state", _state(head, holder)),
             ("function", head.function), ("who", f"{head.user} on {head.host}"),
             ("begun", f"{words.moment(head.created_s)} ({telling.when(head)})")]  # fmt: skip
    out.result(document, lambda: out.fields(pairs), quiet=[head.id])


def _list_failures(out: Output, record: JobRecord) -> None:
    for failed in record.failures():
        out.event(telling.failure(failed), failed.describe() + "\n", quiet=str(failed.item))


def _document(record: JobRecord, holder: Holder | None, account: Account | None) -> dict[str, Any]:
    program = record.program
    return telling.document(record.head, holder) | {
        "usage": telling.usage(record.usage),
        "account": bill.document(account),
        "because": ended_because(record),
        "program": {
            "argv": program.argv, "cwd": program.cwd, "python": program.python,
            "hanse": program.hanse, "retries": program.retries, "timeout_s": program.timeout_s,
            "command": program.command,
        },
        "failures": [telling.failure(f) for f in islice(record.failures(), FAILURES_SHOWN)],
    }  # fmt: skip


def _show(out: Output, record: JobRecord, holder: Holder | None, account: Account | None) -> None:
    head, program = record.head, record.program
    out.fields(
        [
            ("job", head.id),
            ("name", head.name + (" (a newer job has this name now)" if head.superseded else "")),
            ("state", _state(head, holder)),
            ("items", _items(head)),
            ("function", head.function),
            ("program", program.command),
            ("directory", program.cwd),
            ("who", f"{head.user} on {head.host}"),
            ("begun", f"{words.moment(head.created_s)} ({telling.when(head)})"),
            ("ended", words.moment(head.ended_s)),
            ("took", telling.took(head, holder)),
            ("why it ended", ended_because(record)),
            *(bill.rows(account) if account is not None else ()),
            ("options", _options(program.retries, program.timeout_s)),
            *_usage(record),
            ("stored", words.size(head.stored_bytes)),
            ("made with", f"Hanse {program.hanse}, Python {program.python}"),
        ]
    )
    _show_failures(out, record)
    if telling.state_of(head, holder) == "interrupted":
        out.say(f"\nNo program runs it. To go on: {program.command}")


def _state(head: Head, holder: Holder | None) -> str:
    by = f" in process {holder.pid} on {holder.host}" if holder is not None else ""
    return telling.state_of(head, holder) + by


def _items(head: Head) -> str:
    more = "" if head.total is not None else "; its inputs are not all read"
    return telling.items(head) + more


def _options(retries: int, timeout_s: float | None) -> str:
    timeout = "" if timeout_s is None else f"timeout={timeout_s:g}"
    return ", ".join(part for part in (f"retries={retries}" if retries else "", timeout) if part)


def _usage(record: JobRecord) -> Iterable[tuple[str, str | None]]:
    used = record.usage
    p50, p99 = used.quantile_ns(0.5), used.quantile_ns(0.99)
    if p50 is None or p99 is None:
        return
    yield (
        "per item",
        f"half within {words.duration(p50 / 1e9)}, 99 % within {words.duration(p99 / 1e9)}",
    )
    yield "processor", words.duration(used.cpu_ns / 1e9)
    yield "peak memory", words.size(used.peak_bytes) if used.peak_bytes else None


def _show_failures(out: Output, record: JobRecord) -> None:
    shown = 0
    for shown, failed in enumerate(islice(record.failures(), FAILURES_SHOWN), 1):
        if shown == 1:
            out.say("\nfailed items:")
        out.say(f"  {failed.item}: {' '.join(failed.what().split())[:200]}")
    if not shown:
        return
    id, calls = record.head.id, record.program.calls
    if len(record.failed) > shown:
        out.say(f"  and {len(record.failed) - shown:,} more")
    out.say(f"\nTheir whole stories: hanse job {id} --failures")
    if not calls:
        out.say(f"Run one again, here: hanse replay {id} ITEM")
        out.say(f"Run them all again:  hanse retry {id} --failed")
