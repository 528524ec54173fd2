"""What an agent does with orders, whatever their number, age or order."""

from __future__ import annotations

from core_builders import cpus
from hypothesis import given
from hypothesis import strategies as st

from hanse.core.agent import Agent, CancelLease, CutLease, PrepareLease, StartLease
from hanse.core.messages import CutOrder, EndNote, Grant, Orders
from hanse.ids import JobId, LeaseId, SiteId
from hanse.limits import SECOND
from hanse.model.resources import Amount

X, JOB = SiteId("x"), JobId("a")


def agent() -> Agent:
    return Agent(X, 3, cpus(4))


def grant(lease: int) -> Grant:
    return Grant(LeaseId(lease), JOB, 0, 10, cpus(1), {})


def orders(seq: int, *grants: int, seen: int = 0, incarnation: int = 3, cut: int = 0) -> Orders:
    cuts = [CutOrder(LeaseId(1), cut)] if cut else []
    return Orders(X, incarnation, seq, seen, [grant(g) for g in grants], cuts, [], 100)


def free(of: Agent) -> int:
    return of.report(0, lambda lease: 0).free.cpus_milli


def test_a_grant_that_is_repeated_is_started_once() -> None:
    it = agent()
    assert it.follow(orders(1, 1), 0) == [StartLease(grant(1))]
    assert it.follow(orders(2, 1, 2), 0) == [StartLease(grant(2))]
    assert free(it) == 2000


def test_orders_for_another_process_or_from_before_are_not_followed() -> None:
    it = agent()
    assert it.follow(orders(5, 1, incarnation=2), 0) == []
    assert it.follow(orders(5), 0) == []
    assert it.follow(orders(4, 1), 0) == []
    assert free(it) == 4000


def test_a_lease_whose_end_the_home_knows_is_not_started_by_late_orders_of_a_dead_home() -> None:
    it = agent()
    it.follow(orders(1, 1), 0)
    it.ended(LeaseId(1), 7)
    it.follow(orders(2, seen=1), 0)  # a new home has heard of the end
    assert it.follow(orders(3, 1), 0) == []  # the old one had not
    assert free(it) == 4000


def test_the_engine_is_asked_once_for_a_cut_or_a_cancel() -> None:
    it = agent()
    it.follow(orders(1, 1), 0)
    assert it.follow(orders(2, cut=5), 0) == [CutLease(LeaseId(1), 5)]
    assert it.follow(orders(3, cut=5), 0) == []
    assert it.follow(orders(4, cut=3), 0) == [CutLease(LeaseId(1), 3)]
    cancel = Orders(X, 3, 5, 0, [], [], [LeaseId(1)], 100)
    assert it.follow(cancel, 0) == [CancelLease(LeaseId(1))]
    assert it.follow(Orders(X, 3, 6, 0, [], [], [LeaseId(1), LeaseId(9)], 100), 0) == []


def test_notes_are_kept_until_they_are_acknowledged_and_keep_their_numbers() -> None:
    it = agent()
    it.follow(orders(1, 1), 0)
    it.segment(LeaseId(1), 0, 4, 10)
    it.segment(LeaseId(1), 4, 10, 20)
    it.ended(LeaseId(1), 50)
    it.follow(orders(2, seen=2), 0)
    report = it.report(60, lambda lease: 0)
    assert report.first_note == 3
    assert report.notes == [EndNote(LeaseId(1), 50, 30)]
    it.follow(orders(3, seen=3), 0)
    assert it.report(70, lambda lease: 0).notes == []


def test_a_report_is_due_when_the_home_asked_for_it() -> None:
    it = agent()
    assert it.has_news  # the first report says hello
    it.report(0, lambda lease: 0)
    it.follow(orders(1), 50)
    assert not it.has_news
    assert it.report_due_ns == 150


def test_what_has_begun_is_told_within_the_bounds_of_the_lease() -> None:
    it = agent()
    it.follow(orders(1, 1), 0)
    it.cut(LeaseId(1), 5)
    for told, begun in ((-3, 0), (2, 2), (99, 5)):
        (running,) = it.report(0, lambda lease, told=told: told).running
        assert (running.begun, running.stop) == (begun, 5)


def test_a_site_that_is_about_to_go_has_nothing_more_to_give() -> None:
    it = agent()
    it.follow(orders(1, 1), 0)
    it.report(0, lambda lease: 0)
    it.resize(Amount())
    assert it.has_news
    report = it.report(1, lambda lease: 0)
    assert report.capacity == Amount()
    assert not report.free.fits(Amount(cpus_milli=1))
    it.ended(LeaseId(1), 2)
    assert it.report(3, lambda lease: 0).free == Amount()


# --- the line -------------------------------------------------------------------------------------
def test_what_does_not_fit_waits_in_line_and_starts_when_a_lease_ends() -> None:
    it = Agent(X, 3, cpus(1))
    waiting = [PrepareLease(grant(2)), PrepareLease(grant(3))]
    assert it.follow(orders(1, 1, 2, 3), 0) == [StartLease(grant(1)), *waiting]
    report = it.report(0, lambda lease: 7)
    assert [(r.lease, r.begun, r.queued) for r in report.running] == [
        (1, 7, False),
        (2, 0, True),
        (3, 0, True),
    ]
    assert report.free.cpus_milli == -2000
    assert it.ended(LeaseId(1), 5) == [StartLease(grant(2))]
    assert it.ended(LeaseId(2), 9) == [StartLease(grant(3))]
    assert free(it) == 0


def test_a_lease_in_line_is_cut_or_given_back_without_the_engine() -> None:
    it = Agent(X, 3, cpus(1))
    it.follow(orders(1, 1, 2, 3), 0)
    cuts = [CutOrder(LeaseId(2), 4), CutOrder(LeaseId(3), 0)]
    assert it.follow(Orders(X, 3, 2, 0, [], cuts, [], 100), 0) == []
    report = it.report(0, lambda lease: 0)
    assert [(r.lease, r.stop) for r in report.running] == [(1, 10), (2, 4)]
    assert report.notes == [EndNote(LeaseId(3), 0, 0)]
    (start,) = it.ended(LeaseId(1), 5)
    assert isinstance(start, StartLease)
    assert (start.grant.lease, start.grant.stop) == (2, 4)


def test_a_lease_in_line_that_is_cancelled_never_starts() -> None:
    it = Agent(X, 3, cpus(1))
    it.follow(orders(1, 1, 2), 0)
    assert it.follow(Orders(X, 3, 2, 0, [], [], [LeaseId(2)], 100), 0) == []
    assert it.ended(LeaseId(1), 5) == []


def test_a_lease_that_can_never_fit_starts_when_nothing_else_runs() -> None:
    """Whoever granted it knew of a larger site; it is better run than kept for ever."""
    it = Agent(X, 3, cpus(0.5))
    assert it.follow(orders(1, 1, 2), 0) == [StartLease(grant(1)), PrepareLease(grant(2))]
    assert it.ended(LeaseId(1), 5) == [StartLease(grant(2))]


def test_a_report_tells_how_long_ago_orders_were_followed() -> None:
    it = agent()
    it.follow(orders(1, 1), 40)
    assert it.report(100, lambda lease: 0).orders_age_ns == 60


def test_a_site_that_is_about_to_go_gives_back_what_waits_in_line() -> None:
    it = Agent(X, 3, cpus(1))
    it.follow(orders(1, 1, 2), 0)
    it.resize(cpus(0))
    report = it.report(0, lambda lease: 0)
    assert [running.lease for running in report.running] == [1]
    assert report.notes == [EndNote(LeaseId(2), 0, 0)]
    assert it.ended(LeaseId(1), 5) == []


def test_a_site_of_another_home_runs_nothing_beyond_what_that_may_have() -> None:
    it = Agent(X, 3, cpus(2), strict=True)
    wanted = {
        1: cpus(1),
        2: cpus(3),  # more than there is
        3: Amount(),  # without end
        4: Amount(cpus_milli=1000, memory_bytes=-1),
        5: Amount(cpus_milli=1000, custom_milli={"licence": -1}),
        6: cpus(2),  # when the first has ended
        7: cpus(1),
    }
    grants = [Grant(LeaseId(each), JOB, 0, 10, needs, {}) for each, needs in wanted.items()]
    grants.append(Grant(LeaseId(8), JOB, 5, 5, cpus(1), {}))
    commands = it.follow(Orders(X, 3, 1, 0, grants, [], [], 100), 0)
    assert [type(each) for each in commands] == [StartLease, PrepareLease, PrepareLease]
    assert [each.grant.lease for each in commands] == [1, 6, 7]
    assert {note.lease for note in it.report(0, lambda lease: 0).notes} == {2, 3, 4, 5, 8}
    assert [each.grant.lease for each in it.ended(LeaseId(1), 5)] == [6]


def test_what_comes_after_a_site_was_taken_away_is_given_back() -> None:
    it = Agent(X, 3, cpus(2), strict=True)
    it.resize(Amount())
    assert it.follow(orders(1, 1), 0) == []
    assert it.report(0, lambda lease: 0).notes == [EndNote(LeaseId(1), 0, 0)]
    it.resize(cpus(1))
    assert it.follow(orders(2, 2, seen=1), 0) == [StartLease(grant(2))]
    it.resize(Amount())  # what runs goes on, and nothing beside it
    assert it.follow(orders(3, 3, seen=1), 0) == []


# --- taken away -----------------------------------------------------------------------------------
def test_a_site_that_leaves_ends_its_leases_and_begins_none() -> None:
    it = Agent(X, 3, cpus(1))
    it.follow(orders(1, 1, 2), 0)
    assert it.leave("spot", 50, 100 * SECOND) == [CutLease(LeaseId(1), 0)]
    report = it.report(60, lambda lease: 3)
    assert (report.leaving, report.capacity) == ("spot", Amount())
    assert report.notes == [EndNote(LeaseId(2), 0, 0)], "what waited in line is given back"
    assert it.follow(orders(2, 1, 2, 3), 70) == [], "what was on its way is given back"
    assert [note.lease for note in it.report(80, lambda lease: 3).notes] == [2, 3]
    it.resize(cpus(1))
    assert it.capacity == Amount(), "it stays so"


def test_a_site_that_is_about_to_be_gone_cancels_what_runs_while_that_can_be_told() -> None:
    it = agent()
    it.follow(orders(1, 1), 0)
    it.leave("spot", 0, 100 * SECOND)
    assert it.leaves_ns == 95 * SECOND
    assert it.leave("again", 0, 4 * SECOND) == [], "it was told before"
    assert (it.leaves_ns, it.leaving) == (3 * SECOND, "spot"), "a shorter time counts"
    assert it.hurry() == [CancelLease(LeaseId(1))]
    assert it.hurry() == []
    it.ended(LeaseId(1), 99)
    assert not it.left
    it.report(100, lambda lease: 0)
    it.follow(orders(2, seen=1), 101)
    assert it.left


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 200))
def test_whatever_comes_a_site_that_has_left_owes_nothing(steps: list[int], left_s: int) -> None:
    """Each lease that was granted is ended once, and after the notice none begins."""
    it, granted, started, ended, seq = Agent(X, 3, cpus(2)), 0, set[int](), list[int](), 0
    commands: list[object] = []
    for step in steps:
        seq += 1
        if step < 3:
            granted += 1
            commands = list(it.follow(orders(seq, granted), seq))
        elif step == 3 and started:
            commands = list(it.ended(LeaseId(lease := started.pop()), seq))
            ended.append(lease)
        elif step == 4:
            it.leave("spot", seq, left_s * SECOND)
            commands = []
        begun = {c.grant.lease for c in commands if isinstance(c, StartLease)}
        commands = []
        assert not (it.leaving and begun)
        started |= begun
    it.leave("spot", seq, left_s * SECOND)
    assert {c.lease for c in it.hurry() if isinstance(c, CancelLease)} == started
    for lease in started:
        it.ended(LeaseId(lease), seq)
    notes = it.report(seq, lambda lease: 0).notes
    assert sorted(note.lease for note in notes) == list(range(1, granted + 1))
    it.follow(orders(seq + 1, seen=len(notes)), seq)
    assert it.left
