"""What the core costs, in bytes and not in seconds; and that its decisions never vary."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

from core_builders import Town

from hanse import limits
from hanse.core.events import Describe, Hear, Submit
from hanse.core.invariants import check
from hanse.core.messages import Report
from hanse.ids import JobId, SiteId
from hanse.model.fit import Offer
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import Amount


def test_a_map_of_100_million_items_costs_kilobytes_while_it_runs() -> None:
    town = Town()
    warm = town.place("warm")
    town.known("first", 1000, limits.MS)
    warm.work()
    town.facts.clear()
    town.orders.clear()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        job = town.known("a", 10**8, 100)
        places = [town.place(f"s{n}", 4) for n in range(4)]
        for _ in range(20):
            for place in places:
                place.finish()
        town.facts.clear()  # what the test remembers is not the core's
        town.orders.clear()
        leases, done = len(town.home.leases), town.job(job).done
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert leases
    assert done > 10**6
    assert used < 64 * limits.KIB, f"{used:,} bytes"


def calls_of_an_event(sites: int, jobs: int) -> int:
    """Python calls that a home makes for a report which ends a lease and is answered by one."""
    town = Town()
    town.checked = False
    for n in range(jobs):
        town.submit(f"j{n}", 10**6 // jobs)
    places = [town.place(f"s{n}") for n in range(sites)]
    for place in places[:20]:
        place.finish()
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    (lease, grant) = next(iter(places[20].grants.items()))
    places[20].done(grant.start, grant.stop)
    places[20].end(lease)
    report = Hear(places[20].report())
    sys.setprofile(count)
    try:
        decision = town.home.handle(report, town.now_ns)
    finally:
        sys.setprofile(None)
    assert decision.sends[0].grants
    return calls


def test_an_event_costs_the_same_however_many_sites_and_jobs_there_are() -> None:
    few, many = calls_of_an_event(30, 3), calls_of_an_event(3000, 300)
    assert many < 1.5 * few, (few, many)


def calls_of_a_submit(sites: int, jobs: int) -> int:
    """... beside idle sites whose owners let none of the jobs through that are runnable."""
    town = Town()
    town.checked = False
    for n in range(sites):
        town.tell(Describe(SiteId(f"s{n}"), Offer(allow=[f"report_{n}_*", "tell_*"])))
        town.place(f"s{n}")
    for n in range(jobs):
        town.submit(f"j{n}", 5)
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    spec = JobSpec(name="last")
    sys.setprofile(count)
    try:
        town.home.handle(Submit(JobId("last"), spec, 5, True), town.now_ns)
    finally:
        sys.setprofile(None)
    assert not town.home.leases
    assert town.submit("report_7_x", 1)
    assert [lease.site for lease in town.home.leases.values()] == ["s7"]
    return calls


def test_what_restricted_sites_let_through_is_not_asked_of_every_job() -> None:
    few, many = calls_of_a_submit(100, 3), calls_of_a_submit(100, 300)
    assert many < 1.2 * few, (few, many)
    assert few < 100 * 12, "each site is asked about the new job alone"


def test_idle_sites_and_open_leases_are_small() -> None:
    town = Town()
    town.checked = False
    sites = [SiteId(f"s{n}") for n in range(2000)]
    capacity = Amount(cpus_milli=4000)
    hellos = [Report(site, 1, 1, 0, capacity, capacity, 1, [], []) for site in sites]
    tracemalloc.start()
    try:
        for hello in hellos:
            town.home.handle(Hear(hello), 0)
        idle = tracemalloc.get_traced_memory()[0] / len(sites)
        job = town.known("a", 10**8, limits.MS)
        leases = tracemalloc.get_traced_memory()[0] / len(sites) - idle
    finally:
        tracemalloc.stop()
    assert len(town.home.leases) == 4 * len(sites), job
    assert idle < 3000, idle
    assert leases / 4 < 1000, leases  # with the orders of all sites, which the town keeps


def test_the_tail_of_a_job_on_many_sites_is_evened_out_at_once() -> None:
    """All cuts are made at one look, not one per event; and looks at long tails are rare."""
    town = Town()
    town.checked = False
    job = town.known("a", 4000, 10_000)
    busy = [town.place(f"s{n}") for n in range(200)]
    town.teach(job, limits.SECOND)
    idle = [town.place(f"t{n}") for n in range(200)]
    idle[0].talk()
    cut = [lease for lease in town.home.leases.values() if lease.cut_to is not None]
    assert not town.job(job).ready
    assert len(cut) >= min(len(busy), len(town.home.leases)) // 2


def test_200_sites_work_off_50_jobs() -> None:
    town = Town()
    town.checked = False
    town.item_ns = limits.MS
    jobs = [town.submit(f"j{n}", 200, weight=1 + n % 3) for n in range(50)]
    places = [town.place(f"s{n}", 2) for n in range(200)]
    for _ in range(100):
        for place in places:
            if place.grants:
                place.finish()
        if all(town.state(job) is JobState.DONE for job in jobs):
            break
    check(town.home)
    assert [town.committed(job).count(7) for job in jobs] == [1] * 50
    assert {town.state(job) for job in jobs} == {JobState.DONE}


def test_one_story_has_one_digest_under_any_hash_seed() -> None:
    """Order comes from dicts and sorted lists, never from a set."""
    digests = set()
    for seed in ("1", "4711"):
        told = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("replay.py"))],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        digests.add(told.stdout.strip())
    assert len(digests) == 1
    assert len(set(digests.pop().split())) == 3
