"""Who may have how much of a site: its own home first, then the homes that it is linked to.

Whatever the site's own jobs leave is divided among the other homes, so that each can have its fair
part at any time, and what one does not use is there for the rest (max-min fairness). What a home is
told may shrink while leases run: they end after their present items.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hanse.model.resources import Amount

DAY_MINUTES = 24 * 60


class Hours(msgspec.Struct, frozen=True, array_like=True):
    """A part of every day, in minutes from midnight; it may pass midnight. From a time to the same
    time is the whole day."""

    start: int
    stop: int

    def holds(self, minute: int) -> bool:
        return (minute - self.start) % DAY_MINUTES < (
            (self.stop - self.start) % DAY_MINUTES or DAY_MINUTES
        )


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner of a site lets one home have.

    Attributes:
        share: of everything that the site has, 0 to 1.
        cpus_milli: not more than so much.
        hours: only then; empty: always.
        allow: names of functions, as patterns of the shell; empty: all.
    """

    share: float = 1.0
    cpus_milli: int | None = None
    hours: list[Hours] = []
    allow: list[str] = []

    def limit(self, capacity: Amount, minute: int) -> Amount:
        """The most that the home may have now.

        Args:
            capacity: of the whole site.
            minute: of the day, where the site is.
        """
        if self.hours and not any(hours.holds(minute) for hours in self.hours):
            return Amount()
        limit = _scaled(capacity, self.share)
        if self.cpus_milli is not None and self.cpus_milli < limit.cpus_milli:
            limit = msgspec.structs.replace(limit, cpus_milli=self.cpus_milli)
        return limit


class Claim(msgspec.Struct, frozen=True):
    """One home that the site is linked to: the most that it may have, and what it uses."""

    limit: Amount
    used: Amount


def divide(capacity: Amount, own: Amount, claims: Sequence[Claim]) -> list[Amount]:
    """What each home is told that it has, in the order of the claims.

    Args:
        capacity: of the whole site.
        own: what the site's own jobs use: these are never held up.
    """
    rest = _at_least_nothing(capacity.minus(own))
    fair = _scaled(rest, 1 / max(1, len(claims)))
    total = Amount()
    for claim in claims:
        total = total.plus(claim.used)
    parts = []
    for claim in claims:
        others = total.minus(claim.used)
        free = _larger(_at_least_nothing(rest.minus(others)), fair)
        parts.append(smaller(free, claim.limit))
    return parts


def _scaled(amount: Amount, part: float) -> Amount:
    return Amount(
        cpus_milli=int(amount.cpus_milli * part),
        gpus_milli=int(amount.gpus_milli * part),
        memory_bytes=int(amount.memory_bytes * part),
        custom_milli={name: int(n * part) for name, n in amount.custom_milli.items()},
    )


def _at_least_nothing(amount: Amount) -> Amount:
    return _larger(amount, Amount())


def _larger(one: Amount, other: Amount) -> Amount:
    return Amount(
        cpus_milli=max(one.cpus_milli, other.cpus_milli),
        gpus_milli=max(one.gpus_milli, other.gpus_milli),
        memory_bytes=max(one.memory_bytes, other.memory_bytes),
        custom_milli={
            name: max(one.custom_milli.get(name, 0), other.custom_milli.get(name, 0))
            for name in one.custom_milli | other.custom_milli
        },
    )


def smaller(one: Amount, other: Amount) -> Amount:
    """Of each resource the less."""
    return Amount(
        cpus_milli=min(one.cpus_milli, other.cpus_milli),
        gpus_milli=min(one.gpus_milli, other.gpus_milli),
        memory_bytes=min(one.memory_bytes, other.memory_bytes),
        custom_milli={
            name: min(n, other.custom_milli.get(name, 0)) for name, n in one.custom_milli.items()
        },
    )
