"""What a job is expected to take and to cost, said beforehand."""

from __future__ import annotations

from typing import Literal

import msgspec

Sureness = Literal["sure", "even", "no"]


class SiteShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one site is expected to do of it."""

    site: str
    slots: int
    share: float  # of the work
    cost: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """For one deadline. Times are seconds; amounts are in the currency of the sites' prices.

    Attributes:
        objective: "fastest" or "cheapest".
        deadline_s: None: there is none.
        end_s, end_high_s: when it is expected to end, and at the latest in 19 of 20 cases.
        cost, cost_high: the same of what it costs.
        met: whether the deadline is met: "sure": in 19 of 20 cases; "even": more likely than not;
            "no": it is not expected to be.
        paid: the same of the budget.
    """

    objective: str
    deadline_s: float | None
    end_s: float
    end_high_s: float
    cost: float
    cost_high: float
    met: Sureness
    paid: Sureness
    sites: list[SiteShare]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """
    Attributes:
        items: that are left to do.
        timed: how many items it rests on.
        item_s: what one takes at a site of middling speed; None: nothing is known of that.
        spread: the standard deviation of one item over that.
        refused: sites that would get none, and why.
    """

    items: int
    timed: int
    item_s: float | None = None
    spread: float = 0.0
    rows: list[Row] = []
    refused: dict[str, str] = {}
