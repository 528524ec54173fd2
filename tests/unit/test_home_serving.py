"""Who is served when: wide jobs, fair shares of every resource, and homes that come back."""

from __future__ import annotations

import pytest
from core_builders import Place, Town, cpus

from hanse import limits
from hanse.core.events import CancelJob, Describe, Tick
from hanse.core.home import Home
from hanse.core.why import explain, unable
from hanse.ids import JobId, SiteId
from hanse.model.aims import Aims
from hanse.model.fit import Offer, Requires
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import SCRIPTS


def leases(place: Place, job: JobId) -> int:
    return sum(grant.job == job for grant in place.grants.values())


def one_ends(place: Place) -> None:
    """The oldest lease here runs to its end, and what comes next is begun."""
    lease, grant = next(iter(place.grants.items()))
    if place.begun[lease] < grant.stop:
        place.done(place.begun[lease], grant.stop, lease=lease)
    place.end(lease)
    place.talk()


def crowd(cores: float = 4) -> tuple[Town, JobId, Place]:
    """A site whose slots are all busy with a job that has much more to do."""
    town = Town()
    narrow = town.known("narrow", 10**6, limits.MS)
    return town, narrow, town.place("x", cores)


ASKED = [None, Aims(), Aims(objective="cheapest"), Aims(deadline_ns=3600 * limits.SECOND)]


@pytest.mark.parametrize("aims", ASKED)
def test_a_job_gets_its_part_of_a_site_that_another_one_fills(aims: Aims | None) -> None:
    """With a deadline it got nothing: its plan was made of what is free, and the other one took
    that at once."""
    town, narrow, place = crowd()
    late = town.known("late", 10**6, limits.MS, aims=aims)
    for _ in range(12):
        town.wait(0.5)
        one_ends(place)
    assert (leases(place, narrow), leases(place, late)) == (2, 2)


@pytest.mark.parametrize("aims", ASKED)
def test_a_wide_job_is_not_starved_by_narrow_ones(aims: Aims | None) -> None:
    town, _, place = crowd()
    wide = town.known("wide", 10, limits.MS, needs=cpus(4), aims=aims)
    for _ in range(30):
        town.wait(0.5)
        one_ends(place)
        if leases(place, wide):
            break
    assert leases(place, wide)
    assert town.now_ns < 8 * limits.SECOND


def test_a_site_that_is_emptied_has_its_leases_cut_and_says_why_others_wait() -> None:
    town, narrow, place = crowd()
    town.known("wide", 10, limits.MS, needs=cpus(4))
    town.wait(3)
    one_ends(place)
    assert len(place.cuts) == 3
    assert any("is kept for wide" in line for line in explain(town.home, narrow, town.now_ns))


@pytest.mark.parametrize("beside", [False, True])
def test_a_site_is_not_emptied_for_jobs_that_fill_it_and_who_comes_then_has_its_turn(
    beside: bool,
) -> None:
    town = Town()
    first = town.known("first", 10**6, limits.MS)
    place = town.place("x", 2)
    if beside:
        second = town.known("second", 10**6, limits.MS)
        one_ends(place)
        assert (leases(place, first), leases(place, second)) == (1, 1)
    town.wait(3)
    place.talk()
    assert town.home.sites[SiteId("x")].reserved is None
    assert not place.cuts
    late = town.known("late", 10, limits.MS)
    one_ends(place)
    assert leases(place, late) == 1


def test_a_site_is_not_emptied_for_a_job_that_would_have_no_room_for_another_lease_then() -> None:
    town = Town()
    wide = town.known("wide", 10**6, limits.MS, needs=cpus(5))
    place = town.place("x", 8)
    narrow = town.known("narrow", 10**6, limits.MS)
    place.talk()
    assert (leases(place, wide), leases(place, narrow)) == (1, 3)
    for _ in range(4):
        town.wait(1)
        place.talk()
    assert not place.cuts
    assert (leases(place, wide), leases(place, narrow)) == (1, 3)


def test_a_site_is_emptied_for_a_wide_job_beside_another_one_that_may_take_long() -> None:
    town = Town()
    other = town.known("other", 1, limits.SECOND, needs=cpus(4))
    place = town.place("x", 8)
    narrow = town.known("narrow", 10**6, limits.MS)
    place.talk()
    assert (leases(place, other), leases(place, narrow)) == (1, 4)
    wide = town.known("wide", 10, limits.MS, needs=cpus(4))
    town.wait(3)
    place.talk()
    assert town.home.sites[SiteId("x")].reserved == wide


def test_only_one_site_is_emptied_for_a_job_and_others_go_on() -> None:
    town, narrow, first = crowd()
    second = town.place("y", 4)
    town.known("wide", 10, limits.MS, needs=cpus(4))
    town.wait(3)
    one_ends(first)
    one_ends(second)
    assert leases(first, narrow) == 3
    assert leases(second, narrow) == 4


def test_a_site_is_free_again_when_the_job_that_it_was_emptied_for_ends() -> None:
    town, narrow, place = crowd()
    wide = town.known("wide", 10, limits.MS, needs=cpus(4))
    town.wait(3)
    one_ends(place)
    assert leases(place, narrow) == 3
    town.tell(CancelJob(wide))
    place.talk()
    assert leases(place, narrow) == 4


def test_a_site_that_falls_silent_is_kept_for_nobody() -> None:
    town, _, first = crowd()
    wide = town.known("wide", 10, limits.MS, needs=cpus(4))
    town.wait(3)
    one_ends(first)
    town.wait(31)
    second = town.place("y", 4)
    for _ in range(20):
        town.wait(0.5)
        if leases(second, wide):
            break
        one_ends(second)
    assert leases(second, wide)


def test_shares_count_the_resource_of_which_a_job_takes_most() -> None:
    """One takes a cpu and one of two licences, the other a cpu of eight: half a site an item
    against an eighth, so the second runs four times as many."""
    town = Town()
    site = town.place("x", 8, licence=2)
    a = town.known("a", 10**6, limits.MS, needs=cpus(1, licence=1))
    b = town.known("b", 10**6, limits.MS)
    charged = {a: 0, b: 0}
    for _ in range(100):
        site.finish()
        for job in charged:
            charged[job] = town.job(job).vtime
    done = {job: town.job(job).done for job in charged}
    cost = {job: charged[job] / (done[job] + town.job(job).leased) for job in charged}
    assert 3.5 < cost[a] / cost[b] < 4.5


# --- a home that comes back ---------------------------------------------------------------------
def back(town: Town, sites: list[SiteId] | None) -> Home:
    """The home dies, and another starts that was told who may still run its jobs."""
    town.home = Home.recover(town.facts, town.home._next_lease + 1000, sites)
    return town.home


def test_a_home_that_comes_back_grants_nothing_that_a_silent_site_may_still_run() -> None:
    town = Town()
    job = town.known("a", 10)
    slow = town.place("slow")
    back(town, [slow.agent.site, SiteId("quick")])
    quick = town.place("quick")
    assert not quick.grants
    slow.talk()
    assert list(town.home.leases) == [slow.lease]
    slow.work()
    assert town.state(job) is JobState.DONE


@pytest.mark.parametrize("sites", [[SiteId("dead")], None])
def test_it_waits_no_longer_than_a_site_may_take_to_report(sites: list[SiteId] | None) -> None:
    town = Town()
    town.known("a", 10)
    town.place("dead")
    back(town, sites)
    assert not town.place("quick").grants
    due = town.home.next_expiry_ns()
    assert due == town.now_ns + limits.REPORT_EVERY_NS
    town.now_ns = due
    (orders,) = town.tell(Tick()).sends
    assert orders.grants


def test_it_does_not_wait_once_all_have_reported_nor_for_nobody() -> None:
    town = Town()
    town.known("a", 10**6, limits.MS)
    place = town.place("x")
    place.crash()
    back(town, [place.agent.site])
    place.talk()
    assert place.grants
    back(town, [])
    assert town.place("y").grants


def test_jobs_that_come_after_it_came_back_are_granted_at_once() -> None:
    town = Town()
    town.known("a", 10)
    town.place("x")
    back(town, None)
    new = town.known("b", 10)
    assert leases(town.place("y"), new) == 1


def test_a_script_that_waits_for_another_one_has_no_site_emptied() -> None:
    """What it would wait for might be a job of that other script, which then never ran."""
    town = Town()
    place = town.place("x", 2, **{SCRIPTS: 1000})
    town.submit("first", 1, needs=cpus(0, **{SCRIPTS: 1000}))
    place.talk()
    second = town.submit("second", 1, needs=cpus(0, **{SCRIPTS: 1000}))
    inner = town.known("inner", 10**6, 20 * limits.MS)
    place.talk()
    place.talk()
    assert not place.cuts
    (script,) = (lease for lease, grant in place.grants.items() if grant.job == "first")
    for _ in range(5):
        town.wait(2)
        lease = next(lease for lease, grant in place.grants.items() if grant.job == inner)
        place.done(place.begun[lease], place.grants[lease].stop, lease=lease)
        place.end(lease)
        place.talk()
        assert leases(place, inner) == 2
    assert not place.cuts
    assert any("scripts" in line for line in explain(town.home, second, town.now_ns))
    place.done(0, 1, lease=script)
    place.end(script)
    place.talk()
    assert leases(place, second) == 1


def test_a_job_at_a_node_that_does_no_work_waits_for_a_site_and_says_so() -> None:
    town = Town()
    place = town.place("x", 0)
    town.tell(Describe(SiteId("x"), Offer(works=False)))
    assert unable(town.home, JobSpec(name="j")) == []
    job = town.submit("j", 10)
    place.talk()
    assert "x gets no lease of it: its node does no work itself." in explain(
        town.home, job, town.now_ns
    )
    other = town.place("y", 1)
    assert leases(other, job) == 1
    assert not place.grants


def test_explain_says_what_a_lease_waits_for_at_its_site() -> None:
    town = Town()
    place = town.place("x", 2)
    job = town.submit("a", 1)
    place.talk()
    place.agent.waits({place.lease: "there is no room"})
    place.talk()
    town.wait(1)
    (line,) = (line for line in explain(town.home, job, town.now_ns) if "no room" in line)
    assert "and waits: there is no room." in line
    place.agent.waits({})
    place.talk()
    assert not any("no room" in line for line in explain(town.home, job, town.now_ns))


def test_a_job_for_one_site_runs_there_and_nowhere_else() -> None:
    town = Town()
    other, lab = town.place("token/other", 2), town.place("lab/here", 2)
    town.tell(Describe(SiteId("token/other"), Offer(names=["gpus"])))
    town.tell(Describe(SiteId("lab/here"), Offer()))
    jobs = [town.submit(name, 1, requires=Requires(site=name)) for name in ("lab", "here", "gpus")]
    for place in (other, lab):
        place.talk()
    assert [leases(lab, job) for job in jobs] == [1, 1, 0]
    assert [leases(other, job) for job in jobs] == [0, 0, 1]
    for place in (other, lab):
        place.finish()
    assert [town.state(job) for job in jobs] == [JobState.DONE] * 3
    assert unable(town.home, JobSpec(name="j", requires=Requires(site="la"))) == [
        "token/other: the job is for the site la", "lab/here: the job is for the site la",
    ]  # fmt: skip
