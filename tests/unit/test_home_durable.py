"""Durable jobs: acknowledged once recorded, and gone on with from their facts."""

from __future__ import annotations

from core_builders import Town

from hanse.core.events import Grow, Recorded, Resume, Seal
from hanse.core.home import Home
from hanse.ids import JobId
from hanse.model.failure import Cause
from hanse.model.job import JobSpec, JobState


def resumed(town: Town, *, again: bool = False, **spec: object) -> Town:
    """The program ended; another, with an empty home, goes on with job "a"."""
    facts = [fact for fact in town.facts if fact.job == "a"]
    other = Town()
    told = JobSpec(name="a", durable=True, **spec)  # type: ignore[arg-type]
    other.tell(Resume(JobId("a"), told, facts, again))
    other.facts = facts + other.facts
    return other


def test_notes_of_a_durable_job_are_acknowledged_once_their_facts_are_recorded() -> None:
    town = Town()
    town.known("a", 10, durable=True)
    place = town.place("x")
    place.done(0, 4)
    place.talk()
    assert len(place.agent._notes) == 1
    position = town.home._position
    decision = town.tell(Recorded(position - 1))
    assert not decision.sends
    (orders,) = town.tell(Recorded(position)).sends
    place.agent.follow(orders, town.now_ns)
    assert place.agent._notes == []


def test_a_report_that_repeats_its_notes_waits_for_the_disk_once() -> None:
    town = Town()
    town.known("a", 10, durable=True)
    place = town.place("x")
    place.done(0, 4)
    for _ in range(100):
        place.talk()
    assert len(town.home._unrecorded) == 1
    (orders,) = town.tell(Recorded(town.home._position)).sends
    place.agent.follow(orders, town.now_ns)
    assert place.agent._notes == []


def test_notes_of_other_jobs_are_acknowledged_at_once_and_leases_wait_for_no_disk() -> None:
    town = Town()
    town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    place.talk()
    assert place.agent._notes == []
    town.known("b", 10, durable=True)
    place.done(4, 10)
    place.talk()
    assert place.grants  # of b, which is nowhere recorded yet


def test_a_resumed_job_runs_what_is_not_settled_and_ends() -> None:
    town = Town()
    job = town.known("a", 10, durable=True)
    place = town.place("x")
    place.done(0, 4)
    place.talk()
    later = resumed(town)
    assert later.job(job).ready.first() == (4, 10)
    later.teach(job)
    later.place("x").work()
    assert sorted(later.committed(job)) == list(range(10))
    assert later.state(job) is JobState.DONE


def test_a_job_whose_end_was_not_recorded_ends_when_it_is_resumed() -> None:
    town = Town()
    job = town.known("a", 3, durable=True)
    town.place("x").work()
    assert town.state(job) is JobState.DONE
    town.facts.pop()
    later = resumed(town)
    assert later.state(job) is JobState.DONE


def test_a_failed_job_that_is_resumed_again_runs_its_failed_items_only() -> None:
    town = Town()
    job = town.known("a", 10, durable=True)
    place = town.place("x")
    place.done(0, 4)
    place.fails(4, Cause.RAISED)
    place.talk()
    assert town.state(job) is JobState.FAILED
    later = resumed(town, again=True)
    assert list(later.job(job).ready) == [(4, 10)]
    assert not later.job(job).failed


def test_what_failed_in_a_job_that_collects_stays_failed() -> None:
    town = Town()
    job = town.known("a", 10, durable=True, fail_fast=False)
    place = town.place("x")
    place.done(0, 4)
    place.fails(4, Cause.RAISED)
    place.talk()
    later = resumed(town, fail_fast=False)
    assert list(later.job(job).ready) == [(5, 10)]
    assert list(later.job(job).failed) == [(4, 5)]


def test_inputs_that_broke_off_fail_the_job_and_may_go_on_when_it_is_resumed() -> None:
    town = Town()
    job = town.submit("a", 3, sealed=False, durable=True)
    town.teach(job)
    town.tell(Seal(job, whole=False))
    town.place("x").work()
    assert town.state(job) is JobState.FAILED
    later = resumed(town, again=True)
    assert not later.job(job).sealed
    later.grow(job, 5)
    later.tell(Seal(job))
    later.teach(job)
    later.place("x").work()
    assert later.state(job) is JobState.DONE


def test_an_attempt_that_an_earlier_run_of_the_home_counted_is_not_counted_twice() -> None:
    town = Town()
    job = town.known("a", 10, durable=True, retries=1)
    place = town.place("x")
    place.fails(0, Cause.RAISED)
    place.talk()
    town.home = Home.recover(town.facts, 1000)
    place.talk()  # nothing was acknowledged: the failure is told again
    assert town.job(job).attempts == {0: 1}
    assert not town.failed(job)


def test_attempts_that_an_earlier_run_counted_are_not_counted_twice_however_many() -> None:
    town = Town()
    job = town.known("a", 1, durable=True, retries=3)
    place = town.place("x")
    for _ in range(2):
        place.fails(0, Cause.RAISED)
        place.end()
        place.talk()
    town.home = Home.recover(town.facts, 1000)
    place.talk()  # nothing was acknowledged: both failures are told again
    assert town.job(job).attempts == {0: 2}


def test_a_graph_that_was_cut_off_goes_on_with_what_still_waits() -> None:
    town = Town()
    job = town.submit("a", durable=True, sealed=False)
    chain = {item: [(job, item - 1)] for item in range(1, 10)}
    town.tell(Grow(job, 12, chain))
    town.teach(job)
    place = town.place("x")
    place.done(0, 4)
    place.talk()
    later = resumed(town)
    now = later.home.jobs[job]
    assert sorted(now.waiting) == [5, 6, 7, 8, 9]
    assert now.ready.first() == (4, 5)
    later.tell(Seal(job))
    later.teach(job)
    later.place("x").work()
    assert sorted(later.committed(job)) == list(range(12))
    assert later.state(job) is JobState.DONE
