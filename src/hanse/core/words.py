"""Durations and money in words."""

from __future__ import annotations

import math

from hanse import limits
from hanse.core.events import Shortfall
from hanse.model.aims import NANO

_UNITS = (
    (86_400 * limits.SECOND, "d"),
    (3600 * limits.SECOND, "h"),
    (60 * limits.SECOND, "min"),
    (limits.SECOND, "s"),
    (limits.MS, "ms"),
    (1000, "us"),
    (1, "ns"),
)

_LEAST = 1e-12  # of any currency: what is less is nothing


def duration(ns: int) -> str:
    """Two or three digits and a unit."""
    return durations(ns)[0]


def durations(first_ns: int, *others_ns: int) -> list[str]:
    """Durations that are read together: in the unit of the first, which alone names it."""
    unit, name = next(
        (one for one in _UNITS if first_ns >= (2 if one[0] > limits.SECOND else 1) * one[0]),
        _UNITS[-1],
    )
    if unit == limits.MS and first_ns >= 100 * limits.MS:
        unit, name = limits.SECOND, "s"  # 0.45 s reads better than 450 ms
    return [f"{_digits(first_ns, unit)} {name}", *(_digits(ns, unit) for ns in others_ns)]


def money(nano: float) -> str:
    """An amount, in whatever currency prices are written: two digits behind the point, or more
    where it is less than that shows, as in 0.000058."""
    whole = nano / NANO
    if abs(whole) < _LEAST or abs(whole) >= 0.1:
        return f"{whole:,.2f}"
    return f"{whole:.{1 - math.floor(math.log10(abs(whole)))}f}"


def of_budget(short: Shortfall) -> str:
    """Why a budget has ended a job."""
    items = f"{short.done:,} item{'s' if short.done != 1 else ''}"
    return (
        f"its budget of {money(short.budget_nano)} has no room for a further item: "
        f"{money(short.spent_nano)} went for {items}, and {short.left:,} are left"
    )


def _digits(ns: int, unit: int) -> str:
    if ns >= 10 * unit:
        return f"{(ns + unit // 2) // unit:,}"
    if ns >= unit:
        return f"{ns / unit:.1f}".removesuffix(".0")
    return f"{ns / unit:.2f}"
