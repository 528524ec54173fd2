"""What a home costs: grants and decisions per second, and bytes, by sites, jobs and items.

    python bench/scale.py [SITES] [JOBS]

A home alone, with sites that answer at once: each report ends some leases of its site, brings their
results, and is answered by new leases. Its time is the process's own, so what else runs on the
machine hardly counts; bytes are what tracemalloc sees. No item is ever run. Prints a table.
"""

from __future__ import annotations

import gc
import platform
import sys
import time
import tracemalloc

from hanse import limits
from hanse.core.events import Decision, Hear, Submit
from hanse.core.home import Home
from hanse.core.messages import EndNote, Grant, Note, Report, Running, SegmentNote
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.job import JobSpec
from hanse.model.resources import Amount

GRANTS = 50_000


class Fleet:
    """Sites that say what a home wants to hear, and the time that the home takes for it."""

    def __init__(self, home: Home, sites: int, slots: int) -> None:
        self.home = home
        self.slots = slots
        self.now_ns = 0
        self.spent_ns = 0
        self.grants = 0
        self.names = [SiteId(f"site-{n}") for n in range(sites)]
        self.seqs = [0] * sites
        self.notes = [1] * sites
        self.seen = [0] * sites
        self.held: list[dict[LeaseId, Grant]] = [{} for _ in range(sites)]

    def report(self, at: int, ended: int) -> None:
        """One site reports that its `ended` oldest leases are over, all their items done."""
        held = self.held[at]
        notes: list[Note] = []
        for lease in list(held)[:ended]:
            grant = held.pop(lease)
            items = grant.stop - grant.start
            busy = items * limits.MS
            notes.append(SegmentNote(lease, grant.job, grant.start, grant.stop, busy))
            notes.append(EndNote(lease, busy + limits.MS, busy))
        self.seqs[at] += 1
        free = Amount(cpus_milli=1000 * (self.slots - len(held)))
        report = Report(
            self.names[at],
            1,
            self.seqs[at],
            self.seen[at],
            Amount(cpus_milli=1000 * self.slots),
            free,
            self.notes[at],
            notes,
            [self.running(grant) for grant in held.values()],
        )
        self.notes[at] += len(notes)
        self.take(self.timed(Hear(report)), at)

    @staticmethod
    def running(grant: Grant) -> Running:
        return Running(grant.lease, grant.job, grant.start, grant.start, grant.stop)

    def timed(self, event: Hear) -> Decision:
        self.now_ns += 1000
        start = time.process_time_ns()
        decision = self.home.handle(event, self.now_ns)
        self.spent_ns += time.process_time_ns() - start
        return decision

    def take(self, decision: Decision, at: int) -> None:
        for orders in decision.sends:
            if orders.site == self.names[at]:
                self.seen[at] = orders.seq
                for grant in orders.grants:
                    if grant.lease not in self.held[at]:
                        self.held[at][grant.lease] = grant
                        self.grants += 1

    def rate(self, ended: int) -> float:
        """Leases that the home grants in a second of its own time, once all are busy."""
        self.spent_ns = self.grants = 0
        at = 0
        while self.grants < GRANTS:
            self.report(at % len(self.names), ended)
            at += 1
        return self.grants / (self.spent_ns / 1e9)


def submit(home: Home, jobs: int, items: int) -> None:
    """Jobs of three weights that share the items."""
    for n in range(jobs):
        spec = JobSpec(name=f"job-{n}", weight=1 + n % 3)
        home.handle(Submit(JobId(f"j-{n:012x}"), spec, items // jobs, True), 0)


def decisions(sites: int, slots: int, jobs: int, items: int, ended: int) -> float:
    home = Home()
    fleet = Fleet(home, sites, slots)
    submit(home, jobs, items)
    for at in range(sites):
        fleet.report(at, 0)
    gc.collect()
    gc.freeze()
    try:
        return fleet.rate(ended)
    finally:
        gc.unfreeze()


def memory(sites: int, slots: int, jobs: int) -> tuple[float, float]:
    """Bytes of an idle site, and of an open lease beyond those of its site and its job."""
    idle, _ = grown(sites, slots, 0)
    busy, leases = grown(sites, slots, jobs)
    return idle / sites, (busy - idle) / leases


def grown(sites: int, slots: int, jobs: int) -> tuple[int, int]:
    """By how many bytes a home grows when sites say hello, and how many leases it grants them."""
    home = Home()
    fleet = Fleet(home, sites, slots)
    home.handle(Submit(JobId("first"), JobSpec(name="first"), 0, True), 0)
    submit(home, jobs, 10**8)
    gc.collect()
    tracemalloc.start()
    try:
        for at in range(sites):
            home.handle(Hear(hello(fleet, at)), at)
        gc.collect()
        return tracemalloc.get_traced_memory()[0], len(home.leases)
    finally:
        tracemalloc.stop()


def hello(fleet: Fleet, at: int) -> Report:
    capacity = Amount(cpus_milli=1000 * fleet.slots)
    return Report(fleet.names[at], 1, 1, 0, capacity, capacity, 1, [], [])


def main(sites: int, jobs: int) -> None:
    print(f"Python {platform.python_version()}; a home of {sites:,} sites and {jobs:,} jobs\n")
    print("A grant is one lease from its grant to its end. The home decides three times about it:")
    print("it is granted, its results are committed, it is closed. So decisions are 3 x grants.\n")
    print("| items | slots of a site | leases ended by a report | grants/s | decisions/s |")
    print("|---|---|---|---|---|")
    for slots, ended in ((1, 1), (4, 1), (4, 4), (16, 8)):
        for items in (10**6, 10**8):
            rate = decisions(sites, slots, jobs, items, ended)
            print(f"| {items:,} | {slots} | {ended} | {rate:,.0f} | {3 * rate:,.0f} |", flush=True)
    for slots in (1, 4):
        idle, lease = memory(sites, slots, jobs)
        print(f"\n{slots} slots: {idle:,.0f} bytes of an idle site, {lease:,.0f} of an open lease")


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:3])) if len(sys.argv) > 2 else main(10_000, 1_000)
