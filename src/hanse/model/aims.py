"""On what terms a site works, and what a job asks of the places where it runs.

Money is counted in whole billionths ("nano") of whatever currency the prices are written in, so
that sums are exact and equal on every machine.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Objective = Literal["fastest", "cheapest"]

NANO = 1_000_000_000
_MOST = 10**18  # nano, nanoseconds and bytes: sums of them stay exact
_LATEST = 1 << 62  # nanoseconds since 1970: in the year 2116
_NAME, _MANY = 100, 1000
HOUR_NS = 3600 * 1_000_000_000


class Tariff(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a site says of itself.

    Attributes:
        region: where it is; "" is somewhere of its own.
        price_nano: what an hour of all of it costs.
        schedule: other prices from certain moments on, ascending: since 1970 where a site tells of
            itself, on the home's own clock in a home.
        spot: it may be taken away at any time.
        speed_milli: how fast it is beside others, in thousandths; 0: it does not know. A first
            guess, which what is measured soon outweighs.
        start_ns: what it takes to begin there: to move code and data, to boot.
        rented: it was brought for jobs with a deadline or a budget, and runs no others.
    """

    region: str = ""
    price_nano: int = 0
    schedule: list[tuple[int, int]] = []
    spot: bool = False
    speed_milli: int = 0
    start_ns: int = 0
    rented: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError: a bad number would stop the home that places by it."""
        _check(self.price_nano, self.speed_milli, self.start_ns, *(n for _, n in self.schedule))
        moments = [since_ns for since_ns, _ in self.schedule]
        if moments != sorted(moments) or any(not 0 <= each < _LATEST for each in moments):
            raise ValueError("the moments of a schedule ascend, and are not before 1970")
        if len(self.region) > _NAME or len(self.schedule) > _MANY:
            raise ValueError("a region has too long a name, or a schedule too many prices")

    def on_clock(self, by_ns: int) -> Tariff:
        """The same on a clock that is ahead by so much."""
        schedule = [(max(0, since_ns + by_ns), price) for since_ns, price in self.schedule]
        return msgspec.structs.replace(self, schedule=schedule)

    def price_at(self, now_ns: int) -> int:
        """For an hour of all of it, at that moment."""
        price = self.price_nano
        for since_ns, then in self.schedule:
            if since_ns > now_ns:
                break
            price = then
        return price


class Aims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job asks of its placement. A job without aims runs wherever there is room.

    Attributes:
        objective: "fastest" uses every site that helps; "cheapest" the cheapest ones that meet the
            deadline, or the very cheapest if there is none.
        deadline_ns: after the job was submitted; None: no hurry.
        budget_nano: no lease is granted that could pass this; None: no limit.
        regions: those that it may run in; empty: all.
        spot: it may run on sites that can be taken away.
        data: bytes of its inputs, by the region where they lie; each item needs its part of them.
        follows: its items say themselves where what they read lies (see `model.data`).
        shared: bytes that each site fetches from the home once, with the function.
    """

    objective: Objective = "fastest"
    deadline_ns: int | None = None
    budget_nano: int | None = None
    regions: list[str] = []
    spot: bool = True
    data: list[tuple[str, int]] = []
    follows: bool = False
    shared: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        sizes = (size for _, size in self.data)
        _check(self.deadline_ns or 0, self.budget_nano or 0, self.shared, *sizes)
        regions = [*self.regions, *(region for region, _ in self.data)]
        if len(regions) > _MANY or any(len(region) > _NAME for region in regions):
            raise ValueError(f"at most {_MANY} regions can be named, with {_NAME} letters each")


def _check(*numbers: int) -> None:
    if any(not 0 <= number < _MOST for number in numbers):
        raise ValueError(f"times, amounts of money and sizes are from 0 to {_MOST:.0e}")
