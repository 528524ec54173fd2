"""What a home has seen of the spot machines that it could rent, by their offers.

That a machine was there, was lost after so long, or could not be had: `place.zones` judges by it
where the next one is rented. A machine that was given up, or still runs, counts for the time that
it was there (censored data), and what was seen long ago for little. What may not live here: clocks
and files; whoever owns a home keeps what is told by `told`, and gives it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from hanse.core.place.zones import HOUR, Pool, rates_of
from hanse.core.words import duration
from hanse.model.rental import Rental, Rented

_SHOWN = 0.05  # losses below this have faded: nobody is told of them


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Of one offer, as it is kept. Hours and counts are what has not faded yet.

    Attributes:
        up, lost: hours of machines that were there, and how often one was lost.
        down, back: hours in which there was none, and how often there was one again.
        ago_ns: how long ago it was last known.
        there: what it was like then; None: nobody knows.
        spells: the same by age (`place.spells`): hours and ends up, hours and ends down.
    """

    up: float
    lost: float
    down: float
    back: float
    ago_ns: int
    there: bool | None = None
    spells: list[list[float]] = []


class Spots:
    """Of all offers that can be taken away."""

    def __init__(self, rentals: Iterable[Rental]) -> None:
        self.pools = {each.name: Pool() for each in rentals if each.tariff.spot}

    # --- what is seen ---------------------------------------------------------------------------
    def look(self, machines: Iterable[Rented], now_ns: int) -> None:
        """These are there."""
        count = dict.fromkeys(self.pools, 0)
        for machine in machines:
            if machine.kind in count:
                count[machine.kind] += 1
        for name, pool in self.pools.items():
            if count[name]:
                pool.see(True, now_ns, count[name])
            elif pool.was_up:
                pool.rest()

    def lost(self, kind: str, others: int, now_ns: int) -> None:
        """A machine was taken away, and so many of the kind are still there."""
        if (pool := self.pools.get(kind)) is not None:
            pool.lose(now_ns, others)

    def refused(self, kind: str, others: int, now_ns: int) -> None:
        """None could be brought. Where others of the kind are there, that says little."""
        if (pool := self.pools.get(kind)) is not None and not others:
            pool.see(False, now_ns)

    # --- what follows ---------------------------------------------------------------------------
    def lasts_ns(self) -> dict[str, float]:
        """How long a machine of each offer is expected to stay."""
        rates = rates_of(list(self.pools.values()))
        return {name: HOUR / lost for name, (lost, _) in zip(self.pools, rates, strict=True)}

    def words(self, kind: str) -> str:
        """What was seen of one offer; empty if that is nothing."""
        pool = self.pools.get(kind)
        if pool is None:
            return ""
        said = []
        if pool.up > 0:
            often = "never lost" if pool.lost < _SHOWN else f"lost {_times(pool.lost)}"
            said.append(f"{often} in {duration(int(pool.up * HOUR))}")
        if pool.down > 0:
            said.append(f"not to be had for {duration(int(pool.down * HOUR))}")
        return ", ".join(said)

    # --- what is kept ---------------------------------------------------------------------------
    def told(self, now_ns: int) -> dict[str, Seen]:
        return {
            name: Seen(
                up=pool.up, lost=pool.lost, down=pool.down, back=pool.back,
                ago_ns=now_ns - pool.seen_ns, there=pool.was_up,
                spells=[pool.ups.hours, pool.ups.ends, pool.downs.hours, pool.downs.ends],
            )
            for name, pool in self.pools.items()
            if pool.up or pool.down or pool.was_up is not None
        }  # fmt: skip

    def recall(self, told: Mapping[str, Seen], now_ns: int) -> None:
        """What an earlier run has told, its `ago_ns` as of now."""
        for name, seen in told.items():
            if (pool := self.pools.get(name)) is not None:
                pool.up, pool.lost = max(0.0, seen.up), max(0.0, seen.lost)
                pool.down, pool.back = max(0.0, seen.down), max(0.0, seen.back)
                pool.was_up, pool.seen_ns = seen.there, now_ns - max(0, seen.ago_ns)
                pool.since_ns = pool.seen_ns
                pool.recall(seen.spells)


def _times(count: float) -> str:
    whole = max(1, round(count))
    return {1: "once", 2: "twice"}.get(whole, f"{whole} times")
