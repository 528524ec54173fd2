"""What a function is, as plain values that a journal keeps: `fingerprint` makes them, `changes`
compares them."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One function, class or value that a function rests on."""

    digest: bytes
    user: str = ""  # whose code names it; empty for the function itself
    python: str = ""  # of code: the minor version, such as "3.11", that its digest is valid for
    source: str | None = None  # of code, where it is known and not too long
    shown: str | None = None  # of values, a short text


class Manifest(msgspec.Struct, frozen=True):
    """A function and all that it rests on in its project.

    The names of parts are for people too: "helpers.parse", "class helpers.Reader", "value ALPHA",
    "default `n` of count", "closure cell `x` of count", "argument 2 of partial(count)".
    """

    function: str
    parts: dict[str, Part]
