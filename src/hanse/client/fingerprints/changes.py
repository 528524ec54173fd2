"""What changed between two manifests of a function, in plain words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hanse.client.fingerprints.manifest import Manifest, Part
from hanse.limits import CHANGES_DIFF_LINES, CHANGES_LINES

if TYPE_CHECKING:
    from tokenize import TokenInfo

_USED = ("class ", "value ", "module ")  # other names are of functions, and called
_TELLING = ("default ", "closure cell ", "argument ", "the ")  # these say themselves whose they are


def changes(old: Manifest, new: Manifest) -> list[str]:
    """Lines that say what changed; none if the function is the same.

    Code is the same if it compiles to the same, whatever its comments and layout. Under another
    minor version of Python, where it cannot, its source is compared without these.
    """
    if old.function != new.function:
        return [f"the function was {old.function} and is {new.function}"]
    lines = list(_all(old, new))
    more = len(lines) - CHANGES_LINES
    return [*lines[:CHANGES_LINES], f"... and {more} more lines"] if more > 0 else lines


def _all(old: Manifest, new: Manifest) -> Iterator[str]:
    words = _Words(new)
    for name, now in new.parts.items():
        was = old.parts.get(name)
        if was is None:
            yield words.added(name, now)
        elif was.python and now.python:
            yield from _code(words.subject(name, now), was, now)
        elif was.digest != now.digest:
            yield _value(words.subject(name, now), was, now)
    words = _Words(old)
    yield from (words.gone(name, old.parts[name]) for name in old.parts if name not in new.parts)


class _Words:
    """Names of parts within sentences about one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._function = manifest.function
        parts = manifest.parts
        self._first = next((name for name in parts if not parts[name].user), "")

    def subject(self, name: str, part: Part) -> str:
        """The part, and how the function comes to rest on it."""
        if name == self._first and part.python:
            return f"the function {self._function}"
        if not part.user or name.startswith(_TELLING) or part.user.startswith("class "):
            return name
        if name.startswith("value "):
            return f"{name}, which {_bare(part.user)} uses,"
        return f"{name}, which {self._who(part)} {_verb(name, part)[1]},"

    def added(self, name: str, part: Part) -> str:
        shown = f": {part.shown}" if part.shown and name.startswith(("value ", *_TELLING)) else ""
        if name.startswith(_TELLING):
            return f"{name} is new{shown}"
        return f"{self._who(part)} {_verb(name, part)[1]} {name} now{shown}"

    def gone(self, name: str, part: Part) -> str:
        if name.startswith(_TELLING):
            return f"{name} is gone"
        return f"{self._who(part)} does not {_verb(name, part)[0]} {name} any more"

    def _who(self, part: Part) -> str:
        return "it" if part.user in ("", self._first) else _bare(part.user)


def _verb(name: str, part: Part) -> tuple[str, str]:
    if part.user.startswith("class "):
        return "have", "has"
    return ("use", "uses") if name.startswith(_USED) else ("call", "calls")


def _bare(user: str) -> str:
    return user.removeprefix("class ").removeprefix("module ")


def _value(subject: str, was: Part, now: Part) -> str:
    if not was.shown or not now.shown or was.shown == now.shown:
        return f"{subject} was changed"
    return f"{subject} was {was.shown} and is {now.shown}"


def _code(subject: str, was: Part, now: Part) -> Iterator[str]:
    if was.python == now.python:
        if was.digest == now.digest:
            return
    elif was.source is None or now.source is None:
        yield (
            f"{subject} cannot be compared: it was recorded by Python {was.python}, this is "
            f"{now.python}, and its source is not known"
        )
        return
    elif _tokens(was.source) == _tokens(now.source):
        return
    diff = _diff(was.source, now.source)
    yield f"{subject} was changed" + (":" if diff else "")
    yield from diff


def _diff(was: str | None, now: str | None) -> list[str]:
    import difflib

    if was is None or now is None:
        return []
    found = difflib.unified_diff(was.splitlines(), now.splitlines(), n=1, lineterm="")
    lines = ["  " + line for line in found if not line.startswith(("---", "+++", "@@"))]
    more = len(lines) - CHANGES_DIFF_LINES
    return [*lines[:CHANGES_DIFF_LINES], f"  ... and {more} more lines"] if more > 0 else lines


def _tokens(source: str) -> list[str]:
    """The source without comments, layout and docstrings."""
    import tokenize

    layout = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
    try:
        found = [
            token
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in layout
        ]
    except (tokenize.TokenError, SyntaxError):  # cut out of its line, as a lambda can be
        return source.split()
    return list(_without_docstrings(found))


def _without_docstrings(found: list[TokenInfo]) -> Iterator[str]:
    import tokenize

    starts = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    skip = False
    for at, token in enumerate(found):
        after = found[at + 1].type if at + 1 < len(found) else tokenize.NEWLINE
        begins = at == 0 or found[at - 1].type in starts
        if skip:
            skip = False  # the end of the line of a docstring
        elif token.type == tokenize.STRING and begins and after == tokenize.NEWLINE:
            skip = True
        elif token.type in starts:
            yield tokenize.tok_name[token.type]  # its text is layout
        else:
            yield token.string
