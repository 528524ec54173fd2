"""Sites that are far away, late or dead: what is granted ahead, and what is taken back early."""

from __future__ import annotations

from core_builders import Place, Town

from hanse import limits
from hanse.core.events import CancelItems, Hear
from hanse.core.messages import Orders
from hanse.model.job import JobState

MS = limits.MS


def exchange(town: Town, place: Place, trip_ms: int) -> list[Orders]:
    """A report and its answer, each under way for half of the trip."""
    report = place.report()
    town.now_ns += trip_ms * MS // 2
    orders = place.send(report)
    town.now_ns += trip_ms * MS // 2
    for each in orders:
        place.follow(each)
    return orders


def far(trip_ms: int, items: int = 10**5) -> tuple[Town, Place]:
    town = Town()
    town.known("a", items, 10 * MS)
    place = town.place("x", hello=False)
    for _ in range(3):
        exchange(town, place, trip_ms)
    return town, place


def test_a_trip_is_timed_without_what_the_site_took() -> None:
    town, place = far(100)
    town.now_ns += 300 * MS
    exchange(town, place, 100)
    assert abs(town.home.sites[place.agent.site].trip_ns - 100 * MS) < 2 * MS


def test_a_far_site_has_its_next_lease_before_the_present_one_ends() -> None:
    town, place = far(100)
    (grant,) = place.grants.values()
    place.done(grant.start, grant.stop - 5)
    exchange(town, place, 100)
    assert len(place.agent._held) > 1
    assert list(place.grants) == [grant.lease]  # it waits in line
    place.done(grant.stop - 5, grant.stop)
    place.end(grant.lease)
    assert place.grants


def test_a_near_site_is_granted_nothing_ahead() -> None:
    town, place = far(1)
    (grant,) = place.grants.values()
    place.done(grant.start, grant.stop - 5)
    exchange(town, place, 1)
    assert list(place.agent._held) == [grant.lease]


def test_nothing_is_granted_ahead_while_much_is_left_to_do() -> None:
    town, place = far(100)
    (grant,) = place.grants.values()
    place.done(grant.start, grant.start + 1)
    exchange(town, place, 100)
    assert list(place.agent._held) == [grant.lease]


def test_what_waits_in_line_goes_to_a_site_that_idles() -> None:
    town, place = far(100, items=40)
    (grant,) = place.grants.values()
    other = town.known("b", 100, 10 * MS)
    place.done(grant.start, grant.stop - 5)
    exchange(town, place, 100)
    (lease,) = town.job(other).leases.values()
    assert lease.queued
    idle = town.place("idle")
    idle.work()
    assert lease.cut_to is not None
    exchange(town, place, 100)
    exchange(town, place, 100)  # the agent answers by itself: its engine has not seen the lease
    idle.talk()
    assert idle.grants
    while town.state(other) is JobState.RUNNING:
        place.finish()
        idle.finish()
    assert sorted(town.committed(other)) == list(range(100))


def test_a_site_that_is_overdue_loses_its_leases_to_those_who_idle() -> None:
    town = Town()
    job = town.known("a", 10)
    dead = town.place("dead")
    idle = town.place("idle")
    dead.talk()  # told to report often, as another idles
    dead.talk()
    town.now_ns += 2 * limits.SECOND
    idle.talk()
    idle.talk()
    assert [lease.site for lease in town.home.leases.values()] == ["idle"]
    idle.work()
    assert town.state(job) is JobState.DONE


def test_a_site_that_was_only_late_is_believed() -> None:
    town = Town()
    job = town.known("a", 10)
    late = town.place("late")
    idle = town.place("idle")
    late.talk()
    late.talk()
    town.now_ns += 2 * limits.SECOND
    late.done(0, 10)
    report = Hear(late.report())
    idle.talk()
    idle.talk()
    town.tell(report)
    assert sorted(town.committed(job)) == list(range(10))


def test_a_site_that_was_told_to_report_seldom_is_waited_for() -> None:
    town = Town()
    town.known("a", 10)
    quiet = town.place("quiet")
    town.now_ns += 6 * limits.SECOND
    town.place("idle")
    assert [lease.site for lease in town.home.leases.values()] == ["quiet"]
    assert quiet.grants


def test_items_that_nobody_wants_any_more_are_dropped_when_their_site_is_overdue() -> None:
    town = Town()
    job = town.known("a", 10, fail_fast=False)
    dead = town.place("dead")
    idle = town.place("idle")
    dead.talk()
    dead.talk()
    town.tell(CancelItems(job, 4, 6))
    town.now_ns += 2 * limits.SECOND
    idle.talk()
    assert [item for item, _ in town.failed(job)] == [4, 5]
    idle.talk()
    idle.work()
    assert town.state(job) is JobState.DONE
