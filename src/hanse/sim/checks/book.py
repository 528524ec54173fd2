"""Who was granted what, and what was heard of it: kept from the orders that were sent and the
reports that came, in the words of `core.messages` alone.

From its home the book only learns that it holds a lease no longer; whether it may let go of it is
decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from hanse import limits
from hanse.core.messages import EndNote, Grant, Note, Orders, Report, Running
from hanse.ids import JobId, LeaseId
from hanse.sim.checks import items
from hanse.sim.checks.items import Items


class Entry:
    """A lease that the home holds."""

    __slots__ = (
        "beside",
        "cancelled",
        "cpus",
        "cut",
        "given",
        "incarnation",
        "job",
        "lease",
        "seq",
        "site",
        "start",
        "stop",
    )

    def __init__(
        self, running: Grant | Running, site: str, incarnation: int, seq: int, cpus: int
    ) -> None:
        self.lease, self.job = running.lease, running.job
        self.start, self.stop = running.start, running.stop
        self.site, self.incarnation = site, incarnation
        self.seq = seq  # of the orders that granted it
        self.cpus = cpus
        self.given = items.NONE  # failed under it, and are to be tried under another
        self.cut: int | None = None  # asked for, and not shown by its site yet
        self.cancelled = False
        self.beside = False  # others of its job reached into its items when it came

    @property
    def items(self) -> Items:
        return items.span(self.start, self.stop) & ~self.given


class SitePage:
    """What one site said last, and what it was told."""

    def __init__(self) -> None:
        self.incarnation = self.report_seq = self.orders_seen = self.notes_seen = 0
        self.heard_ns = 0
        self.capacity = 0
        self.told: dict[int, tuple[int, int]] = {}  # orders not passed: when, and how long to wait
        self.trip_ns = 0  # the longest of any orders and the answer to them

    def is_news(self, report: Report) -> bool:
        return (report.incarnation, report.seq) > (self.incarnation, self.report_seq)

    def fresh(self, report: Report) -> list[Note]:
        """The notes that were not heard before."""
        known = self.notes_seen if report.incarnation == self.incarnation else 0
        return report.notes[max(0, known + 1 - report.first_note) :]

    def hear(self, report: Report, now_ns: int) -> None:
        if report.incarnation > self.incarnation:
            self.notes_seen = 0
            self.told.clear()
        self.incarnation, self.report_seq = report.incarnation, report.seq
        self.notes_seen = max(self.notes_seen, report.first_note + len(report.notes) - 1)
        self.heard_ns = now_ns
        self.capacity = report.capacity.cpus_milli
        sent = self.told.get(report.orders_seen)
        if sent is not None and report.orders_age_ns >= 0:
            self.trip_ns = max(self.trip_ns, now_ns - sent[0] - report.orders_age_ns)
        self.orders_seen = report.orders_seen
        for seq in [seq for seq in self.told if seq < report.orders_seen]:
            del self.told[seq]

    def overdue(self, now_ns: int) -> bool:
        """By whichever orders it follows now it should have spoken, long ago."""
        waits = [wait_ns for _, wait_ns in self.told.values()]
        if self.orders_seen not in self.told:
            waits.append(limits.REPORT_EVERY_NS)  # it follows those of an earlier run, or none
        return now_ns - self.heard_ns > limits.OVERDUE_NS + 2 * max(waits)

    def silent(self, now_ns: int) -> bool:
        return now_ns - self.heard_ns >= limits.LEASE_TTL_NS


def most_leases(cpus: int, short: bool) -> int:
    """That a site may hold: what runs there and what may follow at once, and as much again, as what
    is taken back of an earlier run comes on top of what was granted before it was shown. `short`:
    a job has leases there that may be of one item by its data."""
    ahead = limits.LOOK_AHEAD_SHORT if short else limits.LOOK_AHEAD_LEASES
    return 2 * (1 + ahead) * cpus


class Book:
    """Of one run of a home."""

    def __init__(self, following: Set[JobId]) -> None:
        self.following = following  # jobs whose items say where their data lies
        self.sites: dict[str, SitePage] = {}
        self.open: dict[LeaseId, Entry] = {}
        self.granted: dict[JobId, Items] = {}  # ever, to anybody, or taken back
        self.by_job: dict[JobId, dict[LeaseId, Entry]] = {}
        self.by_site: dict[str, dict[LeaseId, Entry]] = {}
        self._closed: list[Entry] = []  # at this event

    def site(self, name: str) -> SitePage:
        return self.sites.setdefault(name, SitePage())

    def of_job(self, job: JobId) -> list[Entry]:
        return list(self.by_job.get(job, {}).values())

    def is_short(self, name: str) -> bool:
        """Whether the site holds a lease of a job that follows its data."""
        return any(entry.job in self.following for entry in self.of_site(name))

    def of_site(self, name: str) -> list[Entry]:
        return list(self.by_site.get(name, {}).values())

    def add(self, entry: Entry) -> None:
        these = items.span(entry.start, entry.stop)
        others = self.of_job(entry.job) + [e for e in self._closed if e.job == entry.job]
        entry.beside = any(o.start < entry.stop and entry.start < o.stop for o in others)
        self.open[entry.lease] = entry
        self.by_job.setdefault(entry.job, {})[entry.lease] = entry
        self.by_site.setdefault(entry.site, {})[entry.lease] = entry
        self.granted[entry.job] = self.granted.get(entry.job, items.NONE) | these

    def begin(self) -> None:
        """An event is to come."""
        self._closed.clear()

    def close(self, entry: Entry) -> None:
        self._closed.append(entry)
        for entries in (self.open, self.by_job[entry.job], self.by_site[entry.site]):
            del entries[entry.lease]

    def show(self, report: Report) -> None:
        """What its site says of a lease: where it will end."""
        for running in report.running:
            entry = self.open.get(running.lease)
            if entry is None or entry.site != report.site:
                continue
            short = running.stop < entry.stop
            entry.stop = min(entry.stop, running.stop)
            if short or running.begun + 1 >= entry.stop:
                entry.cut = None  # it was cut, or it is too late to cut it

    def may_close(self, entry: Entry, report: Report | None, now_ns: int, tick: bool) -> bool:
        """Whether the home may let go of a lease at this event: `report` is what it hears."""
        page = self.site(entry.site)
        if entry.seq > page.orders_seen:
            return True  # its site may not have seen it, and it is taken back
        if page.overdue(now_ns) or (tick and page.silent(now_ns)):
            return True
        if report is None or report.site != entry.site:
            return False
        if entry.incarnation < report.incarnation:
            return True  # it died with its process
        if any(type(note) is EndNote and note.lease == entry.lease for note in report.notes):
            return True
        return all(running.lease != entry.lease for running in report.running)

    def rivals(self, entry: Entry, open_items: Items) -> Iterator[tuple[Entry, Items]]:
        """Others that hold some of its open items, and which."""
        for other in self.of_job(entry.job):
            both = other.items & entry.items & open_items
            if other is not entry and both:
                yield other, both

    def missing(self, orders: Orders) -> str:
        """What these orders leave out of what the site has not shown to have followed."""
        page = self.site(orders.site)
        runs = [entry for entry in self.of_site(orders.site) if not entry.cancelled]
        grants = {grant.lease: grant for grant in orders.grants}
        cuts = {cut.lease for cut in orders.cuts}
        for entry in runs:
            if (entry.seq > page.orders_seen) is not (entry.lease in grants):
                return f"the grant of lease {entry.lease}"
            if entry.cut is not None and entry.lease not in cuts:
                return f"the cut of lease {entry.lease}"
            grant = grants.pop(entry.lease, None)
            if grant is not None and (grant.start, grant.stop) != (entry.start, entry.stop):
                return f"the bounds of lease {entry.lease}"
        return f"that nobody holds them: {list(grants)}" if grants else ""

    def overfull(self, site: str) -> str:
        """How a site was granted more than it has room for, beyond what is to follow at once."""
        page, entries = self.site(site), self.of_site(site)
        if len(entries) > most_leases(page.capacity // 1000, self.is_short(site)):
            return f"{len(entries)} leases"
        cpus = sum(entry.cpus for entry in entries)
        if 1000 * cpus > page.capacity and page.trip_ns < limits.LOOK_AHEAD_NS:
            return f"{cpus} cpus, and orders reach it within {page.trip_ns} ns"
        return ""
