"""What items took: their times as a histogram, processor time, memory.

Times are counted in buckets of an eighth of a power of two (an HDR histogram in integers), so any
quantile is right within 7 %, histograms of any segments can be added, and a million items cost a
few dozen numbers.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hanse.ids import SiteId

BUCKETS = 64 << 3  # durations fit 63 bits


def bucket_of(ns: int) -> int:
    """The bucket of a duration: its power of two, and the next three bits."""
    ns = max(ns, 8)
    bits = ns.bit_length()
    return bits << 3 | ns >> bits - 4 & 7


def middle_of(bucket: int) -> int:
    """Nanoseconds in the middle of a bucket."""
    bits, eighth = bucket >> 3, bucket & 7
    return (16 + 2 * eighth + 1) << bits - 5 if bits >= 5 else 8 + eighth


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What some items took together.

    Attributes:
        times: how many items fell into which bucket of time.
        cpu_ns: processor time, user and system, of the worker and the children it waited for.
        peak_bytes: the most resident memory that a worker had while it ran one of them, the
            interpreter itself included.
        spent: what they have cost, in nano, by site, where that is counted.
        moved: bytes that came to a site from other regions, and nano for them: a part of `spent`.
        late_ns: how long its deadline was over when `spent` was counted last.
    """

    times: Annotated[dict[int, int], msgspec.Meta(max_length=BUCKETS)] = {}
    cpu_ns: int = 0
    peak_bytes: int = 0
    spent: dict[SiteId, int] = {}
    moved: dict[SiteId, tuple[int, int]] = {}
    late_ns: int = 0

    def plus(self, other: Usage) -> Usage:
        times = dict(self.times)
        for bucket, count in other.times.items():
            times[bucket] = times.get(bucket, 0) + count
        spent = other.spent or self.spent  # sums, of which the later one counts
        peak_bytes = max(self.peak_bytes, other.peak_bytes)
        moved = other.moved or self.moved
        late_ns = other.late_ns or self.late_ns
        return Usage(times, self.cpu_ns + other.cpu_ns, peak_bytes, spent, moved, late_ns)

    @property
    def items(self) -> int:
        return sum(self.times.values())

    def quantile_ns(self, share: float) -> int | None:
        """The time that this share of the items stayed within; None without any."""
        left = share * self.items
        for bucket in sorted(self.times):
            left -= self.times[bucket]
            if left <= 0:
                return middle_of(bucket)
        return None
