"""Numbers and times as people read them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import click

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def size(count: float) -> str:
    """Bytes, in the unit that leaves one to four digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def moment(seconds: float | None) -> str:
    """A time since 1970, in this machine's own zone."""
    if seconds is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "?"


def duration(seconds: float) -> str:
    """How long, as progress shows it."""
    from hanse.client.progress import duration

    return duration(seconds)


def ago(seconds: float, now_s: float | None = None) -> str:
    """How long ago, in the largest unit that fits."""
    age = max(0.0, (time.time() if now_s is None else now_s) - seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if age >= length:
            return f"{age / length:.0f} {unit} ago"
    return f"{age:.0f} s ago"


if TYPE_CHECKING:
    _Floats = click.ParamType[float]
else:
    _Floats = click.ParamType  # older ones are not generic


class Age(_Floats):
    """A length of time such as 30d, 12h or 90s, as seconds."""

    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no length of time: write 30d, 12h, 10m or 90s", param, ctx)
        return float(found[1]) * _UNITS[found[2]]
