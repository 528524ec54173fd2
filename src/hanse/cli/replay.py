"""`hanse replay`: one item again, in this process, where a debugger can look at it.

The function gets what it got then: its recorded arguments, the paths it was imported from, the
directory of its program if that is still there, and `hanse.current_item()`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from hanse.cli.shared import exits
from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import go_to, job_argument, record_of, recorded
from hanse.cli.shared.output import Mode, Output
from hanse.errors import UsageError
from hanse.limits import REPR_CHARS

if TYPE_CHECKING:
    from hanse.records.record import JobRecord


@click.command(cls=Command)
@job_argument
@click.argument("item", type=click.IntRange(0))
@click.option("--pdb", "debug", is_flag=True, help="Stop in the debugger where it fails.")
@click.pass_obj
def replay(out: Output, job: str, item: int, debug: bool) -> None:
    """Run one item again, here, in the foreground.

    Nothing of it is recorded. Exit code 0 if it went well, 1 if it failed.
    """
    if debug and out.mode is not Mode.HUMAN:
        raise click.UsageError("--pdb is for people: leave out --json and --quiet")
    with recorded(job) as (side, head):
        record = record_of(side, head)
        if record.program.calls:
            raise UsageError(
                f"job {head.id} is made of single calls (client.submit), of which none can be run "
                "by itself: call the function again"
            )
        if item >= record.size:
            raise UsageError(f"job {head.id} has {record.size:,} items, numbered from 0")
        call, args = _loaded(record, item)
        _tell_what_was(out, record, item)
        _become(record, item)
    raise SystemExit(_called(out, call, args, item, debug))


def _loaded(record: JobRecord, item: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function and its arguments, unpickled, which runs code of the user's."""
    try:
        return record.function(), record.arguments(item)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{record.head.function} or its arguments cannot be loaded here: "
            f"{type(error).__name__}: {error}. Is this the Python, and are these the packages, "
            "that the job ran with?"
        ) from error


def _tell_what_was(out: Output, record: JobRecord, item: int) -> None:
    if out.mode is not Mode.HUMAN:
        return
    out.note(f"{record.head.function}, item {item} of {record.head.id} ({record.head.name})")
    failed = next((f for f in record.failures() if f.item == item), None)
    if failed is not None:
        out.note(f"It failed, on attempt {failed.attempt}: {failed.what()}")
    elif record.settled.covers(item, item + 1) and item not in record.failed:
        out.note("It went well when the job ran.")
    elif item in record.failed:
        out.note("It failed when the job ran.")


def _become(record: JobRecord, item: int) -> None:
    """Make this process like the worker that ran the item."""
    from hanse.engines.local.current import Item, provide

    current = Item(record.head.id, item, 1)
    provide(lambda: current)
    go_to(record.program.cwd)


def _called(
    out: Output, call: Callable[..., Any], args: tuple[Any, ...], item: int, debug: bool
) -> int:
    # With --json, stdout is for one document: what the item prints goes to stderr then.
    stdout = sys.stderr if out.mode is Mode.JSON else sys.stdout
    try:
        with contextlib.redirect_stdout(stdout):
            value = call(*args)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what we came for
        _tell_failure(out, error, item)
        if debug:
            import pdb

            pdb.post_mortem(_without_our_frames(error.__traceback__))
        return exits.FAILED
    shown = _repr(value)
    document = {"item": item, "ok": True, "repr": shown}
    out.result(document, lambda: out.say(shown), quiet=())
    return exits.OK


def _tell_failure(out: Output, error: BaseException, item: int) -> None:
    told = error.with_traceback(_without_our_frames(error.__traceback__))
    sys.stdout.flush()
    if out.mode is not Mode.QUIET:
        sys.__excepthook__(type(told), told, told.__traceback__)
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    document = {"item": item, "ok": False, "type": kind, "message": _message(error)}
    out.result(document, lambda: None, quiet=())


def _without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    frame = traceback
    while frame is not None and frame.tb_frame.f_code.co_filename == __file__:
        frame = frame.tb_next
    return frame or traceback  # of a call that failed before it began, ours are all there is


def _message(error: BaseException) -> str:
    from hanse.payloads.exceptions import message_of

    return message_of(error)


def _repr(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception as error:  # noqa: BLE001 - a broken __repr__ is no failed item
        shown = f"<{type(value).__qualname__}, whose __repr__ raises {type(error).__name__}>"
    return shown if len(shown) <= REPR_CHARS else shown[:REPR_CHARS] + "..."
