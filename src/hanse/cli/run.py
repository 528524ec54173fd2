"""`hanse run`: a Python program, run as `python` would run it, with its progress shown.

The program gets this very process: its exit status, its signals and its tracebacks are its own.
What is ours, it must not be able to tell from the outside; so our frames are cut from tracebacks,
and `sys.argv`, `sys.path[0]` and `__main__` are what `python SCRIPT` would have made them.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from types import TracebackType
from typing import Final

import click

NOT_FOUND: Final = 2  # as `python` ends when it has nothing to run
INTERRUPTED: Final = 128 + 2  # what a shell reports of a program that Ctrl-C ended
BROKEN_PIPE: Final = 128 + 13  # and of one whose reader went away, as in `| head`


@click.command(
    # What follows SCRIPT is the script's own, options too.
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.option("-m", "module", is_flag=True, help="SCRIPT is the name of a module.")
@click.option(
    "--progress/--no-progress",
    default=True,
    envvar="HANSE_PROGRESS",
    help="Show how far jobs are, on stderr.  [default: on]",
)
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(script: str, args: tuple[str, ...], module: bool, progress: bool) -> None:
    """Run a Python program.

    Works as `python SCRIPT [ARGS]...` does, and shows how far the program's jobs are.
    """
    # Through the environment: the client reads it, and the programs that this one starts.
    os.environ["HANSE_PROGRESS"] = "1" if progress else "0"
    raise SystemExit(_exit_code(script, args, module))


def _exit_code(script: str, args: tuple[str, ...], module: bool) -> int:
    """Run the program to its end, and say how it ended as a shell would be told."""
    from hanse.cli import program

    leave: SystemExit | None = None
    try:
        found = program.from_module(script) if module else program.from_path(script)
        sys.argv = [found.argv0, *args]
        try:
            found.run()
        except SystemExit as ended:
            leave = ended
        _flush_stdout()
    except program.NotFoundError as error:
        click.echo(f"hanse: {error}", err=True)
        return NOT_FOUND
    except KeyboardInterrupt:
        _clear_screen()
        after_its_echo = "\n" if sys.stderr.isatty() else ""  # the terminal shows ^C
        click.echo(f"{after_its_echo}hanse: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError as error:
        if not _reader_is_gone():
            return _report(error)
        _silence_stdout()
        return BROKEN_PIPE
    except BaseException as error:  # noqa: BLE001 - whatever it is, `python` reports it as well
        return _report(error)
    _clear_screen()
    if leave is not None:
        raise leave
    return 0


def _report(error: BaseException) -> int:
    """Show the program's traceback as `python` does, from the program's first frame on."""
    _clear_screen()
    error = error.with_traceback(_without_our_frames(error.__traceback__))
    sys.excepthook(type(error), error, error.__traceback__)
    return 1


def _without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    from hanse.cli import program

    ours = (__file__, program.__file__)
    frame = traceback
    while frame is not None and frame.tb_frame.f_code.co_filename in ours:
        frame = frame.tb_next
    return frame  # None for a syntax error: its place in the file is in its message


def _clear_screen() -> None:
    """Take live lines off the terminal, if the program had any."""
    watcher = sys.modules.get("hanse.client.watcher")
    if watcher is not None:
        watcher.close()


def _flush_stdout() -> None:
    """Now, where a reader that went away is no drama; Python's own flush at exit makes it one."""
    with contextlib.suppress(AttributeError, ValueError):  # the program closed or removed it
        sys.stdout.flush()


def _reader_is_gone() -> bool:
    """Whether stdout is the pipe that broke: a socket of the program's is its own business."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll here, or no descriptor
        return False


def _silence_stdout() -> None:
    """Let what is still in buffers go nowhere, else Python complains while it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
