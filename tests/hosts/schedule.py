"""What goes wrong in a run, drawn from its seed beforehand: data, the same for each run of a seed.

When a fault strikes is told in items that have begun, so every fault meets a job that runs, however
fast the machine; how long it lasts is told in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

HOME = "home"
CLIENT = "client"


class Kind(StrEnum):
    WORKER_KILLED = "a worker is killed"
    NODE_KILLED = "the node is killed, and started again"
    HOST_CRASHED = "the host fails, and is started again"
    FROZEN = "the host is frozen past its lease time, and wakes"
    CUT = "the host is cut off, and nobody is told"
    HUNG = "its connections hang"
    RESET = "its connections are reset"
    DISK_FULL = "the disk is full"
    BIT_FLIPPED = "a bit flips in a blob on disk"
    CLOCK_STEPPED = "the clock is stepped by an hour"


DEATHS = frozenset({Kind.NODE_KILLED, Kind.HOST_CRASHED})
CUTS = frozenset({Kind.CUT, Kind.HUNG, Kind.RESET})


class Fault(NamedTuple):
    """`pick` is a number that chooses among what there is when it strikes: workers, blobs, bits."""

    at: float  # the part of all items that have begun by then
    place: str
    kind: Kind
    lasts_s: float
    pick: int

    def __str__(self) -> str:
        lasting = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"at {self.at:.0%}, {self.place}: {self.kind}{lasting}"


def draw(seed: int, sites: Sequence[str], ttl_s: float) -> list[Fault]:
    """The faults of a run, in order.

    Every kind is there: a worker, a site and the home are killed, a site is frozen and another cut
    off, the client is cut off, disks are full at a site and at the home, a bit flips, a clock is
    stepped. Without `sites` what is for a site alone is left out, and the rest meets the home.
    """
    chance = random.Random(seed)
    anywhere = [HOME, *sites]
    some = chance.choice
    faults = [
        (some(anywhere), Kind.WORKER_KILLED, 0.0),
        (HOME, some(sorted(DEATHS)), chance.uniform(0, 2)),
        (CLIENT, some(sorted(CUTS)), ttl_s * chance.uniform(0.2, 1.2)),
        (HOME, Kind.DISK_FULL, chance.uniform(0.2, 2)),
        (HOME, Kind.BIT_FLIPPED, chance.uniform(0.2, 2)),
        (some(anywhere), Kind.CLOCK_STEPPED, 0.0),
    ]
    if sites:
        faults += [
            (some(sites), some(sorted(DEATHS)), chance.uniform(0, 2)),
            (some(sites), Kind.FROZEN, ttl_s * chance.uniform(1.1, 1.5)),
            (some(sites), some(sorted(CUTS)), ttl_s),
            (some(sites), Kind.DISK_FULL, chance.uniform(0.2, 2)),
            (some(sites), Kind.BIT_FLIPPED, 0.0),
        ]
    chance.shuffle(faults)
    moments = sorted(chance.uniform(0.1, 0.8) for _ in faults)
    return [
        Fault(at, place, kind, lasts_s, chance.randrange(1 << 30))
        for at, (place, kind, lasts_s) in zip(moments, faults, strict=True)
    ]
