"""What a job has spent, and since when its deadline counts: kept by facts, whatever dies."""

from __future__ import annotations

from core_builders import Place, Town
from hypothesis import given
from hypothesis import strategies as st

from hanse.core.accounts import account
from hanse.core.events import Describe, JobEnded, JobResumed, JobSpent, JobSubmitted, Resume
from hanse.core.facts import apply, moved
from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.purse import Purse, cost_of
from hanse.ids import JobId, LeaseId, SiteId
from hanse.journal.port import Head
from hanse.limits import SECOND, SPENT_LEAST_NS
from hanse.model.account import settled
from hanse.model.aims import HOUR_NS, NANO, Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobSpec, JobState
from hanse.records.tally import Tally, usage_of

EACH = Tariff(price_nano=3600 * NANO)  # one in a second
A = SiteId("a")


def town_with(tariff: Tariff = EACH) -> Town:
    town = Town()
    town.tell(Describe(A, Offer(tariff=tariff)))
    return town


def spent(town: Town, job: JobId) -> float:
    place = town.job(job).place
    assert place is not None
    return sum(place.purse.by_site(town.now_ns).values()) / NANO


def begin_anew(town: Town, job: JobId, spec: JobSpec) -> None:
    """Another home, which knows what is recorded."""
    facts = [fact for fact in town.facts if fact.job == job]
    home = town.home
    town.home, town.orders = Home(home._next_lease + 1000), {}
    town.tell(Describe(A, Offer(tariff=EACH)))
    town.tell(Resume(job, spec, facts))


def run_for(town: Town, seconds: int, job: JobId) -> None:
    for _ in range(seconds):
        town.wait(1)


def until_it_ends(town: Town, place: Place, job: JobId) -> None:
    for _ in range(200):
        if town.state(job).ended:
            return
        town.now_ns += SECOND
        place.finish()
    raise AssertionError("it goes on for ever")


def test_a_home_that_begins_anew_goes_on_with_what_was_spent() -> None:
    town = town_with()
    town.place("a")
    job = town.known("j", 100, 10 * SECOND, aims=Aims(budget_nano=1000 * NANO), durable=True)
    run_for(town, 5, job)
    before = spent(town, job)
    assert before == 5
    begin_anew(town, job, town.job(job).spec)
    assert before - SPENT_LEAST_NS / SECOND <= spent(town, job) <= before
    told = account(town.home, job, town.now_ns)
    assert told is not None
    assert told.spent == spent(town, job)
    assert [(site.site, site.spent) for site in told.sites] == [("a", told.spent)]


def test_a_lease_that_is_taken_back_is_paid_on_and_no_longer_than_it_was_held() -> None:
    town = town_with()
    a = town.place("a")
    job = town.known("j", 1, 10 * SECOND, aims=Aims(budget_nano=1000 * NANO), durable=True)
    a.talk()
    run_for(town, 3, job)
    town.now_ns += 4 * SECOND  # nobody is there
    begin_anew(town, job, town.job(job).spec)
    a.talk()
    assert town.job(job).leases, "the site runs it still"
    assert spent(town, job) == 7
    town.now_ns += 2 * SECOND
    a.finish()
    assert town.state(job) is JobState.DONE
    assert spent(town, job) == 9


def test_what_ended_while_no_home_was_there_is_paid_once() -> None:
    town = town_with()
    a = town.place("a")
    job = town.known("j", 3, 2 * SECOND, aims=Aims(budget_nano=1000 * NANO), durable=True)
    a.talk()
    grant = next(iter(a.grants.values()))
    town.now_ns += SECOND
    a.done(grant.start, grant.stop)
    a.end()
    begin_anew(town, job, town.job(job).spec)
    a.talk()
    assert spent(town, job) >= (grant.stop - grant.start) * 2


def test_a_budget_that_is_spent_stays_spent_and_more_goes_on() -> None:
    town = town_with()
    a = town.place("a")
    job = town.known("j", 100, SECOND, aims=Aims(budget_nano=20 * NANO), durable=True)
    until_it_ends(town, a, job)
    (end,) = [fact for fact in town.facts if isinstance(fact, JobEnded)]
    assert end.short is not None
    assert end.state is JobState.FAILED
    assert end.short.budget_nano == 20 * NANO
    assert 0 < end.short.spent_nano <= 20 * NANO
    assert end.short.done + end.short.left == 100
    spec = town.job(job).spec
    begin_anew(town, job, spec)
    a.crash()
    a.talk()
    until_it_ends(town, a, job)
    last = [fact for fact in town.facts if isinstance(fact, JobEnded)][-1]
    assert last.short is not None
    assert last.short.spent_nano <= 20 * NANO, "both runs together"
    more = JobSpec(name="j", aims=Aims(budget_nano=1000 * NANO), durable=True)
    begin_anew(town, job, more)
    a.crash()
    a.talk()
    assert town.job(job).leases


def test_a_deadline_counts_on_when_a_job_was_cut_off_and_anew_when_it_had_ended() -> None:
    town = town_with()
    job = town.submit("j", 10, aims=Aims(deadline_ns=100 * SECOND), durable=True)
    town.now_ns += 30 * SECOND
    begin_anew(town, job, town.job(job).spec)
    assert town.job(job).since_ns == 0
    town.facts.append(JobEnded(job, JobState.FAILED))
    town.now_ns += 30 * SECOND
    begin_anew(town, job, town.job(job).spec)
    assert town.job(job).since_ns == 60 * SECOND


def test_jobs_without_aims_or_at_sites_without_prices_record_no_costs() -> None:
    for tariff, aims in ((EACH, None), (Tariff(), Aims(deadline_ns=1000 * SECOND))):
        town = town_with(tariff)
        town.place("a")
        job = town.known("j", 100, SECOND, aims=aims, durable=True)
        run_for(town, 5, job)
        assert not [fact for fact in town.facts if isinstance(fact, JobSpent) and fact.sites]


def test_facts_with_a_moment_are_moved_to_another_clock() -> None:
    spec = JobSpec(name="j")
    for fact in (
        JobSubmitted(JobId("j"), spec, 5), JobResumed(JobId("j"), spec, False, 5),
        JobSpent(JobId("j"), {}, 5),
    ):  # fmt: skip
        later = moved(fact, -7)
        assert later.now_ns == -2  # type: ignore[union-attr]
        assert moved(later, 7) == fact
    end = JobEnded(JobId("j"), JobState.DONE)
    assert moved(end, 7) is end


Step = tuple[str, int, int]


@given(
    st.lists(
        st.tuples(st.sampled_from(["grant", "end", "pay"]), st.integers(0, 5), st.integers(0, 99)),
        max_size=60,
    )
)
def test_what_was_recorded_never_falls_and_each_lease_is_paid_once(steps: list[Step]) -> None:
    purse, now, since, recorded = Purse(), 0, dict[int, int](), 0
    held = 0
    for what, number, gap in steps:
        now += gap * SECOND
        lease = Lease(LeaseId(number), JobId("j"), A, (0, 1), now)
        if what == "grant" and number not in since:
            purse.granted(lease, 3600 * NANO, 0, SECOND, now)
            since[number] = now
        elif what == "end" and number in since:
            held += now - since.pop(number)
            purse.closed(LeaseId(number), None, now)
        elif what == "pay":
            purse.pay(now)
            assert purse.total() >= recorded
            recorded = purse.total()
    out = sum(now - begun for begun in since.values())
    assert sum(purse.by_site(now).values()) == cost_of(held + out, 3600 * NANO)
    assert HOUR_NS == 3600 * SECOND


def test_a_job_that_is_resumed_is_not_late_until_its_new_deadline_is_over() -> None:
    job, spec = JobId("j"), JobSpec(name="j", aims=Aims(deadline_ns=SECOND))
    late = [
        JobSubmitted(job, spec, 0),
        JobSpent(job, {A: NANO}, 3 * SECOND, {}, 2 * SECOND),
    ]
    end, again = JobEnded(job, JobState.FAILED), JobResumed(job, spec, again=True, now_ns=HOUR_NS)
    head = Head(
        id=job, name="j", function="f", script="", user="", host="", created_s=0, updated_s=0
    )
    for facts, still_ns in [([*late, again], 2 * SECOND), ([*late, end, again], 0)]:
        tally, jobs = Tally(head), dict[JobId, Job]()
        for fact in facts:
            tally.take(fact, 0.0, 0, None)
            apply(jobs, fact)
        assert jobs[job].late_ns == still_ns
        assert usage_of(tally.head).late_ns == tally.usage.late_ns == still_ns
        assert usage_of(tally.head).spent == {A: NANO}
    told = settled({}, {}, 2 * SECOND)
    assert told is not None
    assert told.late_s == 2
