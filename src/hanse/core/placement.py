"""What a home keeps of a job that asks where it runs: its aims, its purse, and the plan.

Jobs without aims have none of this, and cost nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hanse import limits
from hanse.core.place.near import Near
from hanse.core.place.offer import Offer
from hanse.core.place.plan import ALL, Plan
from hanse.core.place.work import Work
from hanse.core.purse import Purse, cost_of
from hanse.ids import SiteId
from hanse.model.aims import Aims

if TYPE_CHECKING:
    from hanse.core.beside import Beside
    from hanse.core.reckoning import Expected

NOT_YET = "it is not part of the plan yet"


class Placement:
    """Of one job, as of the last look."""

    __slots__ = (
        "aims",
        "barred",
        "beside",
        "has",
        "held",
        "kept",
        "look_ns",
        "looked_ns",
        "moved",
        "near",
        "plan",
        "power",
        "purse",
        "quota",
        "renting",
        "slots",
        "stopped",
        "tell_ns",
        "told",
        "waits",
        "work",
    )

    def __init__(self, aims: Aims) -> None:
        self.aims = aims
        self.purse = Purse()
        self.work = Work()
        self.near = Near() if aims.follows else None
        self.moved: dict[SiteId, tuple[int, int]] = {}  # bytes from other regions; nano for them
        self.has: dict[SiteId, int] = {}  # incarnations that have fetched what all items share
        self.quota: dict[SiteId, int] = {}  # leases that it may hold at a site; none: 0
        self.held: dict[SiteId, int] = {}  # leases that it holds there: never 0
        self.barred: dict[SiteId, str] = {}  # sites that its aims rule out, and why
        self.beside: dict[SiteId, Beside] = {}  # of one that is only imagined: see `beside`
        self.plan: Plan | None = None
        self.renting: list[str] = []  # what was or is not rented for it, and why
        self.waits = False  # somebody will work for it: sites, or machines that come by and by
        self.slots = 0  # that the plan uses
        self.power = 0.0  # items per nanosecond of them together
        self.look_ns = 0  # when the plan is made anew
        self.looked_ns = -1  # when it was made last
        self.kept: SiteId | None = None  # its next free slot is for an item that is late
        self.tell_ns = 0  # when what was spent is recorded next
        self.told: tuple[int, Expected] | None = None  # what was expected when somebody asked last
        self.stopped = False  # the budget has no room for a further lease

    def allows(self, site: SiteId) -> bool:
        """Whether one more lease may be granted there."""
        if self.stopped or site == self.kept:
            return False
        if self.near is not None and not self.near.allows(site):
            return False
        quota = self.quota.get(site, 0)
        return quota >= ALL or self.held.get(site, 0) < quota

    def count(self, offers: Sequence[Offer]) -> None:
        """What the plan comes to."""
        assert self.plan is not None
        self.slots, self.power = 0, 0.0
        mean, _, known = self.work.moments()
        for offer in offers:
            used = min(offer.slots, self.plan.slots.get(offer.site, 0))
            self.slots += used if known else 0
            self.power += used * offer.speed / mean if known else 0.0

    def spent_up(self, now_ns: int) -> bool:
        """The leases that are out have used up the budget, or will before the next look."""
        budget, purse = self.aims.budget_nano, self.purse
        if budget is None:
            return False
        soon = purse.due(now_ns) + cost_of(limits.REPORT_EVERY_NS, purse.burns())
        if purse.total() + soon + purse.reserved <= budget + len(purse.open):  # each is rounded
            return False
        self.stopped = True
        return True

    def why_not(self, site: SiteId) -> str | None:
        """Why no lease is granted there, as far as the aims go; None if they allow it."""
        if site in self.barred:
            return self.barred[site]
        if self.stopped:
            return "the budget has no room for a further lease"
        if self.allows(site):
            return None
        reasons = self.plan.reasons if self.plan is not None else {}
        if self.near is not None and site not in reasons and self.quota.get(site):
            return "what is left to begin is cheaper where its data lies, or nearer to it"
        enough = "it holds as many there as the plan has" if self.quota.get(site) else NOT_YET
        return reasons.get(site, enough)
