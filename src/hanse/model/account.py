"""What a job has cost by now, and what it is expected to: for people, programs and pages."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hanse.ids import SiteId
from hanse.limits import SECOND
from hanse.model.aims import NANO


class SiteAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Of one site, of the time in which a rented one starts and idles, or of machines that will be
    rented."""

    site: str
    spent: float = 0.0  # there, so far
    expected: float = 0.0  # there, from now on
    leases: int = 0  # that it runs now
    refused: str = ""  # why it gets none at the moment; empty: it may
    moved_bytes: int = 0  # that came from other regions, as far as that was said
    moved_cost: float = 0.0  # of these: a part of what was spent


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts are in the currency of the sites' prices; times are seconds from now.

    Attributes:
        spent: so far; 0 where nothing was asked of the job's placement, as then nothing is counted.
        sites: where, and why not elsewhere.
        budget: what it was given.
        deadline_s: until then; negative: it is over.
        expected: what more it is expected to cost.
        expected_high: ... and at most, in 19 of 20 cases.
        end_s: when it is expected to end.
        end_low_s, end_high_s: between these it ends, four times out of five.
        sooner: what it would cost more to end an hour earlier; None: that cannot be said, or done.
        hurry: all sites are used, as the deadline is near.
        late_s: by how much it is expected to miss its deadline, or has, once it has ended; 0: it
            will be, or was, in time, or nobody can say.
        late_high_s: ... in one of ten cases.
        nowhere: why nothing of it runs, nor will while sites are as they are; empty if it does or
            will.
    """

    spent: float = 0.0
    sites: list[SiteAccount] = []
    budget: float | None = None
    deadline_s: float | None = None
    expected: float | None = None
    expected_high: float | None = None
    end_s: float | None = None
    end_low_s: float | None = None
    end_high_s: float | None = None
    sooner: float | None = None
    hurry: bool = False
    late_s: float = 0.0
    late_high_s: float = 0.0
    nowhere: str = ""


def settled(
    spent: Mapping[SiteId, int], moved: Mapping[SiteId, tuple[int, int]] = {}, late_ns: int = 0
) -> Account | None:
    """Of a job that has ended, or that nobody runs, by what was recorded, in nano; None if nothing
    was counted, and it was in time."""
    if not spent and not moved and not late_ns:
        return None
    sites = []
    for site in dict.fromkeys([*spent, *moved]):
        nbytes, nano = moved.get(site, (0, 0))
        sites.append(SiteAccount(site=site, spent=spent.get(site, 0) / NANO, moved_bytes=nbytes,
                                 moved_cost=nano / NANO))  # fmt: skip
    return Account(spent=sum(spent.values()) / NANO, sites=sites, late_s=late_ns / SECOND)
