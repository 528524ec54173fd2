"""What the jobs of a runtime have cost: of those that run as their home knows, and of those that
ended a while ago as was said last."""

from __future__ import annotations

import msgspec

from hanse import limits
from hanse.core.accounts import account, spent_of
from hanse.core.events import JobSpent
from hanse.core.home import Home
from hanse.ids import JobId
from hanse.model.account import Account, settled
from hanse.model.aims import NANO


class Costs:
    """For the loop's thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._spent: dict[JobId, JobSpent] = {}  # what was said last

    def take(self, fact: JobSpent) -> None:
        self._spent.pop(fact.job, None)  # the newest are last
        self._spent[fact.job] = fact
        if len(self._spent) > limits.COSTS_KEPT:
            del self._spent[next(iter(self._spent))]

    def spent(self, job: JobId, now_ns: int) -> float | None:
        """So far; None: that is not known any more, or not counted."""
        known = self._home.jobs.get(job)
        if known is None or known.state.ended:
            told = self._spent.get(job)
            return None if told is None else sum(told.sites.values()) / NANO
        if known.place is None and not known.paid:
            return None
        return sum(spent_of(known, now_ns).values()) / NANO

    def running(self, now_ns: int) -> dict[JobId, float]:
        """Of all jobs that run, as far as that is counted."""
        found = {job: self.spent(job, now_ns) for job in self._home.jobs}
        return {job: cost for job, cost in found.items() if cost is not None}

    def account(self, job: JobId, now_ns: int) -> Account | None:
        known = self._home.jobs.get(job)
        if known is None or known.state.ended:
            told = self._spent.get(job)
            return None if told is None else settled(told.sites, told.moved, told.late_ns)
        return account(self._home, job, now_ns)


def explained(lines: list[str], account: Account | None) -> str:
    """The answer to a program that asks what a job waits for."""
    return msgspec.json.encode({"lines": lines, "account": account}).decode()
