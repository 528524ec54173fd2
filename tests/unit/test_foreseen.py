"""What is expected of a job is reckoned where nobody's leases wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from test_ahead import SURE, A, B
from test_renting import HERE, JOB

from hanse.core import reckoning
from hanse.core.reckoning import Question, Reckoned
from hanse.core.why import explain
from hanse.ids import JobId
from hanse.limits import REPORT_EVERY_NS, SECOND
from hanse.runtime.costs import Costs
from hanse.runtime.looking import Looking
from hanse.sim.rehearsal_scenario import Scenario
from hanse.sim.rehearsal_times import Times
from hanse.sim.renting import RentingStage

NAME = JobId("job")


class Here(Looking):
    """A home with offers that can be taken away, and the thread that alone may touch it."""

    def __init__(self) -> None:
        job = replace(JOB, items=300, deadline_s=4 * 3600.0, submitted_s=5.0,
                      times=Times("lognormal", 180.0, 0.5))  # fmt: skip
        scenario = Scenario((replace(HERE, cpus=1, price_per_hour=0.0),), (job,))
        stage = RentingStage(scenario, 1, [A, B, SURE], spells={}, look_ns=20 * SECOND)
        stage.play(1800 * SECOND)
        self.home = stage.home.home
        self.loop: Any = self
        self.at_ns = stage.world.now_ns
        self._costs = Costs(self.home)
        self._foreseeing = threading.Lock()
        self._one = ThreadPoolExecutor(1, initializer=self._begun)
        self.ask: Callable[..., Any] = lambda act: self._one.submit(act).result()
        self.explain = lambda job: explain(self.home, job, self.at_ns)
        self.ask(lambda: None)

    def _begun(self) -> None:
        self._thread = threading.current_thread()

    def now_ns(self) -> int:
        return self.at_ns

    def close(self) -> None:
        self._one.shutdown()


@pytest.fixture
def here() -> Iterator[Here]:
    made = Here()
    yield made
    made.close()


def test_what_takes_long_is_not_reckoned_on_the_thread_of_leases(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    reckoned: list[threading.Thread] = []
    really = reckoning.reckon

    def noted(asked: Question, *rest: Any) -> Reckoned | None:
        reckoned.append(threading.current_thread())
        return really(asked, *rest)

    monkeypatch.setattr(reckoning, "reckon", noted)
    account = here.account(NAME)
    assert account is not None
    assert account.expected is not None
    count = len(reckoned)
    assert any("more is expected" in line for line in here.reasons(NAME))
    assert here.account(NAME) == account
    assert len(reckoned) == count, "it was known"
    here.at_ns += REPORT_EVERY_NS
    here.reasons(NAME)
    assert len(reckoned) > count
    assert here._thread not in reckoned


def test_who_asks_of_what_is_known_does_not_wait_for_what_is_reckoned_of_another_job(
    here: Here,
) -> None:
    known = here.account(NAME)
    with ThreadPoolExecutor(1) as other, here._foreseeing:  # it is being reckoned
        assert other.submit(here.account, NAME).result(timeout=60) == known
