"""Machines that are jobs of a real Slurm."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.command import HANSE
from system.nodes import PATH
from system.real import until
from system.slurm import slurm
from system.test_links import Hosts, hosts, where

__all__ = ["hosts"]

FILE = """
[rack]
kind = "slurm"
hanse = "{hanse}"
setup = "export TMPDIR={place} HANSE_HOME={place} PYTHONPATH={path}"

[rack.offers.core]
cpus = 1
price = 0.02
most = 2
start = "5s"
idle = "2s"

[rack.offers.core.how]
options = ["--partition=all"]
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hanse-slurm-", dir="/tmp") as made:
        with slurm(Path(made)) as env:
            for name, value in env.items():
                monkeypatch.setenv(name, value)
            yield Path(made)
            subprocess.run(["scancel", "--me", "--signal=KILL", "--full"], check=False)
            subprocess.run(["scancel", "--me"], check=False)
            until(lambda: not jobs(), 30)


def jobs() -> list[str]:
    told = subprocess.run(["squeue", "--noheader", "--format=%j"], capture_output=True, text=True,
                          check=True)  # fmt: skip
    return told.stdout.split()


def test_a_job_runs_as_a_job_of_slurm_and_what_leaked_is_cancelled(
    hosts: Hosts, cluster: Path
) -> None:
    hanse = cluster / "hanse"
    hanse.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in HANSE) + ' "$@"\n')
    hanse.chmod(0o755)
    file = cluster / "providers.toml"
    file.write_text(FILE.format(hanse=hanse, place=cluster, path=PATH))
    home = hosts.node("home", "--no-work", "--providers", str(file))
    with home.connect() as client:
        job = client.map(where, range(20), deadline=600)
        assert {place for _, place in job} == {str(cluster)}
        node = (home.place.home / "id").read_text().strip()
        assert f"hanse.{node}.core-1-1" in jobs()
        assert not list((cluster / "slurm").glob("*.token")) or all(
            each.stat().st_mode & 0o077 == 0 for each in (cluster / "slurm").glob("*.token")
        )
    until(lambda: not jobs(), 60)
    home.kill()
    leaked = [
        "sbatch",
        f"--job-name=hanse.{node}.core-1-9",
        f"--chdir={cluster}",
        "--wrap=sleep 1000",
    ]
    others = [
        "sbatch",
        "--job-name=hanse.n-other.core-1-1",
        f"--chdir={cluster}",
        "--wrap=sleep 1000",
    ]
    for each in (leaked, others):
        subprocess.run(each, check=True, capture_output=True)
    home.start()
    until(lambda: jobs() == ["hanse.n-other.core-1-1"], 60)
