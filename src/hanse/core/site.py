"""A site as a home sees it: what it said last, and the leases it was granted."""

from __future__ import annotations

from collections.abc import Mapping

from hanse import limits
from hanse.core.lease import Lease
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.aims import Tariff
from hanse.model.fit import Offer, Requires
from hanse.model.job import JobSpec
from hanse.model.resources import Amount

_PLAIN = Tariff()

_NOTHING: Mapping[str, str] = {}


class Site:
    """One agent, as of its last report that was followed."""

    __slots__ = (
        "building",
        "capacity",
        "every_ns",
        "failed",
        "free",
        "heard_ns",
        "id",
        "incarnation",
        "leases",
        "leaving",
        "look_ns",
        "lost_ns",
        "notes_durable",
        "notes_seen",
        "notes_waiting",
        "offer",
        "orders_seen",
        "orders_seq",
        "owed",
        "rated",
        "report_seq",
        "reserved",
        "resting_until_ns",
        "tariff",
        "timed_ns",
        "timed_seq",
        "trip_ns",
        "up_ns",
        "waits",
        "watched_ns",
        "withdrawn",
    )

    def __init__(self, id: SiteId) -> None:
        self.id = id
        self.incarnation = 0
        self.report_seq = 0
        self.notes_seen = 0  # known here
        self.notes_durable = 0  # and whatever was decided on them is recorded: acknowledged
        self.notes_waiting = 0  # are acknowledged once what is decided by now is recorded
        self.orders_seq = 0  # of the last orders sent
        self.orders_seen = 0  # of the last orders it says it followed
        self.owed = False  # its last report was not answered: the next orders acknowledge it
        self.capacity = Amount()  # nothing while it is silent
        self.free = Amount()  # for further grants
        self.leases: list[Lease] = []  # in the order in which they were granted
        self.heard_ns = 0
        self.offer: Offer | None = None  # what it can run; None: everything
        self.waits: Mapping[LeaseId, str] = {}  # leases of which nothing runs: in words, why
        self.building: Mapping[str, str] = _NOTHING  # environments, by name: in words, how far
        self.failed: Mapping[str, str] = _NOTHING  # ... that it cannot build now, and why
        self.resting_until_ns = 0  # it gave up one lease after the other: it is granted none
        self.withdrawn = False  # it takes part no more, until it speaks again
        self.leaving = (
            ""  # why it is being taken away, or was; it runs nothing more until it is back
        )
        self.rated: list[JobId] = []  # those that name it in their rates, the last learnt last
        self.reserved: JobId | None = None  # it is emptied for this job, which needs much at once

        self.look_ns = limits.REPORT_EVERY_NS  # its last orders ask for a report after this long
        self.every_ns = limits.REPORT_EVERY_NS  # ... and the longest that it may still go by
        self.timed_seq = 0  # orders whose trip is being timed; 0: none
        self.timed_ns = 0  # when they were sent
        self.trip_ns = 0  # of a message there and one back
        self.tariff = _PLAIN  # as it was introduced
        self.up_ns: int | None = None  # since when this incarnation is known; None: it is gone
        self.watched_ns = 0  # up to when its life is counted, if it can be taken away
        self.lost_ns: int | None = None  # when it was lost last

    @property
    def restricted(self) -> bool:
        """Its owner lets some functions through only."""
        return self.offer is not None and bool(self.offer.allow)

    def unfit(self, requires: Requires) -> str | None:
        """Why it can never run such code, in words; None if it can."""
        if requires.site and not self.goes_by(requires.site):
            return f"the job is for the site {requires.site}"
        return None if self.offer is None else self.offer.lacks(requires)

    def goes_by(self, name: str) -> bool:
        """Whether this is its name here, a part of that, or a name that it says it has."""
        return (
            name == self.id
            or name in self.id.split("/")
            or (self.offer is not None and name in self.offer.names)
        )

    def lacks(self, requires: Requires) -> str | None:
        """Why it cannot run such code now, in words; None if it can."""
        unfit = self.unfit(requires)
        name = requires.environment
        return unfit or self.building.get(name) or self.failed.get(name)

    def lets(self, spec: JobSpec) -> bool:
        """Whether it is for such jobs: its owner may let some functions through only, and a machine
        that was rented is for jobs with aims."""
        open_to = self.offer is None or self.offer.lets(spec.function)
        return open_to and not (self.tariff.rented and spec.aims is None)

    def may_run(self, spec: JobSpec) -> bool:
        """Whether it may run such items some time, as far as is known."""
        unfit = self.unfit(spec.requires) is not None
        failed = spec.requires.environment in self.failed
        return not unfit and not failed and self.lets(spec) and self.capacity.fits(spec.needs)

    def overdue(self, now_ns: int) -> bool:
        """It should have spoken by now, and may be dead."""
        return now_ns - self.heard_ns > limits.OVERDUE_NS + 2 * (self.every_ns + self.trip_ns)

    @property
    def gone(self) -> bool:
        """A rented machine that has left: others are brought, and this one does not come back."""
        return self.withdrawn and self.tariff.rented

    def silent(self, now_ns: int) -> bool:
        return self.withdrawn or now_ns - self.heard_ns >= limits.LEASE_TTL_NS

    def restarted(self, incarnation: int) -> None:
        """Another process speaks for the site now; it counts from the start again."""
        self.incarnation = incarnation
        self.leaving = ""
        self.report_seq = 0
        self.notes_seen = self.notes_durable = self.notes_waiting = 0
        self.orders_seen = self.timed_seq = 0
