"""Machines that are jobs of a real Slurm."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from system.command import HANSE
from system.nodes import PATH
from system.real import until
from system.slurm import slurm
from system.test_links import Hosts, hosts
from system.test_renting import gated

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
    with ExitStack() as stack:
        # Not in pytest's directory: the names of sockets are short.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hanse-slurm-")))
        for name, value in stack.enter_context(slurm(place)).items():
            monkeypatch.setenv(name, value)
        yield place
        subprocess.run(["scancel", "--me"], check=False)
        until(lambda: not jobs())


def jobs() -> list[str]:
    told = subprocess.run(["squeue", "--noheader", "--format=%j"], capture_output=True, text=True,
                          check=True)  # fmt: skip
    return told.stdout.split()


def test_a_job_runs_as_a_job_of_slurm_and_what_leaked_is_cancelled(
    hosts: Hosts, cluster: Path
) -> None:
    hanse = cluster / "hanse"
    hanse.write_text(f'#!/bin/sh\nexec {shlex.join(HANSE)} "$@"\n')
    hanse.chmod(0o755)
    file = cluster / "providers.toml"
    file.write_text(FILE.format(hanse=hanse, place=cluster, path=PATH))
    home = hosts.node("home", "--no-work", "--providers", str(file))
    with home.connect() as client:
        gate = cluster / "gate"
        job = client.map(gated, range(20), [str(gate)] * 20, deadline=600)
        node = (home.place.home / "id").read_text().strip()
        until(lambda: jobs() == [f"hanse.{node}.core-1-1"])
        (token,) = (cluster / "slurm").glob("*.token")
        assert token.stat().st_mode & 0o077 == 0
        gate.touch()
        assert {place for _, place in job} == {str(cluster)}
    until(lambda: not jobs())
    home.kill()
    for owner, machine in ((node, "core-1-9"), ("n-other", "core-1-1")):
        command = ["sbatch", f"--job-name=hanse.{owner}.{machine}", f"--chdir={cluster}"]
        subprocess.run([*command, "--wrap=sleep 1000"], check=True, capture_output=True)
    home.start()
    until(lambda: jobs() == ["hanse.n-other.core-1-1"])
