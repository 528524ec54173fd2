"""Sites that cannot run everything, sites that leave, and homes that wait for theirs."""

from __future__ import annotations

from core_builders import Town

from hanse import limits
from hanse.core.accounts import account
from hanse.core.events import CancelJob, Describe, JobEnded, JobSubmitted, Resume, Withdraw
from hanse.core.home import Home
from hanse.core.invariants import check
from hanse.core.why import explain
from hanse.ids import SiteId
from hanse.model.aims import Aims, Tariff
from hanse.model.fit import Offer, Requires
from hanse.model.job import JobState
from hanse.model.resources import Amount

X, Y = SiteId("x"), SiteId("y")


def test_code_of_another_python_goes_where_that_runs() -> None:
    town = Town()
    town.tell(Describe(X, Offer(python="3.11")))
    town.tell(Describe(Y, Offer(python="3.12")))
    job = town.known("a", 10, requires=Requires(python="3.12"))
    x, y = town.place("x"), town.place("y")
    assert not x.grants
    assert len(y.grants) == 1
    y.agent.resize(y.agent.capacity.minus(y.agent.capacity))
    lines = explain(town.home, job, town.now_ns)
    assert not any("x gets no lease" in line for line in lines)  # nothing is ready
    y.work()
    assert town.state(job) is JobState.DONE


def test_a_job_that_no_site_can_run_says_why() -> None:
    town = Town()
    packages = {"numpy": "2.1.0", "polars": "1.5", "rich": "13.9"}
    town.tell(Describe(X, Offer(python="3.11", packages={"numpy": "1.26", "rich": "13.0"})))
    job = town.known("a", 10, requires=Requires(python="3.11", packages=packages))
    town.place("x")
    words = "\n".join(explain(town.home, job, town.now_ns))
    assert "x gets no lease of it: it lacks packages" in words
    assert "numpy 2.1.0 (it has 1.26)" in words
    assert "polars 1.5 (it has none)" in words
    assert "rich" not in words
    town.tell(Describe(X, Offer(python="3.11", packages=packages)))
    assert town.home.leases, "it can run it now"


def test_an_owner_lets_some_functions_through_only() -> None:
    town = Town()
    town.tell(Describe(X, Offer(allow=["report_*"])))
    town.known("wipe", 10)
    x = town.place("x")
    assert not x.grants
    words = "\n".join(explain(town.home, town.known("other", 3), town.now_ns))
    assert "its owner lets other functions through only: report_*" in words
    town.known("report_sales", 10)
    x.talk()
    assert [grant.job for grant in x.grants.values()] == ["report_sales"]


def test_a_site_that_is_emptied_for_a_job_may_be_closed_to_it_meanwhile() -> None:
    town = Town()
    town.known("narrow", 10**6)
    x = town.place("x", 2)
    wide = town.known("wide", 10, needs=Amount(cpus_milli=2000))
    town.wait(limits.RESERVE_AFTER_NS / limits.SECOND + 1)
    x.talk()
    assert town.home.sites[X].reserved == wide
    town.tell(Describe(X, Offer(allow=["narrow"])))
    for lease in list(x.grants):
        x.end(lease)
    x.talk()
    assert not town.home.jobs[wide].leases
    assert town.home.sites[X].reserved is None


def test_what_a_withdrawn_site_ran_runs_elsewhere_at_once() -> None:
    town = Town()
    job = town.known("a", 10)
    x = town.place("x")
    assert x.grants
    y = town.place("y")
    assert not y.grants
    town.tell(Withdraw(X))
    y.talk()
    assert [(grant.start, grant.stop) for grant in y.grants.values()] == [(0, 10)]
    x.done(0, 10)
    town.tell(Withdraw(X))  # saying it twice does no harm
    y.work()
    assert town.state(job) is JobState.DONE
    assert sorted(town.committed(job)) == list(range(10))


def test_a_resumed_job_waits_for_the_sites_that_may_still_run_it() -> None:
    town = Town()
    job = town.known("a", 10, durable=True)
    x = town.place("x")
    x.done(0, 4)
    lease = x.lease
    facts = [fact for fact in town.facts if fact.job == job]
    assert isinstance(facts[0], JobSubmitted)
    town.home = Home(10_000, [X, Y])
    town.tell(Resume(job, facts[0].spec, facts))
    z = town.place("z")
    assert not z.grants, "x may run all of it"
    x.talk()
    assert list(town.home.leases) == [lease], "it still runs it"
    assert not z.grants, "y has not spoken"
    town.wait(6)
    assert town.home.leases[lease].site == X
    x.finish()
    assert town.state(job) is JobState.DONE
    assert sorted(town.committed(job)) == list(range(10))


def test_a_site_that_builds_an_environment_gets_other_work_meanwhile() -> None:
    town = Town()
    job = town.known("a", 10, requires=Requires(environment="e1"))
    x = town.place("x")
    x.agent.builds({"e1": "it is building environment e1"}, {})
    x.end()  # its lease is given back
    x.talk()
    assert not town.home.leases
    assert not x.grants
    words = explain(town.home, job, town.now_ns)
    assert "x gets no lease of it: it is building environment e1." in words
    other = town.known("b", 10)
    x.talk()
    x.work()
    assert (town.state(other), town.state(job)) == (JobState.DONE, JobState.RUNNING)
    x.agent.builds({}, {})
    x.talk()
    x.work()
    assert town.state(job) is JobState.DONE


def test_a_site_that_was_started_again_builds_nothing_until_it_says_so() -> None:
    town = Town()
    x = town.place("x")
    x.agent.builds({"e1": "it is building environment e1"}, {})
    x.talk()
    job = town.known("a", 10, requires=Requires(environment="e1"))
    x.talk()
    assert not x.grants
    x.crash()
    x.talk()
    assert [grant.job for grant in x.grants.values()] == [job]


def test_a_site_that_is_closed_to_a_job_is_no_hope_for_its_environment() -> None:
    town = Town()
    town.tell(Describe(Y, Offer(allow=["others"])))
    town.place("y")
    job = town.known("a", 10, requires=Requires(environment="e1"))
    x = town.place("x")
    x.agent.builds({}, {"e1": "no such package"})
    x.end()
    x.talk()
    assert town.state(job) is JobState.FAILED


def test_a_job_ends_once_none_of_its_sites_can_build_its_environment() -> None:
    town = Town()
    job = town.known("a", 10, requires=Requires(environment="e1"))
    other = town.known("b", 10, requires=Requires(environment="e2"))
    x, y = town.place("x"), town.place("y")
    y.agent.builds({"e1": "it is building environment e1"}, {})
    y.talk()
    x.agent.builds({}, {"e1": "no such package"})
    x.end()
    x.talk()
    assert town.state(job) is JobState.RUNNING  # y may be luckier
    words = explain(town.home, job, town.now_ns)
    assert "x gets no lease of it: no such package." in words
    y.agent.builds({}, {"e1": "the disk is full"})
    y.talk()
    assert town.state(job) is JobState.FAILED
    (end,) = (fact for fact in town.facts if isinstance(fact, JobEnded))
    assert end.because == "the disk is full"
    assert town.state(other) is JobState.RUNNING
    again = town.known("c", 10, requires=Requires(environment="e1"))
    assert not town.job(again).leases  # it waits until one of them is willing to try again
    x.agent.builds({}, {})
    x.talk()
    x.work()
    assert town.state(again) is JobState.DONE


def test_sites_that_left_are_known_for_a_while_and_not_for_ever() -> None:
    town = Town()
    job = town.known("a", 10)
    x = town.place("x")
    x.done(0, 4)
    town.tell(Withdraw(X))
    town.wait(limits.SITE_KEPT_NS // limits.SECOND - 60)
    town.place("y")
    town.tell(Withdraw(Y))
    assert [*town.home.sites] == [X, Y]
    town.wait(120)
    town.place("z")
    town.tell(Withdraw(SiteId("z")))
    assert [*town.home.sites] == [Y, "z"]
    assert X not in town.home.jobs[job].rates
    x.talk()  # it lives on, and is back with what it had not told
    x.talk()
    x.work()
    assert town.state(job) is JobState.DONE
    assert sorted(town.committed(job)) == list(range(10))


def test_machines_that_come_once_leave_no_trace_however_many() -> None:
    town = Town()
    town.checked = False
    town.known("a", 10)
    town.known("b", 10, aims=Aims(deadline_ns=3600 * limits.SECOND))
    for count in range(limits.SITES_GONE + 100):
        site = SiteId(f"m{count}")
        town.tell(Describe(site, Offer(python="3.9", allow=["none"])))
        town.tell(Withdraw(site))
    check(town.home)
    assert len(town.home.sites) == limits.SITES_GONE
    assert len(town.home._restricted) == limits.SITES_GONE
    assert "m0" not in town.home.sites


def test_a_site_that_a_job_is_for_is_remembered_and_so_is_what_was_spent() -> None:
    town = Town()
    job = town.known("a", 10, requires=Requires(site="x"))
    priced = town.known("b", 10, aims=Aims(budget_nano=10**12))
    tariff = Tariff(price_nano=10**9)
    for name in "xy":
        town.tell(Describe(SiteId(name), Offer(tariff=tariff)))
    y = town.place("y")
    assert y.grants
    town.wait(20)
    y.talk()
    for name in "xy":
        town.tell(Withdraw(SiteId(name)))
    town.wait(limits.SITE_KEPT_NS // limits.SECOND + 1)
    town.tell(Withdraw(town.place("z").agent.site))
    assert [*town.home.sites] == [X, "z"]
    told = account(town.home, priced, town.now_ns)
    assert told is not None
    assert {each.site for each in told.sites if each.spent} == {Y}
    town.tell(CancelJob(job))
    town.wait(limits.SITES_GONE_LOOK_NS // limits.SECOND)
    assert [*town.home.sites] == ["z"]


def test_sites_that_left_are_forgotten_without_another_that_leaves() -> None:
    town = Town()
    for name in "xy":
        town.tell(Withdraw(town.place(name).agent.site))
    z = town.place("z")
    town.wait(limits.SITE_KEPT_NS // limits.SECOND - 60)
    z.talk()
    assert [*town.home.sites] == [X, Y, "z"]
    town.now_ns += 120 * limits.SECOND
    z.talk()
    assert [*town.home.sites] == ["z"]


def test_machines_that_a_waiting_job_might_be_for_are_forgotten_too_once_they_are_many() -> None:
    town = Town()
    town.checked = False
    job = town.submit("a", 10, requires=Requires(site="ann", environment="e1"))
    for count in range(2 * limits.SITES_GONE + 100):
        site = SiteId(f"ann/m{count}")
        town.tell(Describe(site, Offer(python="3.9", allow=["none"])))
        town.tell(Withdraw(site))
    town.wait(limits.SITE_KEPT_NS // limits.SECOND)
    check(town.home)
    assert town.state(job) is JobState.RUNNING
    assert len(town.home.sites) == limits.SITES_GONE
    assert "ann/m1099" not in town.home.sites
    assert "ann/m2099" in town.home.sites
