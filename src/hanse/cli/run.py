"""`hanse run`: a Python program, run as `python` would run it, with its progress shown.

The program gets this very process: its exit status, its signals and its tracebacks are its own.
What is ours, it must not be able to tell from the outside; so our frames are cut from tracebacks,
and `sys.argv`, `sys.path[0]` and `__main__` are what `python SCRIPT` would have made them.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

import click

from hanse.cli.shared import exits, pipes


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
@click.option("-q", "--quiet", is_flag=True, help="The same as --no-progress.")
@click.option("--prints", is_flag=True, help="Show what items print on a node, too.")
@click.option("--fresh", is_flag=True, help="Start named jobs over, whatever is recorded of them.")
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(
    script: str, args: tuple[str, ...], module: bool, progress: bool, quiet: bool, prints: bool,
    fresh: bool,
) -> None:  # fmt: skip
    """Run a Python program, and show how far its jobs are.

    Works as `python SCRIPT [ARGS]...` does: what the program prints, and its exit code, are its
    own. A program that was killed goes on with its named jobs where they were.
    """
    # Through the environment: the client reads it, and the programs that this one starts.
    os.environ["HANSE_PROGRESS"] = "1" if progress and not quiet else "0"
    if prints:
        os.environ["HANSE_PRINTS"] = "1"
    if fresh:
        # This run's own: a job that it has started over is not started over again, whichever of
        # its processes comes to it next.
        os.environ["HANSE_FRESH"] = os.urandom(8).hex()
    raise SystemExit(exit_code(script, args, module))


def exit_code(script: str, args: tuple[str, ...], module: bool, quiet: bool = False) -> int:
    """Run the program to its end, and say how it ended as a shell would be told; `quiet`: of Ctrl-C
    nothing is said."""
    from hanse.cli.shared import program

    leave: SystemExit | None = None
    try:
        found = program.from_module(script) if module else program.from_path(script)
        sys.argv = [found.argv0, *args]
        try:
            found.run()
        except SystemExit as ended:
            leave = ended
        pipes.flush_stdout()
    except program.NotFoundError as error:
        click.echo(f"hanse: {error}", err=True)
        return exits.USAGE
    except KeyboardInterrupt:
        _clear_screen()
        after_its_echo = "\n" if sys.stderr.isatty() else ""  # the terminal shows ^C
        if not quiet:
            click.echo(f"{after_its_echo}hanse: interrupted", err=True)
        return exits.INTERRUPTED
    except BrokenPipeError as error:
        if not pipes.reader_is_gone():
            return _report(error)
        pipes.silence_stdout()
        return exits.BROKEN_PIPE
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
    from hanse.cli.shared import program

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
