"""What a home promises about items: retries, crashes, failures, dependencies, cancels."""

from __future__ import annotations

import itertools

import pytest
from core_builders import Place, Town, cpus

from hanse import limits
from hanse.core.events import CancelItems, CancelJob, Forget, Grow, JobEnded, Seal, Submit
from hanse.core.why import explain
from hanse.ids import JobId
from hanse.model.failure import Cause
from hanse.model.job import JobSpec, JobState

ONCE = [Cause.INITIALIZER, Cause.ARGUMENT, Cause.RESULT]


def attempts(town: Town, cause: Cause, **spec: object) -> int:
    """How often a single item is started that always fails this way."""
    town.submit("a", 1, **spec)  # type: ignore[arg-type]
    place = town.place("x")
    for count in range(1, 100):
        (grant,) = place.grants.values()
        assert grant.attempts.get(0, 1) == count
        place.fails(0, cause)
        place.end()
        place.talk()
        if not place.grants:
            return count
    raise AssertionError("it is tried for ever")


@pytest.mark.parametrize("cause", [Cause.RAISED, Cause.TIMEOUT, Cause.MEMORY])
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_an_item_is_tried_again_as_often_as_its_job_says(cause: Cause, retries: int) -> None:
    assert attempts(Town(), cause, retries=retries) == 1 + retries


@pytest.mark.parametrize("cause", ONCE)
def test_what_cannot_get_better_is_not_tried_again(cause: Cause) -> None:
    assert attempts(Town(), cause, retries=5) == 1


@pytest.mark.parametrize("retries", [0, 9])
def test_crashes_have_a_bound_of_their_own(retries: int) -> None:
    assert attempts(Town(), Cause.DIED, retries=retries) == limits.MAX_CRASHES


def test_a_crash_uses_up_no_retry() -> None:
    town = Town()
    job = town.submit("a", 1, retries=1)
    place = town.place("x")
    for cause in (Cause.DIED, Cause.RAISED, Cause.DIED):
        place.fails(0, cause)
        place.end()
        place.talk()
    assert next(iter(place.grants.values())).attempts == {0: 4}
    place.finish()
    assert town.state(job) is JobState.DONE


def test_a_retry_runs_beside_the_lease_that_it_failed_in() -> None:
    town = Town()
    job = town.known("a", 10, retries=1)
    first = town.place("x")
    first.fails(3)
    first.talk()
    second = town.place("y")
    assert [(g.start, g.stop) for g in second.grants.values()] == [(3, 4)]
    second.finish()
    assert town.committed(job) == [3]


def test_the_first_item_that_fails_for_good_ends_a_job_that_fails_fast() -> None:
    town = Town()
    job = town.known("a", 10)
    place, other = town.place("x"), town.place("y")
    place.fails(0)
    place.talk()
    other.talk()
    assert town.ends(job) == [JobState.FAILED]
    assert place.cancels == [place.lease]
    place.done(1, 5)  # on its way when the cancel came: no fact follows the end
    place.end()
    place.talk()
    assert isinstance(town.facts[-1], JobEnded)


def test_a_job_that_collects_goes_on_to_its_last_item() -> None:
    town = Town()
    job = town.known("a", 10, fail_fast=False)
    place = town.place("x")
    place.fails(0)
    place.done(1, 10)
    place.end()
    place.talk()
    assert town.ends(job) == [JobState.DONE]
    assert town.failed(job) == [(0, Cause.RAISED)]
    assert town.job(job).done == 9


def test_a_late_failure_ends_the_lease_that_runs_the_item_again() -> None:
    town = Town()
    job = town.submit("a", 1, sealed=False, fail_fast=False)
    slow = town.place("slow")
    town.wait(31)
    quick = town.place("quick")
    slow.fails(0)
    slow.talk()
    quick.talk()
    assert quick.cancels == [quick.lease]
    assert town.state(job) is JobState.RUNNING


# --- dependencies -------------------------------------------------------------------------------
def test_an_item_waits_until_everything_it_needs_is_committed() -> None:
    town = Town()
    a, b = town.submit("a", 2), town.submit("b", sealed=False)
    town.grow(b, 1, {0: [(a, 0), (a, 1), (a, 0)]})
    town.teach(a)
    place = town.place("x")
    place.done(0, 1)
    place.talk()
    assert town.job(b).waiting == {0: 1}
    place.done(1, 2)
    place.end()
    place.talk()
    assert [(g.job, g.start, g.stop) for g in place.grants.values()] == [(b, 0, 1)]


def spans(place: Place) -> list[tuple[int, int]]:
    return [(grant.start, grant.stop) for grant in place.grants.values()]


def test_a_lease_takes_along_what_waits_for_its_own_items_alone() -> None:
    town = Town()
    other = town.submit("other", 1)
    job = town.submit("a", sealed=False)
    town.teach(job)
    # 0 and 1, what both lead to, a chain from there; 5 needs somebody else.
    waits = {2: [(job, 0), (job, 1)], 3: [(job, 2)], 5: [(job, 4), (other, 0)], 6: [(job, 5)]}
    town.grow(job, 7, waits)
    place = town.place("x")
    assert spans(place) == [(0, 5)]
    assert town.job(job).linked == {2: 2, 3: 1}
    assert town.job(job).waiting == {5: 2, 6: 1}
    town.tell(Seal(job))
    place.work()
    assert town.committed(job) == list(range(7))


def test_what_was_taken_along_waits_again_when_its_lease_is_cut() -> None:
    town = Town()
    job = town.submit("a", sealed=False, fail_fast=False)
    town.teach(job)
    town.grow(job, 4, {item: [(job, item - 1)] for item in range(1, 4)})
    place = town.place("x")
    assert spans(place) == [(0, 4)]
    town.tell(CancelItems(job, 3, 4))
    place.cut(2)  # earlier than asked: it was asked by others too
    place.talk()
    assert town.job(job).waiting == {2: 1}
    assert town.failed(job) == [(3, Cause.CANCELLED)]
    place.work()
    assert town.committed(job) == [0, 1, 2]


def test_an_item_that_its_worker_cannot_begin_is_no_attempt_and_runs_again() -> None:
    town = Town()
    job = town.submit("a", sealed=False, retries=1)
    town.teach(job)
    town.grow(job, 3, {1: [(job, 0)], 2: [(job, 1)]})
    place = town.place("x")
    place.fails(0)
    place.fails(1, Cause.DEPENDENCY)
    place.fails(2, Cause.DEPENDENCY)
    place.end()
    place.talk()
    assert spans(place) == [(0, 3)]
    assert next(iter(place.grants.values())).attempts == {0: 2}
    place.work()
    assert town.committed(job) == [0, 1, 2]


def test_what_was_taken_along_fails_with_what_it_waits_for() -> None:
    town = Town()
    job = town.submit("a", sealed=False, fail_fast=False)
    town.teach(job)
    town.grow(job, 3, {1: [(job, 0)], 2: [(job, 1)]})
    place = town.place("x")
    place.fails(0)
    place.fails(1, Cause.DEPENDENCY)
    place.fails(2, Cause.DEPENDENCY)
    place.end()
    place.talk()
    assert town.failed(job) == [
        (0, Cause.RAISED), (1, Cause.DEPENDENCY), (2, Cause.DEPENDENCY)
    ]  # fmt: skip
    assert not place.grants


def test_items_may_wait_for_items_of_other_jobs() -> None:
    town = Town()
    a, b = town.submit("a", 1), town.submit("b", sealed=False)
    town.grow(b, 1, {0: [(a, 0)]})
    town.tell(Seal(b))
    town.place("x").work()
    assert town.state(b) is JobState.DONE


def test_a_result_may_be_used_after_its_job_has_ended() -> None:
    town = Town()
    a = town.submit("a", 1)
    place = town.place("x")
    place.work()
    b = town.submit("b", sealed=False)
    town.grow(b, 1, {0: [(a, 0)]})
    assert len(town.job(b).ready) + town.job(b).leased == 1


def test_a_failure_runs_down_the_whole_graph() -> None:
    town = Town()
    a = town.submit("a", 1, fail_fast=False)
    b = town.submit("b", sealed=False, fail_fast=False)
    town.grow(b, 3, {0: [(a, 0)], 1: [(b, 0)]})
    town.tell(Seal(b))
    place = town.place("x")
    while not town.failed(b):
        for lease, grant in list(place.grants.items()):
            if grant.job == a:
                place.fails(0, lease=lease)
                place.end(lease)
        place.finish()
    assert town.failed(b) == [(0, Cause.DEPENDENCY), (1, Cause.DEPENDENCY)]
    place.work()
    assert town.state(b) is JobState.DONE


def test_jobs_that_need_a_cancelled_job_fail_with_it() -> None:
    town = Town()
    a = town.submit("a", 1)
    chain = [a, *(JobId(f"b{n}") for n in range(600))]  # deeper than Python's stack
    for before, after in itertools.pairwise(chain):
        town.home.handle(Submit(after, JobSpec(name=after)), 0)
        town.home.handle(Grow(after, 1, {0: [(before, 0)]}), 0)
    town.tell(CancelJob(a))
    assert all(town.state(job) is JobState.FAILED for job in chain[1:])


def test_arguments_that_cannot_travel_fail_their_item_alone() -> None:
    town = Town()
    job = town.submit("a", sealed=False, fail_fast=False)
    town.grow(job, 3, {2: [(job, 1)]}, broken=[1])
    assert town.failed(job) == [(1, Cause.ARGUMENT), (2, Cause.DEPENDENCY)]
    assert list(town.job(job).ready) == [(0, 1)]


# --- cancels ------------------------------------------------------------------------------------
def test_cancelled_items_fail_once_and_leased_ones_run_on() -> None:
    town = Town()
    job = town.submit("a", 3, sealed=False, fail_fast=False)
    town.grow(job, 5, {4: [(job, 3)]})
    town.place("x")
    town.tell(CancelItems(job, 0, 5))
    assert town.failed(job) == [(i, Cause.CANCELLED) for i in (1, 2, 3, 4)]


def test_cancelled_items_of_a_lease_are_cut_off_and_dropped() -> None:
    town = Town()
    job = town.known("a", 8, fail_fast=False)
    place = town.place("x")
    (lease,) = town.job(job).leases.values()
    town.tell(CancelItems(job, 2, 6))
    assert lease.cut_to == 2
    place.cut(2)
    place.talk()
    place.work()
    assert town.failed(job) == [(i, Cause.CANCELLED) for i in range(2, 6)]
    assert town.job(job).done == 4
    assert town.state(job) is JobState.DONE


def test_cancelled_items_that_a_late_segment_has_settled_stay_as_they_are() -> None:
    town = Town()
    job = town.known("a", 8, fail_fast=False)
    slow = town.place("slow")
    town.wait(40)  # it is silent: its lease expires
    quick = town.place("quick")
    slow.done(3, 5)
    slow.talk()
    assert list(town.job(job).settled) == [(3, 5)]
    town.tell(CancelItems(job, 2, 8))
    quick.finish()
    quick.work()
    assert not [item for item, _ in town.failed(job) if item in (3, 4)]
    assert town.state(job) is JobState.DONE


def test_a_withdrawn_item_that_fails_is_dropped_once() -> None:
    town = Town()
    job = town.known("a", 4, fail_fast=False, retries=3)
    place = town.place("x")
    town.tell(CancelItems(job, 0, 4))
    place.fails(1)
    place.end()
    place.talk()
    place.work()
    assert [item for item, _ in town.failed(job) if item == 1] == [1]
    assert town.state(job) is JobState.DONE


def test_a_cancelled_job_ends_at_once_and_its_leases_are_cancelled() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    town.tell(CancelJob(job))
    assert town.ends(job) == [JobState.CANCELLED]
    place.talk()
    assert place.cancels == [place.lease]
    place.end()
    place.talk()
    assert not town.home.leases


def test_a_forgotten_job_is_kept_while_a_site_runs_some_of_it() -> None:
    town = Town()
    job = town.known("a", 10)
    place = town.place("x")
    town.tell(Forget(job))
    assert job in town.home.jobs  # it runs
    town.tell(CancelJob(job))
    town.tell(Forget(job))
    assert job in town.home.jobs
    place.talk()
    place.end()
    place.talk()
    assert job not in town.home.jobs


def test_explain_names_the_silent_site_and_what_is_missing() -> None:
    town = Town()
    town.place("gone")
    town.place("small")
    town.wait(31)
    job = town.submit("a", 1, needs=cpus(1, licence=1000))
    lines = "\n".join(explain(town.home, job, town.now_ns))
    assert "gone gets no lease of it: it has been silent for 31 s" in lines
