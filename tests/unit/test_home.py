"""What a home promises its sites: leases, reports, expiry, restarts."""

from __future__ import annotations

from core_builders import Town

from hanse import limits
from hanse.core.events import Hear, Tick
from hanse.core.messages import Running
from hanse.ids import SiteId
from hanse.model.job import JobState


def test_a_job_without_items_ends_when_it_is_sealed() -> None:
    town = Town()
    assert town.state(town.submit("a", 0)) is JobState.DONE


def test_a_sealed_job_ends_when_every_item_is_committed_once() -> None:
    town = Town()
    job = town.submit("a", 500)
    town.place("x", 2).work(rounds=500)
    assert town.state(job) is JobState.DONE
    assert sorted(town.committed(job)) == list(range(500))


def test_first_leases_are_probes_and_later_ones_grow() -> None:
    town = Town()
    town.submit("a", 100_000)
    place = town.place("x", 1)
    lengths = []
    while place.grants:
        (grant,) = place.grants.values()
        lengths.append(grant.stop - grant.start)
        place.finish()
    assert lengths[0] <= 16
    assert len(lengths) < 60


def test_lost_orders_are_granted_again() -> None:
    town = Town()
    town.known("a", 10)
    place = town.place("x", hello=False)
    (lost,) = place.send(place.report())
    (again,) = place.send(place.report())
    assert again.grants == lost.grants
    assert again.grants
    place.follow(again)
    (seen,) = place.send(place.report())
    assert not seen.grants


def test_repeated_reports_change_nothing() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    report = place.report()
    place.send(report)
    facts = list(town.facts)
    assert place.send(report) == []
    assert town.facts == facts
    assert town.committed(job) == [0, 1, 2, 3]


def test_reordered_reports_are_dropped_and_their_notes_come_again() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    old = place.report()
    place.done(4, 6)
    place.send(place.report())
    assert place.send(old) == []
    assert town.committed(job) == [0, 1, 2, 3, 4, 5]


def test_notes_of_lost_reports_are_said_again_until_acknowledged() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    place.report()  # lost
    place.done(4, 10)
    place.end()
    place.talk()
    assert sorted(town.committed(job)) == list(range(10))
    assert place.report().notes == []


def test_repeated_and_late_orders_start_nothing_twice() -> None:
    town = Town()
    town.known("a", 10)
    place = town.place("x")
    orders = town.orders[SiteId("x")]
    place.finish()
    for old in orders:
        place.follow(old)
    assert not place.grants


def test_a_silent_site_loses_its_leases_and_is_granted_no_more() -> None:
    town = Town()
    job = town.known("a", 10)
    town.place("dead", 4)
    town.wait(limits.LEASE_TTL_NS / limits.SECOND)
    assert not town.home.leases
    town.place("alive").work()
    assert town.state(job) is JobState.DONE


def test_a_report_keeps_leases_from_expiring() -> None:
    town = Town()
    town.known("a", 10)
    place = town.place("x")
    for _ in range(10):
        town.wait(20)
        place.talk()
    assert place.lease in town.home.leases


def test_a_late_segment_of_an_expired_lease_commits_only_open_items() -> None:
    town = Town()
    job = town.known("a", 10)
    slow = town.place("slow")
    town.wait(31)
    quick = town.place("quick")
    quick.done(0, 3)
    quick.talk()
    slow.done(0, 5)
    slow.talk()
    assert town.committed(job) == [0, 1, 2, 3, 4]
    assert list(town.home.leases) == [quick.lease]


def test_an_expired_lease_is_taken_back_while_nobody_else_has_it() -> None:
    town = Town()
    town.known("a", 10)
    place = town.place("x")
    lease = place.lease
    place.done(0, 2)
    town.wait(31)
    assert lease not in town.home.leases
    place.talk()
    assert list(town.home.leases) == [lease]
    assert place.lease == lease


def test_an_expired_lease_is_cancelled_once_others_have_its_items() -> None:
    town = Town()
    town.known("a", 10)
    slow = town.place("slow")
    lease = slow.lease
    town.wait(31)
    town.place("quick")
    slow.talk()
    assert slow.cancels == [lease]


def test_a_grant_that_was_not_seen_is_taken_back_when_its_items_are_settled() -> None:
    town = Town()
    job = town.known("a", 10)
    late = town.place("late")
    town.wait(31)
    unseen = town.place("unseen", hello=False)
    unseen.send(unseen.report())  # granted all ten, and the orders are lost
    late.done(0, 4)
    late.talk()  # the town asserts that no orders grant 0 to 3 again
    unseen.talk()
    unseen.work()
    assert sorted(town.committed(job)) == list(range(10))


def test_a_folded_segment_counts_for_all_of_its_items_or_for_none() -> None:
    town = Town()
    job = town.known("a", 10)
    slow = town.place("slow")
    town.wait(31)
    quick = town.place("quick")
    quick.done(2, 3)
    quick.talk()
    slow.done(0, 5, folded=True)
    slow.talk()
    assert town.committed(job) == [2]
    quick.done(3, 6, folded=True)
    quick.talk()
    assert town.committed(job) == [2, 3, 4, 5]


def test_a_segment_that_is_out_of_bounds_changes_nothing() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    for start, stop in ((-1, 3), (8, 11), (5, 5), (6, 2)):
        place.agent.segment(place.lease, start, stop, 1)
    place.talk()
    assert town.committed(job) == []


def test_nonsense_about_leases_is_answered_by_a_cancel() -> None:
    town = Town()
    town.submit("a", 10)
    place = town.place("x", hello=False)
    report = place.report()
    for n, (start, begun, stop) in enumerate([(-1, 0, 5), (0, 5, 3), (5, 4, 9), (0, 0, 11)]):
        report.running.append(Running(900 + n, "a", start, begun, stop))  # type: ignore[arg-type]
    report.running.append(Running(990, "nowhere", 0, 0, 1))  # type: ignore[arg-type]
    (orders,) = place.send(report)
    assert orders.cancels == [900, 901, 902, 903, 990]


def test_every_report_that_counts_is_answered_and_a_tick_is_not() -> None:
    town = Town()
    place = town.place("x")
    assert len(town.tell(Hear(place.report())).sends) == 1
    assert town.tell(Tick()).sends == []
    assert town.home.next_expiry_ns() is None
