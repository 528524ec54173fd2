"""The one way in which commands speak: to people, to programs (`--json`), or hardly (`--quiet`).

A command hands over what it found once, as plain values, and how to show it to people; which of
the two is written is decided here. Tables are drawn by rich where stdout is a terminal; anywhere
else they are plain aligned text. Names, output and errors come from programs of any kind, so they
are shown as text: control characters are written out, and nothing in them is markup.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from hanse.cli.shared import pipes


class Mode(enum.Enum):
    HUMAN = "human"
    JSON = "json"
    QUIET = "quiet"


class Output:
    """Where one command writes: results to stdout, what goes on beside them to stderr."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        if sys.stdout is None:  # closed by whoever started us: there is nobody to tell
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until we end
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a terminal that knows no "…" is no reason to fail
                stream.reconfigure(errors="backslashreplace")

    # --- what a command found ------------------------------------------------------------------
    def result(
        self, document: Any, human: Callable[[], None], *, quiet: Iterable[str] = ()
    ) -> None:
        """The whole result: one JSON document, or whatever `human` shows, or a few ids."""
        match self.mode:
            case Mode.JSON:
                self._json(document)
            case Mode.QUIET:
                for id in quiet:
                    self._write(line(id))
            case Mode.HUMAN:
                human()

    def event(
        self, document: Any, human: str | None, *, quiet: str | None = None, end: str = "\n"
    ) -> None:
        """One of a stream of results, seen at once: one object per line, or some text."""
        match self.mode:
            case Mode.JSON:
                self._json(document)
            case Mode.QUIET if quiet is not None:
                self._write(line(quiet))
            case Mode.HUMAN if human is not None:
                self._write(text(human), end)
        sys.stdout.flush()

    # --- showing it to people ------------------------------------------------------------------
    def say(self, words: str = "") -> None:
        """A line or more for people, on stdout; seen at once."""
        if self.mode is Mode.HUMAN:
            self._write(text(words))
            sys.stdout.flush()

    def note(self, words: str) -> None:
        """A line for people beside the result: on stderr, in every mode but quiet."""
        if self.mode is not Mode.QUIET:
            write_error(words)

    def fields(self, pairs: Iterable[tuple[str, str | None]]) -> None:
        """Names and values below each other; those without a value are left out."""
        shown = [(name, value) for name, value in pairs if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            first, *rest = text(value).split("\n")
            self._write(f"{name:<{width}}  {first}")
            for more in rest:
                self._write(f"{'':<{width}}  {more}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows below a heading. A column named with a leading ">" is aligned to the right, one with
        a leading "~" may be cut on a narrow terminal."""
        safe = [[line(cell) for cell in row] for row in rows]
        if on_terminal(sys.stdout):
            _rich_table(columns, safe)
        else:
            for shown in _plain_table(columns, safe):
                self._write(shown)

    def _json(self, document: Any) -> None:
        self._write(json.dumps(document, allow_nan=False))

    def _write(self, words: str, end: str = "\n") -> None:
        sys.stdout.write(words + end)


def write_error(words: str) -> None:
    """Write to stderr, behind what stdout has; neither must be a reason to fail."""
    for stream, what in ((sys.stdout, ""), (sys.stderr, text(words) + "\n")):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.write(what)
            stream.flush()


def write_json_error(code: str, message: str) -> None:
    """Tell a program on stdout what went wrong, if it still listens."""
    try:
        print(json.dumps({"error": {"code": code, "message": message}}), flush=True)
    except (OSError, ValueError):
        pipes.silence_stdout()


def on_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def text(words: str) -> str:
    """Text of any origin, safe to show: lines stay lines, other control characters are spelt."""
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() or c in "\n\t" else _spelt(c) for c in words)


def line(words: str) -> str:
    """The same, in one line."""
    return (
        words
        if words.isprintable()
        else "".join(c if c.isprintable() else _spelt(c) for c in words)
    )


def _spelt(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    right = [column.startswith(">") for column in columns]
    every = [[column.lstrip(">~").upper() for column in columns], *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(columns))]
    return [
        "  ".join(
            f"{cell:>{width}}" if to_right else f"{cell:<{width}}"
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in every
    ]


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            Text(column.lstrip(">~")),
            justify="right" if column.startswith(">") else "left",
            no_wrap=not column.startswith("~"),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout, highlight=False).print(table)
