"""What a home does when slots idle and little is left: cuts, room, backups, fair shares."""

from __future__ import annotations

from core_builders import Place, Town, cpus

from hanse import limits
from hanse.ids import JobId
from hanse.model.failure import Cause
from hanse.model.job import JobState

SECOND = limits.SECOND


def leased(place: Place, job: JobId) -> int:
    return sum(g.stop - g.start for g in place.grants.values() if g.job == job)


def one_slow_lease(mean_ns: int, size: int) -> tuple[Town, JobId, Place]:
    """A job of which one site holds every item."""
    town = Town()
    job = town.known("a", size)  # so quick that one lease is best
    slow = town.place("slow")
    town.teach(job, mean_ns)  # and then it is not
    assert leased(slow, job) == size
    return town, job, slow


def test_the_tail_of_a_slow_lease_goes_to_an_idle_site() -> None:
    town, job, slow = one_slow_lease(100 * limits.MS, 20)
    idle = town.place("idle")
    slow.talk()
    (cut,) = slow.cuts
    assert 1 <= cut.stop < 20
    slow.cut(cut.stop)
    slow.talk()
    idle.talk()
    assert min(grant.start for grant in idle.grants.values()) == cut.stop
    while town.state(job) is JobState.RUNNING:
        slow.finish()
        idle.finish()
    assert sorted(town.committed(job)) == list(range(20))


def test_a_cut_that_is_answered_later_is_confirmed_where_the_site_says() -> None:
    town, _job, slow = one_slow_lease(100 * limits.MS, 20)
    idle = town.place("idle")
    slow.talk()
    slow.done(0, 15)
    slow.cut(16)  # later than asked: it was further on already
    slow.talk()
    idle.talk()
    assert town.home.leases[slow.lease].stop == 16
    assert min(grant.start for grant in idle.grants.values()) == 16


def test_a_cut_after_a_death_gives_back_what_the_dead_worker_had_begun() -> None:
    town, _job, slow = one_slow_lease(100 * limits.MS, 20)
    idle = town.place("idle")
    slow.begun[slow.lease] = 15  # a folded lease: nothing was told of the first 15
    slow.talk()
    slow.begun[slow.lease] = 0  # and they are gone with the worker
    slow.cut(1)
    slow.talk()
    assert town.home.leases[slow.lease].stop == 1
    idle.talk()
    assert min(grant.start for grant in idle.grants.values()) == 1


def test_short_tails_are_left_alone() -> None:
    town, _job, slow = one_slow_lease(1000, 20)
    town.place("idle")
    slow.talk()
    assert not slow.cuts


def test_the_last_item_is_backed_up_at_another_site_only() -> None:
    town, job, slow = one_slow_lease(10 * limits.MS, 1)
    slow.talk()
    town.wait(1)
    slow.talk()
    assert len(slow.grants) == 1  # its own other slots would win nothing
    other = town.place("other")
    assert leased(other, job) == 1
    other.finish()
    assert town.state(job) is JobState.DONE
    slow.talk()
    assert slow.cancels == [slow.lease]


def test_backups_are_a_small_share_of_the_items() -> None:
    town = Town()
    job = town.known("a", 40, 10 * limits.MS)
    for n in range(40):
        town.place(f"s{n}")
    town.wait(2)
    for n in range(40):
        town.place(f"t{n}")
    assert town.job(job).backups <= 2


def test_nothing_is_backed_up_on_a_clean_run() -> None:
    town = Town()
    job = town.known("a", 100, 10 * limits.MS)
    places = [town.place(f"s{n}") for n in range(5)]
    while town.state(job) is JobState.RUNNING:
        town.wait(0.01)
        for place in places:
            place.finish()
    assert town.job(job).backups == 0
    assert town.committed(job).count(0) == 1


def test_an_item_that_fails_under_its_lease_is_left_to_its_backup() -> None:
    town, job, slow = one_slow_lease(10 * limits.MS, 1)
    town.job(job).spec = town.job(job).spec.__class__(name="a", retries=1)
    town.wait(1)
    other = town.place("other")
    slow.fails(0, Cause.RAISED)
    slow.end()
    slow.talk()
    assert not slow.grants
    assert len(town.home.leases) == 1
    other.finish()
    assert town.state(job) is JobState.DONE


def test_a_backup_whose_original_is_lost_is_the_lease_of_its_item() -> None:
    town, job, slow = one_slow_lease(10 * limits.MS, 1)
    town.wait(1)
    other = town.place("other")
    slow.end(lost="the disk is full")
    slow.talk()
    (lease,) = town.home.leases.values()
    assert (lease.site, lease.backup_of) == ("other", None)
    other.finish()
    assert town.state(job) is JobState.DONE


def test_a_job_that_finds_all_busy_is_made_room_for() -> None:
    town, _job, slow = one_slow_lease(100 * limits.MS, 20)
    other = town.known("b", 1)
    slow.talk()
    (cut,) = slow.cuts
    assert cut.stop == 1
    slow.done(0, 1)
    slow.cut(1)
    slow.end()
    slow.talk()
    assert leased(slow, other) == 1


def test_an_overlong_lease_is_brought_back_to_the_longest() -> None:
    town, job, slow = one_slow_lease(1000, 100)
    town.forget_rates(job)
    town.wait(5)
    slow.agent.segment(slow.lease, 0, 1, 5 * SECOND)  # thought 1 us, took 5 s
    slow.begun[slow.lease] = 1
    slow.talk()
    (cut,) = slow.cuts
    assert cut.stop == 2


def test_jobs_share_a_site_by_their_weight() -> None:
    town = Town()
    a = town.known("a", 10**6, limits.MS, weight=3)
    b = town.known("b", 10**6, limits.MS)
    place = town.place("x")
    got = {a: 0, b: 0}
    for _ in range(200):
        for job in got:
            got[job] += leased(place, job)
        place.finish()
    assert 2.5 < got[a] / got[b] < 3.5


def test_a_new_job_gets_its_share_and_no_more() -> None:
    town = Town()
    a = town.known("a", 10**6, limits.MS)
    place = town.place("x")
    for _ in range(50):
        place.finish()
    b = town.known("b", 10**6, limits.MS)
    got = {a: 0, b: 0}
    for _ in range(40):
        place.finish()
        for job in got:
            got[job] += leased(place, job)
    assert 0.7 < got[a] / got[b] < 1.5


def test_a_job_that_comes_while_all_else_is_leased_starves_nobody() -> None:
    town = Town()
    a = town.submit("a", 10**5, sealed=False)
    town.teach(a, limits.MS)
    place = town.place("x")
    while town.job(a).ready:
        place.finish()
    b = town.known("b", 10**5, limits.MS)  # a has nothing ready at this moment
    town.grow(a, 2 * 10**5)
    got = {a: 0, b: 0}
    for _ in range(20):
        place.finish()
        for job in got:
            got[job] += leased(place, job)
    assert got[a] > 0.3 * got[b]


def test_jobs_are_packed_by_every_resource_that_they_need() -> None:
    town = Town()
    town.known("a", 100, SECOND, needs=cpus(1, licence=1))
    place = town.place("x", 8, licence=3)
    assert len(place.grants) == 3
    town.known("b", 100, SECOND)
    place.talk()
    assert len(place.grants) == 8
