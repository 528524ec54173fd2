"""Large values and long streams: arrays out and back, ten million items of a generator."""

from __future__ import annotations

from bench.contest import Peer
from bench.measures.measure import (
    Family,
    Figures,
    Measure,
    Sizes,
    Teller,
    at_most,
    both,
    bound,
    check,
    fitting,
    timed,
)  # fmt: skip
from bench.work import same

ARRAY_ITEMS = 1 << 20  # of 8 bytes
PEERS = ("pool", "executor", "joblib", "ray", "dask")


def arrays(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    """Each array is looked at on the way; that all of it is right was checked on the first few."""
    import numpy as np

    given = [np.full(ARRAY_ITEMS, i, np.float64) for i in range(sizes.arrays)]
    for array in given:
        array[-1] = -1.0
    few = list(peer.arrays(same, given[:4]))
    equal = len(few) == len(given[:4]) and all(map(np.array_equal, few, given))
    check(equal, "an array came back changed")
    del few

    def work() -> list[tuple[int, float, float]]:
        return [(len(a), float(a[0]), float(a[-1])) for a in peer.arrays(same, given)]

    seconds, seen = timed(work)
    check(seen == [(ARRAY_ITEMS, float(i), -1.0) for i in range(sizes.arrays)], "an array is wrong")
    return seconds


def stream(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    def run(count: int) -> tuple[int, int]:
        seen = total = 0
        for value in peer.stream(same, (i for i in range(count))):
            seen += 1
            total += value
        return seen, total

    count = fitting(sizes.streamed, run)
    seconds, seen = timed(lambda: run(count))
    check(seen == (count, count * (count - 1) // 2), f"{seen} are not the stream's count and sum")
    return count / seconds


def ahead(figures: Figures) -> bool | None:
    return at_most(1.0, "arrays", *PEERS)(figures)


ARRAYS = Family(
    "arrays",
    (
        Measure("arrays", "64 arrays of 8 MiB out and back", "s", False, arrays,
                "ahead of every peer, within 2 x of memcpy",
                both(ahead, at_most(2.0, "arrays", "alone"))),
    ),
)  # fmt: skip
STREAM = Family(
    "stream",
    (
        Measure("stream", "10,000,000 items of a generator", "items/s", True, stream,
                "over 2M items/s", bound("stream", low=2e6), watched=True),
    ),
    extra=(
        Measure("stream_memory", "memory meanwhile at most, all processes", "MB", False, None,
                "under 150 MB", bound("stream_memory", high=150)),
    ),
)  # fmt: skip
