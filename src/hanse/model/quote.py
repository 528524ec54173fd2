"""What a job is expected to take and to cost, said beforehand."""

from __future__ import annotations

from typing import Literal

import msgspec

Sureness = Literal["sure", "even", "no", "unknown"]


class SiteShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one site is expected to do of it. In the `cost` is what bytes that it would fetch from
    other regions cost."""

    site: str
    slots: int
    share: float  # of the work
    cost: float
    moved_bytes: int = 0
    moved_cost: float = 0.0


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """Machines that would be rented for it.

    Attributes:
        offer: what they are called in `hanse providers`.
        count: so many at the same time.
        asked_s, up_s: from now, when they are asked for, and when they begin their first items.
        share: of the work, that all of them do.
        cost: of all of them, from when they are asked for until they are gone.
    """

    offer: str
    count: int
    asked_s: float
    up_s: float
    share: float
    cost: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """For one deadline. Times are seconds; amounts are in the currency of the sites' prices.

    Attributes:
        objective: "fastest" or "cheapest".
        deadline_s: None: there is none.
        end_s, end_high_s: when it is expected to end, and at the latest in 19 of 20 cases; None:
            none of its items was timed, and `cost` is what the machines cost at least.
        cost, cost_high: the same of what it costs, with the machines that would be rented.
        met: whether the deadline is met: "sure": in 19 of 20 cases; "even": more likely than not;
            "no": it is not expected to be; "unknown": no item was timed.
        paid: the same of the budget.
        machines: that would be rented; they are none of the `sites`.
        renting: why they would, or why there are none where they are needed, in words.
        sooner: what it would cost more to be done an hour earlier; None: that cannot be.
    """

    objective: str
    deadline_s: float | None
    end_s: float | None
    end_high_s: float | None
    cost: float
    cost_high: float
    met: Sureness
    paid: Sureness
    sites: list[SiteShare]
    machines: list[Brought] = []
    renting: list[str] = []
    sooner: float | None = None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """
    Attributes:
        items: that are left to do.
        timed: how many items it rests on.
        item_s: what one takes at a site of middling speed; None: nothing is known of that.
        spread: the standard deviation of one item over that.
        able: some site could run it, at once or when that has room.
        beside: jobs that hold slots now of which this one would have its part; a few names.
        rows: none where nothing is known, or nobody could run it.
        refused: sites that would get none, and why.
        unrented: offers of which no machine, or none more, can be rented for it now, and why.
    """

    items: int
    timed: int
    item_s: float | None = None
    spread: float = 0.0
    able: bool = True
    beside: list[str] = []
    rows: list[Row] = []
    refused: dict[str, str] = {}
    unrented: dict[str, str] = {}
