"""The files that say what things cost: TOML, checked as a whole.

What bytes cost from region to region, for a gigabyte of 10**9 bytes:

    default = 0.02                  between regions that are not named
    [eu-west]                       from there
    us-east = 0.05                  to there

What an hour of a site costs from certain moments on:

    [[price]]
    since = 2026-12-24T18:00:00Z    with a time zone
    price = 1.9
"""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

from hanse.core.place.egress import Egress
from hanse.errors import UsageError
from hanse.model.aims import NANO

_MOST = 1e9
_LINES = 1000


def egress_of(told: Path | None, usual: Path) -> Egress:
    """By the file that was named, or else by the usual one if it is there. Raises UsageError."""
    path = told if told is not None else usual
    if told is None and not usual.exists():
        return Egress()
    table = _read(path)
    default = table.pop("default", None)
    prices = {}
    for source, row in table.items():
        if not isinstance(row, dict):
            raise UsageError(f"{path}: {source!r} is not a table of regions and prices")
        for target, price in row.items():
            prices[source, target] = _nano(path, f"from {source} to {target}", price)
    if len(prices) > _LINES:
        raise UsageError(f"{path}: more than {_LINES:,} prices")
    if default is None:
        return Egress(prices)
    return Egress(prices, _nano(path, "default", default))


def schedule_of(path: Path) -> list[tuple[int, int]]:
    """Nanoseconds since 1970, and nano for an hour from then on. Raises UsageError."""
    table = _read(path)
    rows = table.pop("price", None)
    if table or not isinstance(rows, list) or not 0 < len(rows) <= _LINES:
        raise UsageError(f"{path}: it has 1 to {_LINES:,} entries [[price]], and nothing else")
    found = []
    for row in rows:
        since = row.get("since") if isinstance(row, dict) else None
        if not isinstance(since, datetime.datetime) or since.tzinfo is None or len(row) != 2:
            raise UsageError(f"{path}: each [[price]] has since = a moment with its time zone, and "
                             "price = a number")  # fmt: skip
        if since.year < 1970:
            raise UsageError(f"{path}: {since} is before 1970")
        found.append((round(since.timestamp()) * NANO, _nano(path, since, row.get("price"))))
    if found != sorted(found, key=lambda one: one[0]):
        raise UsageError(f"{path}: the moments do not ascend")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def _nano(path: Path, what: object, price: object) -> int:
    right = isinstance(price, (int, float)) and not isinstance(price, bool)
    if not right or not 0 <= price < _MOST:  # type: ignore[operator]
        raise UsageError(f"{path}: {what}: a price is a number from 0 on, not {price!r}")
    return round(price * NANO)  # type: ignore[operator]
