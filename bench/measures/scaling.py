"""Cost per item against the number of items, from a thousand on."""

from __future__ import annotations

from bench.contest import Peer
from bench.measures.measure import Family, Measure, Sizes, Teller, check, timed
from bench.work import same

ENOUGH_S = 6.0  # a size is left out when the one before says that it would take longer
SMALLEST = 1_000


def scaling(peer: Peer, sizes: Sizes, teller: Teller) -> dict[str, float]:
    """Nanoseconds per item, for each power of ten that is not too much for the contestant."""
    check(sum(peer.map(same, range(SMALLEST))) == sum(range(SMALLEST)), "the map is wrong")
    costs: dict[str, float] = {}
    items, seconds = SMALLEST, 0.0
    while items <= min(sizes.largest_scale, peer.largest_map) and 10 * seconds < ENOUGH_S * 3:
        seconds, total = timed(lambda items=items: sum(peer.map(same, range(items))))
        check(total == items * (items - 1) // 2, f"the sum of {items} items is wrong")
        costs[f"scale_{items}"] = seconds / items * 1e9
        items *= 10
    return costs


SCALES = tuple(10**power for power in range(3, 9))
SCALING = Family(
    "scaling",
    (Measure("scaling", "", "ns", False, scaling),),
    extra=tuple(
        Measure(f"scale_{items}", f"cost per item of {items:,}", "ns", False) for items in SCALES
    ),
    rounds=3,
)
