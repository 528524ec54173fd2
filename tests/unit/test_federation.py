"""Any sequence of submits, reports, losses, repeats, reorderings, expiries, cuts, cancels and
deaths commits every item exactly once, never grants a settled item, loses none, and ends."""

from __future__ import annotations

from typing import TypeVar

import pytest
from core_builders import rate
from federation import Federation, Site
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from replay import story

from hanse import limits
from hanse.core.events import (
    CancelItems,
    CancelJob,
    Describe,
    Forget,
    Grow,
    Seal,
    Submit,
    Tick,
    Withdraw,
)
from hanse.core.job import Job
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.fit import Offer, Requires
from hanse.model.job import JobSpec
from hanse.model.resources import Amount

T = TypeVar("T")
pick = st.integers(0, 1 << 10)  # taken modulo how many there are to pick from
times = st.sampled_from([1000, limits.MS, 40 * limits.MS, limits.SECOND])  # of an item
pythons = st.sampled_from(["", "3.11", "3.12"])
causes = st.sampled_from([*Cause] + [Cause.RAISED, Cause.DIED] * 4)


class AnyFederation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Federation()
        self.jobs = 0

    @initialize(
        cpus=st.lists(st.integers(1, 3), min_size=1, max_size=4),
        sizes=st.lists(st.integers(1, 200), min_size=1, max_size=3),
        learnt_ns=st.one_of(st.none(), times),
    )
    def all_are_busy(self, cpus: list[int], sizes: list[int], learnt_ns: int | None) -> None:
        for n, size in enumerate(sizes):
            self.submit(size, n == 1, n == 2, n, 1, n == 0, learnt_ns)
        for count in cpus:
            self.world.add_site(count)
            self.world.talk(list(self.world.sites)[-1])

    # --- clients --------------------------------------------------------------------------------
    @rule(
        size=st.one_of(st.integers(0, 30), st.integers(100, 400)),
        sealed=st.booleans(),
        fail_fast=st.booleans(),
        retries=st.integers(0, 2),
        weight=st.integers(1, 3),
        total=st.booleans(),
        learnt_ns=st.one_of(st.none(), times),
        python=pythons,
    )
    def submit(
        self,
        size: int,
        sealed: bool,
        fail_fast: bool,
        retries: int,
        weight: int,
        total: bool,
        learnt_ns: int | None,
        python: str = "",
    ) -> None:
        self.jobs += 1
        id = JobId(f"j{self.jobs}")
        spec = JobSpec(
            name=id,
            fail_fast=fail_fast,
            retries=retries,
            weight=weight,
            total=size if total else None,
            durable=True,
            requires=Requires(python=python),
            needs=Amount(cpus_milli=500 if self.jobs % 3 == 0 else 1000),
        )
        self.world.tell(Submit(id, spec, size, False))
        if learnt_ns:  # by sites that have left: long leases from the first
            self.world.home.jobs[id].rates[SiteId("left")] = rate(learnt_ns)
            self.world.home.jobs[id].seen = 1 << 20
        if sealed:
            self.world.tell(Seal(id))

    @precondition(lambda self: self.open_jobs())
    @rule(
        which=pick,
        more=st.integers(1, 6),
        needs=st.lists(st.tuples(pick, pick, pick), max_size=6),
        broken=st.lists(st.integers(0, 20), max_size=1),
    )
    def grow(
        self, which: int, more: int, needs: list[tuple[int, int, int]], broken: list[int]
    ) -> None:
        """New items wait for any that were there before them, in any job."""
        job = chosen(self.open_jobs(), which)
        waits: dict[int, list[tuple[JobId, int]]] = {}
        for new, other, item in needs:
            needy = job.size + new % more
            source = chosen(list(self.world.home.jobs.values()), other)
            there = needy if source is job else source.size
            if there:
                waits.setdefault(needy, []).append((source.id, item % there))
        bad = [job.size + i for i in broken if i < more]
        self.world.tell(Grow(job.id, job.size + more, waits, bad))

    @precondition(lambda self: self.open_jobs())
    @rule(which=pick)
    def seal(self, which: int) -> None:
        self.world.tell(Seal(chosen(self.open_jobs(), which).id))

    @precondition(lambda self: len(self.world.home.jobs) > 2)
    @rule(which=pick)
    def cancel_job(self, which: int) -> None:
        self.world.tell(CancelJob(chosen(list(self.world.home.jobs), which)))

    @precondition(lambda self: self.world.home.jobs)
    @rule(which=pick, start=st.integers(0, 30), length=st.integers(1, 5))
    def cancel_items(self, which: int, start: int, length: int) -> None:
        job = chosen(list(self.world.home.jobs.values()), which)
        self.world.tell(CancelItems(job.id, start % (job.size + 1), start + length))

    @precondition(lambda self: self.ended_jobs())
    @rule(which=pick)
    def forget(self, which: int) -> None:
        self.world.tell(Forget(chosen(self.ended_jobs(), which)))

    # --- the network ----------------------------------------------------------------------------
    @precondition(lambda self: self.world.bag)
    @rule(which=pick, fate=st.sampled_from(["deliver"] * 6 + ["drop", "repeat"]))
    def a_message_meets_its_fate(self, which: int, fate: str) -> None:
        message = chosen(self.world.bag, which)
        if fate != "repeat":
            self.world.bag.remove(message)
        if fate != "drop":
            self.world.deliver(message)

    @precondition(lambda self: self.world.bag)
    @rule()
    def everything_arrives(self) -> None:
        bag, self.world.bag = self.world.bag, []
        for message in bag:
            self.world.deliver(message)

    @rule(which=pick)
    def a_site_reports(self, which: int) -> None:
        self.world.report(chosen(list(self.world.sites), which))

    @rule(which=pick)
    def a_site_talks(self, which: int) -> None:
        """A report and its answer, with nothing in between."""
        self.world.talk(chosen(list(self.world.sites), which))

    @rule(which=pick, python=pythons, allow=st.sampled_from([[], [], ["j[12]"], ["none"]]))
    def a_site_says_what_it_can_run(self, which: int, python: str, allow: list[str]) -> None:
        site = chosen(list(self.world.sites), which)
        self.world.tell(Describe(site, Offer(python=python, allow=allow)))

    @rule(which=pick)
    def a_site_is_withdrawn(self, which: int) -> None:
        self.world.tell(Withdraw(chosen(list(self.world.sites), which)))

    # --- time and deaths ------------------------------------------------------------------------
    @rule(ns=st.sampled_from([1, 50 * limits.MS, 7 * limits.SECOND, None]))
    def time_passes(self, ns: int | None) -> None:
        """Some time, or all until the next lease expires."""
        due = self.world.home.next_expiry_ns() or 0
        self.world.now_ns = max(self.world.now_ns, due) if ns is None else self.world.now_ns + ns
        self.world.tell(Tick())

    @precondition(lambda self: self.leases())
    @rule(which=pick)
    def an_agent_restarts(self, which: int) -> None:
        site, _ = chosen(self.leases(), which)
        self.world.sites[site.id] = site.restarted()

    @rule(decisions=st.sampled_from([0, 1, 3, None]))
    def the_disk_takes_some(self, decisions: int | None) -> None:
        self.world.sync(decisions)

    @rule(seldom=st.integers(0, 2))
    def the_home_restarts(self, seldom: int) -> None:
        if seldom == 2:
            self.world.restart_home()

    # --- engines --------------------------------------------------------------------------------
    @precondition(lambda self: self.leases())
    @rule(which=pick, items=st.sampled_from([1, 2, 5, 100]), begun=st.booleans())
    def items_run(self, which: int, items: int, begun: bool) -> None:
        site, lease = chosen(self.leases(), which)
        for _ in range(items):
            site.run_item(lease)
        if begun:
            site.show_begun(lease)

    @precondition(lambda self: self.leases())
    @rule(which=pick, cause=causes)
    def an_item_fails(self, which: int, cause: Cause) -> None:
        site, lease = chosen(self.leases(), which)
        site.fail_item(lease, cause)

    @precondition(lambda self: self.leases())
    @rule(which=pick, most=st.sampled_from([1, 3, 20, 1000]), item_ns=times, folded=st.booleans())
    def results_are_flushed(self, which: int, most: int, item_ns: int, folded: bool) -> None:
        site, lease = chosen(self.leases(), which)
        site.flush(lease, most, item_ns, folded)

    @precondition(lambda self: self.leases())
    @rule(which=pick)
    def a_lease_ends(self, which: int) -> None:
        site, lease = chosen(self.leases(), which)
        site.end_if_done(lease, self.world.now_ns)

    @precondition(lambda self: self.leases())
    @rule(which=pick)
    def engines_follow(self, which: int) -> None:
        """What a site was asked for is done, and the home may hear of it at once."""
        site, _ = chosen(self.leases(), which)
        self.world.talk(site.id)
        for lease in list(site.running):
            site.answer(lease, self.world.now_ns)
        if which % 2:
            self.world.talk(site.id)

    @precondition(lambda self: self.leases())
    @rule(which=pick)
    def an_engine_loses_a_lease(self, which: int) -> None:
        site, lease = chosen(self.leases(), which)
        site.end(lease, self.world.now_ns, lost="the disk is full")

    @rule(which=pick)
    def a_site_works(self, which: int) -> None:
        """Everything that it holds runs to its end."""
        site = chosen(list(self.world.sites.values()), which)
        for lease in list(site.running):
            self.world.work_off(site, lease)
        self.world.talk(site.id)

    # --- the end --------------------------------------------------------------------------------
    def teardown(self) -> None:
        items = sum(job.size for job in self.world.home.jobs.values())
        self.world.settle_down(rounds=60 + items)

    def open_jobs(self) -> list[Job]:
        jobs = self.world.home.jobs.values()
        return [job for job in jobs if not job.sealed and not job.state.ended]

    def ended_jobs(self) -> list[JobId]:
        return [id for id, job in self.world.home.jobs.items() if job.state.ended]

    def leases(self) -> list[tuple[Site, LeaseId]]:
        return [(site, lease) for site in self.world.sites.values() for lease in site.running]


def chosen(some: list[T], which: int) -> T:
    return some[which % len(some)]


class ForgetfulFederation(AnyFederation):
    """Its home forgets every site as soon as that is withdrawn; some come back."""

    def __init__(self) -> None:
        super().__init__()
        self.before = limits.SITE_KEPT_NS, limits.SITES_GONE
        limits.SITE_KEPT_NS = limits.SITES_GONE = 0

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            limits.SITE_KEPT_NS, limits.SITES_GONE = self.before


TestAnyFederation = AnyFederation.TestCase
TestForgetfulFederation = ForgetfulFederation.TestCase


@pytest.mark.parametrize("seed", range(20))
def test_a_seeded_story_of_work_and_faults_ends_well(seed: int) -> None:
    """Far more work under way than hypothesis finds by itself."""
    world = story(seed)
    assert all(job.state.ended for job in world.home.jobs.values())
