"""What all subcommands have in common: `--json`, `--quiet`, and how errors end them.

Nothing here is imported by programs, nor anything heavy: `hanse --help` and `hanse run` come by.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import click

from hanse.cli.shared import exits, pipes
from hanse.cli.shared.output import Mode, Output, write_error, write_json_error

_ARGS: Final = "hanse.args"  # in a context: all that the group was called with


class Command(click.Command):
    """A subcommand that can also speak JSON, or hold its tongue. Its context's `obj` is the
    `Output`: take it with `click.pass_obj`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Write JSON, for programs."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Write ids only, or nothing."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        as_json, quiet = ctx.params.pop("as_json"), ctx.params.pop("quiet")
        if as_json and quiet:
            raise click.UsageError("--json and --quiet exclude each other", ctx)
        ctx.obj = Output(Mode.JSON if as_json else Mode.QUIET if quiet else Mode.HUMAN)
        return super().invoke(ctx)


class LazyGroup(click.Group):
    """Subcommands that are imported when they are called; their names and one line of help for
    each are known before. The place where every error ends, and becomes an exit code."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table  # name: (module, one line of help)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """However it was started, it is called hanse: completion goes by that name."""
        return self.main(*args, **{"prog_name": "hanse"} | kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        found = getattr(import_module(self.table[cmd_name][0]), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in self.table.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:  # fmt: skip
        given = list(args)
        with ended_in_words(given):
            ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[_ARGS] = given
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        with ended_in_words(ctx.meta[_ARGS]):
            result = super().invoke(ctx)
            pipes.flush_stdout()
            return result


@contextlib.contextmanager
def ended_in_words(args: list[str]) -> Iterator[None]:
    """Turn whatever comes out into words and an exit code. Only bugs keep their tracebacks."""
    from hanse.errors import HanseError, InternalError

    try:
        yield
    except click.exceptions.Exit:  # such as --help, which has been shown by now
        _calmly(pipes.flush_stdout)
        raise
    except click.ClickException as error:
        _tell_programs(args, "usage", error.format_message())
        error.show()
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, click.Abort):
        after_its_echo = "\n" if sys.stderr.isatty() else ""  # the terminal shows ^C
        _tell_programs(args, "interrupted", "interrupted")
        write_error(f"{after_its_echo}hanse: interrupted")
        raise SystemExit(exits.INTERRUPTED) from None
    except InternalError as error:
        _tell_programs(args, error.code, str(error))
        raise
    except HanseError as error:
        _tell_programs(args, error.code, str(error))
        write_error(f"hanse: {error}")
        raise SystemExit(exits.code_of(error)) from None
    except BrokenPipeError as error:
        if not pipes.reader_is_gone():
            raise
        pipes.silence_stdout()
        raise SystemExit(exits.code_of(error)) from None
    except OSError as error:
        _tell_programs(args, "os", _os_words(error))
        write_error(f"hanse: {_os_words(error)}")
        pipes.silence_stdout()  # a full disk behind it would be told once more at the exit
        raise SystemExit(exits.code_of(error)) from None


def _calmly(act: Callable[[], None]) -> None:
    """Do something with a stdout that may be gone or full by now."""
    try:
        act()
    except BrokenPipeError:
        pipes.silence_stdout()
        raise SystemExit(exits.BROKEN_PIPE) from None
    except OSError as error:
        write_error(f"hanse: {_os_words(error)}")
        pipes.silence_stdout()
        raise SystemExit(exits.WORLD) from None


def _os_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _tell_programs(args: list[str], code: str, message: str) -> None:
    """The error as JSON, if that was asked for."""
    if _wants_json(args):
        write_json_error(code, message)


def _wants_json(args: list[str]) -> bool:
    """Told from the words themselves: the error may be that they could not be understood."""
    if args[:1] == ["run"]:  # what follows is the program's own
        return False
    return "--json" in (args[: args.index("--")] if "--" in args else args)
