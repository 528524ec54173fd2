"""What jobs have cost and when they have to be done, over kills, restarts and reboots."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from system.command import SRC, environment
from system.nodes import Away
from system.real import until
from system.test_links import Hosts, hosts, noting, read

import hanse as library
from hanse.errors import BudgetSpent

__all__ = ["hosts"]


def test_a_killed_node_goes_on_with_what_was_spent(hosts: Hosts, tmp_path: Path) -> None:
    """One slot costs 1 each second, and an item takes a tenth of that."""
    node = hosts.node("home", "--cpus", "1", "--price", "3600")
    ledger = tmp_path / "ledger"
    work = noting(ledger, 0.1)
    with node.connect() as client:
        job = client.map(work, range(200), name="n", budget=15)
        until(lambda: job.cost >= 3)
        node.kill()
        node.start()
        with pytest.raises(BudgetSpent, match="what is done is kept") as caught:
            list(job)
        error = caught.value
        assert error.budget == 15
        assert error.spent <= 15
        assert error.spent >= 0.1 * error.done - 1.5, "what the first run did is paid for"
        assert 0 < error.left < 200
        assert error.done + error.left == 200
        assert len(read(ledger)) < 160
        assert job.cost == pytest.approx(error.spent, abs=1.5)
        assert len(job.account().sites) == 1
        assert "It has cost" in job.explain()
    away = Away(node, tmp_path / "away")
    told = away.json("job", "n")
    assert told["account"]["spent"] == pytest.approx(error.spent, abs=1.5)
    assert "budget" in told["because"]
    assert "It has cost" in away("explain", "n").stdout
    with node.connect() as client:
        again = client.map(work, range(200), name="n", budget=600)
        assert len(list(again)) == 200
        assert again.cost > error.spent
    assert "cost " in away("job", "n").stdout


PROGRAM = """
import sys, time, hanse
def work(item):
    time.sleep(item and 0.01)
    return item
if __name__ == "__main__":
    with hanse.connect() as client:
        job = client.map(work, range(1_000_000), name="n", deadline="1h")
        for _ in zip(range(20), job): pass
        print(job.account().deadline_s, flush=True)
        time.sleep(3600)
"""


def test_a_deadline_counts_on_over_a_reboot(tmp_path: Path) -> None:
    """A namespace of its own gives the second run a clock that has begun anew."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    lefts = []
    unshare = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--time"]
    for before in ([], [*unshare, "--monotonic", "1000000", "--boottime", "1000000", "--fork",
                        "--kill-child"]):  # fmt: skip
        run = subprocess.Popen(
            [*before, sys.executable, script], stdout=subprocess.PIPE, text=True,
            env=environment(tmp_path / "home", PYTHONPATH=str(SRC)), process_group=0,
        )  # fmt: skip
        try:
            assert run.stdout is not None
            lefts.append(float(run.stdout.readline()))
        finally:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            assert run.stdout is not None
            run.stdout.close()
    first, second = lefts
    assert 3600 - 120 < second < first < 3600


def test_the_error_of_a_spent_budget_is_a_failed_job() -> None:
    error = library.BudgetSpent("words")
    assert (error.code, error.spent, error.left) == ("budget-spent", 0.0, 0)
    assert isinstance(error, library.JobFailed)
