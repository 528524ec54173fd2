"""The books of a rehearsal: who ran what and when, what of it counted, and what it cost.

They look on and change nothing. All times are of the world, in nanoseconds, and at the end for each
site: busy = useful + failed + twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from hanse.core.events import Decision, Event, Fact, ItemsFailed, JobEnded, SegmentCommitted
from hanse.core.messages import Note
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.sim.client import Answer, Ask
from hanse.sim.engine import Run
from hanse.sim.home import HomeNode
from hanse.sim.rehearsal_scenario import SiteKind
from hanse.sim.site import HomeLink


@dataclass
class LeaseBook:
    """What became of one lease. `parts` are the reported items that are not committed yet."""

    job: JobId
    site: str
    lanes: list[int]  # of the picture
    cpus: int
    begun_ns: int
    reported_ns: int  # all before it was reported
    ended_ns: int = -1
    useful_ns: int = 0
    parts: list[tuple[int, int, int]] = field(default_factory=list)  # start, stop, busy


@dataclass
class SiteBook:
    """One machine. Times of items count once for each cpu that they hold."""

    name: str
    kind: SiteKind
    items: int = 0
    leases: int = 0
    evictions: int = 0
    busy_ns: int = 0
    useful_ns: int = 0
    failed_ns: int = 0  # attempts that failed
    up_ns: int = 0
    up_since_ns: int = -1
    free: list[int] = field(default_factory=list)  # lanes of the picture, as a heap

    @property
    def twice_ns(self) -> int:
        """Work that was lost before it was reported, or that somebody else did as well."""
        return self.busy_ns - self.useful_ns - self.failed_ns

    @property
    def use(self) -> float:
        return self.busy_ns / (self.up_ns * self.kind.cpus) if self.up_ns else 0.0

    @property
    def cost(self) -> float:
        return self.kind.price_per_hour * self.up_ns / 3.6e12

    def take_lanes(self, count: int) -> list[int]:
        """The lowest free lanes, beside each other if there are so many; fewer if a grant has
        overtaken an end."""
        if count == 1 and self.free:
            return [heappop(self.free)]
        free = sorted(self.free)
        first = next((n for n in range(len(free)) if _adjacent(free[n : n + count], count)), 0)
        taken, self.free = free[first : first + count], free[:first] + free[first + count :]
        return taken


def _adjacent(lanes: list[int], count: int) -> bool:
    return len(lanes) == count and lanes[-1] - lanes[0] == count - 1


@dataclass(frozen=True)
class Mark:
    """Something went wrong with a machine, for a while."""

    site: str
    what: str
    start_ns: int
    stop_ns: int


@dataclass
class JobBook:
    done: int = 0
    failed: int = 0
    ended_ns: int = -1
    state: str = "running"
    moved_bytes: int = 0  # that items read from other regions
    moved_cost: float = 0.0


class Books:
    """Of all sites, jobs and leases."""

    def __init__(self, sites: Sequence[tuple[str, SiteKind]], jobs: Sequence[JobId]) -> None:
        self.sites = {name: SiteBook(name, kind) for name, kind in sites}
        self.jobs = {job: JobBook() for job in jobs}
        self._running = set(jobs)
        self.leases: dict[LeaseId, LeaseBook] = {}
        self.marks: list[Mark] = []
        for site in self.sites.values():
            site.free = list(range(site.kind.cpus))

    # --- machines -------------------------------------------------------------------------------
    def up(self, name: str, now_ns: int) -> None:
        self.sites[name].up_since_ns = now_ns

    def down(self, name: str, now_ns: int) -> None:
        site = self.sites[name]
        if site.up_since_ns >= 0:
            site.up_ns += now_ns - site.up_since_ns
            site.up_since_ns = -1

    # --- leases ---------------------------------------------------------------------------------
    def started(self, link: HomeLink, incarnation: int, run: Run) -> None:
        name, cpus, now_ns = link.site.name, run.plan.cpus, link.site.world.now_ns
        site = self.sites[name]
        site.leases += 1
        taken = site.take_lanes(cpus)
        self.leases[run.lease] = LeaseBook(run.job, name, taken, cpus, now_ns, now_ns)

    def began(self, lease: LeaseId, now_ns: int) -> None:
        """Its first item begins."""
        book = self.leases[lease]
        book.begun_ns = book.reported_ns = now_ns

    def ran(self, run: Run, start: int, stop: int, busy_ns: int, now_ns: int) -> None:
        book = self.leases[run.lease]
        book.parts.append((start, stop, busy_ns * book.cpus))
        book.reported_ns = now_ns
        self.sites[book.site].busy_ns += busy_ns * book.cpus

    def attempt_failed(self, run: Run, busy_ns: int, now_ns: int) -> None:
        book = self.leases[run.lease]
        book.reported_ns = now_ns
        self.sites[book.site].busy_ns += busy_ns * book.cpus
        self.sites[book.site].failed_ns += busy_ns * book.cpus

    def ended(self, lease: LeaseId, lost_ns: int, now_ns: int) -> None:
        """It is over at its site, and with it so much time of which nothing was reported."""
        book = self.leases[lease]
        site = self.sites[book.site]
        site.busy_ns += lost_ns * book.cpus
        book.ended_ns = now_ns
        for lane in book.lanes:
            heappush(site.free, lane)

    def _committed(self, fact: SegmentCommitted) -> None:
        book = self.leases[fact.lease]
        at = bisect_right(book.parts, (fact.start, 1 << 62, 0)) - 1
        start, stop, busy_ns = book.parts[at]
        useful_ns = busy_ns * (fact.stop - fact.start) // (stop - start)
        if (start, stop) == (fact.start, fact.stop):
            del book.parts[at]
        book.useful_ns += useful_ns
        site = self.sites[book.site]
        site.useful_ns += useful_ns
        site.items += fact.stop - fact.start
        self.jobs[fact.job].done += fact.stop - fact.start

    # --- decisions ------------------------------------------------------------------------------
    def after(self, node: HomeNode, event: Event, decision: Decision, now_ns: int) -> None:
        for fact in decision.facts:
            match fact:
                case SegmentCommitted():
                    self._committed(fact)
                case ItemsFailed(job, start, stop):
                    self.jobs[job].failed += stop - start
                case JobEnded(job, state):
                    self.jobs[job].ended_ns, self.jobs[job].state = now_ns, str(state)
                    self._running.discard(job)

    @property
    def all_ended(self) -> bool:
        return not self._running

    # --- what else nodes tell, and nobody writes down -------------------------------------------
    def finished(self, run: Run, start: int, stop: int) -> None: ...
    def failed(self, run: Run, item: int, cause: Cause) -> None: ...
    def acknowledged(self, notes: Sequence[Note]) -> None: ...
    def look(self, link: HomeLink) -> None: ...
    def before(self, node: HomeNode, event: Event, now_ns: int) -> None: ...
    def synced(self, node: HomeNode, facts: Sequence[Fact]) -> None: ...
    def told(self, node: HomeNode, ask: Ask, answer: Answer) -> None: ...
    def crashed(self, node: HomeNode, disk: bool) -> None: ...
    def restarted(self, node: HomeNode) -> None: ...
    def gave_up(self, node: HomeNode) -> None: ...

    def unwanted(self, job: JobId) -> bool:
        return False
