"""Whoever asks hears that a deadline will be missed as soon as the estimates say so, and that it
was."""

from __future__ import annotations

import pytest
from core_builders import Place, Town

from hanse.cli.shared import bill
from hanse.core.accounts import account
from hanse.core.why import explain
from hanse.core.words import money
from hanse.ids import JobId
from hanse.limits import SECOND
from hanse.model.account import Account
from hanse.model.aims import NANO, Aims


def told(town: Town, job: JobId) -> tuple[Account, str, str]:
    """Its account, the line of `explain` on its deadline, and that of `hanse job`."""
    found = account(town.home, job, town.now_ns)
    assert found is not None
    (line,) = (each for each in explain(town.home, job, town.now_ns) if "deadline" in each)
    return found, line, str(dict(bill.rows(found))["deadline"])


def running(deadline_s: int, items: int) -> tuple[Town, JobId]:
    """Items of a second each on one core, some of which were timed."""
    town = Town()
    a = town.place("a")
    job = town.submit("j", items, aims=Aims(deadline_ns=deadline_s * SECOND))
    town.item_ns = SECOND
    a.talk()
    while town.job(job).done < min(20, items):
        work(town, a)
    return town, job


def work(town: Town, place: Place) -> None:
    """Whatever runs there ends well, a second later for each item."""
    town.now_ns += SECOND * sum(grant.stop - grant.start for grant in place.grants.values())
    place.finish()


def test_a_deadline_that_cannot_be_met_will_be_missed_by_so_much() -> None:
    town, job = running(deadline_s=60, items=200)
    found, line, row = told(town, job)
    assert 100 < found.late_s <= found.late_high_s
    assert found.end_s is not None
    assert found.deadline_s is not None
    assert found.late_s == pytest.approx(found.end_s - found.deadline_s)
    for words in (line, row):
        assert "it will miss it by about 2.3 min" in words
    town.now_ns += 50 * SECOND
    for words in told(town, job)[1:]:
        assert "it has missed it" in words


def test_one_that_is_met_is_not_worried_about_and_a_close_one_may_be_missed() -> None:
    found, line, row = told(*running(deadline_s=1000, items=100))
    assert (found.late_s, found.late_high_s) == (0, 0)
    assert "miss" not in line + row
    town, job = running(deadline_s=105, items=100)
    found, line, row = told(town, job)
    assert found.late_s == 0 < found.late_high_s
    for words in (line, row):
        assert "it may miss it, by up to" in words


def test_a_job_that_ended_late_says_by_how_much() -> None:
    town, job = running(deadline_s=9, items=20)
    assert town.state(job).ended
    found = account(town.home, job, town.now_ns)
    assert found is not None
    assert found.late_s == 11
    assert dict(bill.rows(found))["deadline"].startswith("missed by 11 s")
    assert "It has missed its deadline by 11 s." in explain(town.home, job, town.now_ns)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "0.00"), (0.000058, "0.000058"), (0.0123, "0.012"), (0.5, "0.50"), (1234.5, "1,234.50"),
     (0.0999, "0.100"), (1.5e-9, "0.0000000015"), (1e-15, "0.00"), (-0.01, "-0.010")],
)  # fmt: skip
def test_amounts_are_written_as_people_do(amount: float, shown: str) -> None:
    assert money(amount * NANO) == shown
