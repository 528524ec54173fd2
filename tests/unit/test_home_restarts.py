"""Agents and homes that die and come back: nothing is lost, and no commit is run again."""

from __future__ import annotations

from core_builders import Town

from hanse.core.events import CancelJob, Forget
from hanse.model.job import JobState


def test_an_agent_that_restarts_gives_back_its_leases_but_not_its_commits() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    place.talk()
    place.crash()
    place.talk()
    (grant,) = place.grants.values()
    assert (grant.start, grant.stop) == (4, 10)
    place.work()
    assert town.state(job) is JobState.DONE


def test_a_word_of_the_dead_process_is_not_heard() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    late = place.report()
    place.crash()
    place.talk()
    assert place.send(late) == []
    assert town.committed(job) == []


def test_a_recovered_home_takes_running_leases_back_and_runs_no_commit_again() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.done(0, 4)
    place.talk()
    lease = place.lease
    town.recover()
    assert town.job(job).ready.first() == (4, 10)
    place.talk()
    assert list(town.home.leases) == [lease]
    place.finish()
    assert sorted(town.committed(job)) == list(range(10))
    assert town.state(job) is JobState.DONE


def test_results_that_were_on_their_way_when_the_home_died_are_not_run_again() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    place.begun[place.lease] = 10  # all finished, none reported
    town.recover()
    place.talk()
    assert not place.cancels
    assert town.job(job).leased == 0
    place.done(0, 10)
    place.end()
    place.talk()
    assert town.state(job) is JobState.DONE


def test_an_agent_follows_the_orders_of_a_recovered_home() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    for _ in range(20):
        place.talk()  # many orders were seen
    town.recover()
    place.finish()
    town.known("b", 5)
    place.talk()
    place.work()
    assert town.state(job) is JobState.DONE
    assert town.ends(town.known("c", 0)) == [JobState.DONE]


def test_leases_of_a_job_that_a_recovered_home_does_not_know_are_cancelled() -> None:
    town = Town()
    town.known("a", 10)
    place = town.place("x")
    town.recover([])
    place.talk()
    assert place.cancels == [place.lease]


def test_results_of_items_whose_growth_was_lost_are_not_those_of_other_items() -> None:
    """What is said again after the crash may be other items under the same numbers."""
    town = Town()
    job = town.submit("a", 2, sealed=False)
    town.teach(job)
    recorded = len(town.facts)
    place = town.place("x", 8)
    before = sorted(place.grants)
    town.grow(job, 10)  # and the home dies before this is recorded
    place.talk()
    (others,) = [lease for lease in place.grants if place.grants[lease].start == 2]
    place.done(2, place.grants[others].stop, lease=others)
    town.recover(town.facts[:recorded])
    town.grow(job, 10)
    place.talk()
    assert not town.job(job).settled
    assert others in place.cancels
    assert town.home.leases.keys() >= set(before)
    assert not town.home.leases.keys() & set(place.cancels)


def test_results_of_two_runs_ago_are_not_those_of_items_that_the_last_run_recorded() -> None:
    town = Town()
    job = town.submit("a", sealed=False)
    recorded = len(town.facts)
    place = town.place("x")
    town.grow(job, 5)  # and the home dies before this is recorded
    place.talk()
    lease = place.lease
    town.recover(town.facts[:recorded])
    del town.facts[recorded:]
    town.grow(job, 5)  # which is recorded
    town.recover()
    place.finish()
    assert not town.job(job).settled
    assert lease not in town.home.leases


def test_a_job_may_be_cancelled_and_forgotten_before_all_sites_have_spoken() -> None:
    town = Town()
    job = town.known("a", 10)
    other = town.known("b", 10)
    place = town.place("x")
    town.recover()
    town.tell(CancelJob(job))
    town.tell(Forget(job))
    assert job not in town.home.jobs
    town.wait(6)
    place.talk()
    place.work()
    assert town.state(other) is JobState.DONE
