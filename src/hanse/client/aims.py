"""What `map` says about time, money and place, checked where it comes in."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from hanse import limits
from hanse.client.data import DataOf
from hanse.errors import UsageError
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.resources import parse_bytes
from hanse.payloads.payload import Payload

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_MOST = 1e9


def aims_of(
    objective: Literal["fastest", "cheapest"] | None, deadline: float | str | None,
    budget: float | None, regions: str | Sequence[str] | None, spot: bool | None,
    data: Mapping[str, int | str] | DataOf | None = None,
) -> Aims | None:  # fmt: skip
    """None if nothing is asked. Raises UsageError."""
    if objective not in (None, "fastest", "cheapest"):
        raise UsageError(f"objective must be 'fastest' or 'cheapest', not {objective!r}")
    if spot not in (None, True, False):
        raise UsageError(f"spot must be True or False, not {spot!r}")
    if isinstance(regions, str):
        regions = [regions]
    named = isinstance(regions, Collection) and all(isinstance(one, str) and one for one in regions)
    if regions is not None and not (regions and named):
        raise UsageError(f"regions must be names of regions, not {regions!r}; None allows all")
    aims = Aims(
        objective=objective or "fastest",
        deadline_ns=None if deadline is None else int(_seconds(deadline) * SECOND),
        budget_nano=None if budget is None else _nano(budget),
        regions=list(regions or ()),
        spot=spot is not False,
        data=[] if callable(data) else _data(data or {}),
        follows=callable(data),
    )
    return None if aims == Aims() else aims


def sharing(aims: Aims, function: Payload) -> Aims:
    """With what the function brings along, if that is large: each site fetches it once."""
    nbytes = function.nbytes
    return replace(aims, shared=nbytes) if nbytes >= limits.SHARED_BYTES else aims


def check_here(aims: Aims) -> None:
    """Where this process does all the work, which is one site in no region. Raises UsageError if
    that may not take the job: no other would ever come."""
    from hanse.core.placing import barred

    why = barred(aims, Tariff())
    if why is not None:
        raise UsageError(
            f"this program runs on no node, and its own machine cannot take the job: {why}"
        )


def _data(data: Mapping[str, int | str]) -> list[tuple[str, int]]:
    if not isinstance(data, Mapping) or not all(isinstance(one, str) and one for one in data):
        raise UsageError(
            "data must be sizes by the region where they lie, or a function that gives hanse.Data "
            f"for an item, not {data!r}"
        )
    sizes = [(region, parse_bytes(size)) for region, size in data.items()]
    if any(size >= _MOST * 1e9 for _, size in sizes):
        raise UsageError(f"data of more than an exabyte: {data!r}")
    return sizes


def _seconds(deadline: float | str) -> float:
    found = None
    if isinstance(deadline, str):
        match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|min|h|d)\s*", deadline)
        found = float(match[1]) * _UNITS[match[2]] if match else None
    elif isinstance(deadline, (int, float)) and not isinstance(deadline, bool):
        found = float(deadline)
    if found is None or not 0 < found < _MOST:
        raise UsageError(
            f"deadline must be seconds above 0, or text such as '90s', '30min' or '2h', not "
            f"{deadline!r}"
        )
    return found


def _nano(budget: float) -> int:
    right = isinstance(budget, (int, float)) and not isinstance(budget, bool)
    if not right or not 0 < budget < _MOST:
        raise UsageError(f"budget must be an amount of money above 0, not {budget!r}")
    return round(budget * NANO)
