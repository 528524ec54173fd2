"""Machines that a node rents by commands: real nodes, brought, used, sent away, leaked and lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from system import cloud
from system.nodes import PATH, Node
from system.real import until
from system.test_links import Hosts, hosts

from hanse.client.job import Job
from hanse.errors import NoSuchJob
from hanse.wire import api

__all__ = ["hosts"]

_OFFER = """
[{name}]
kind = "command"
create = [{python}, {program}, {place}, "create"]
destroy = [{python}, {program}, {place}, "destroy"]
list = [{python}, {program}, {place}, "list"]

[{name}.offers.{offer}]
cpus = 1
price = {price}
most = 2
start = "3s"
idle = "2s"
{more}
"""


class Rental:
    """A home that can rent, and its clouds."""

    def __init__(self, hosts: Hosts, directory: Path) -> None:
        self.hosts, self.directory = hosts, directory
        self.file = directory / "providers.toml"
        self.file.write_text("")
        self.clouds: list[Path] = []

    def offer(self, name: str, price: float = 36.0, more: str = "") -> Path:
        place = self.directory / f"cloud-{name}"
        place.mkdir()
        self.clouds.append(place)
        quoted = [f'"{each}"' for each in (sys.executable, cloud.__file__, place)]
        with open(self.file, "a") as file:
            file.write(
                _OFFER.format(
                    name=name, offer=f"{name}-machine", python=quoted[0], program=quoted[1],
                    place=quoted[2], price=price, more=more,
                )
            )  # fmt: skip
        return place

    def home(self, *options: str) -> Node:
        return self.hosts.node("home", "--providers", str(self.file), *options)

    def close(self) -> None:
        for place in self.clouds:
            cloud.end(place)


@pytest.fixture
def rental(hosts: Hosts, tmp_path: Path) -> Iterator[Rental]:
    made = Rental(hosts, tmp_path)
    yield made
    made.close()


def test_a_machine_is_brought_where_no_site_could_and_goes_when_idle(rental: Rental) -> None:
    cheap, dear = rental.offer("cheap"), rental.offer("dear", price=360)
    home = rental.home("--no-work")
    with home.connect() as client:
        gate = rental.directory / "gate"
        job = client.map(gated, range(60), [str(gate)] * 60, deadline=600)
        until(lambda: cloud.machines(cheap))
        assert "cheap-machine-1-1" in home.command("nodes").stdout
        assert "cheap-machine-1-1" in home.command("providers").stdout
        gate.touch()
        assert all("cloud-cheap" in place for _, place in job)
        assert job.cost is not None
        assert job.cost > 0
    assert not cloud.ever(dear)
    until(lambda: not cloud.machines(cheap))
    until(lambda: not machines_of(home))
    assert "rented" not in home.command("token", "list").stdout, "its token went with it"


def test_a_deadline_that_the_sites_cannot_meet_brings_a_machine_until_its_job_is_over(
    rental: Rental,
) -> None:
    place = rental.offer("cheap")
    home = rental.home("--cpus", "1")
    with home.connect() as client:
        job = client.map(slow, range(100), [0.5] * 100, deadline=30)
        until(lambda: cloud.machines(place))
        job.cancel()
    until(lambda: not cloud.machines(place))


def test_a_killed_home_keeps_what_it_wants_and_ends_what_leaked(rental: Rental) -> None:
    place = rental.offer("cheap", more="billed = '1h'")
    home = rental.home("--no-work")
    with home.connect() as client:
        job = client.map(slow, range(100), [0.1] * 100, name="j", deadline=600)
        until(lambda: job.progress().done > 5)
        assert cloud.ever(place) == ["cheap-machine-1-1"]
    home.kill()
    node = (home.place.home / "id").read_text().strip()
    leak(place, node, "cheap-machine-1-7")
    leak(place, "n-another", "other-machine-1-1")
    home.start()
    until((place / "cheap-machine-1-7" / "gone").exists)
    with home.connect() as client:
        job = client.job("j")
        job.wait(60)
        assert job.progress().done == 100
        assert job.progress().failed == 0
    assert cloud.ever(place) == ["cheap-machine-1-1", "cheap-machine-1-7", "other-machine-1-1"]
    assert [each.name for each in cloud.machines(place)] == [
        "cheap-machine-1-1", "other-machine-1-1"
    ], "the first is paid for, and the last is another home's"  # fmt: skip


def test_what_fails_or_never_comes_is_told_and_the_next_is_tried(rental: Rental) -> None:
    (rental.offer("none", price=1) / "refuse").touch()
    never = rental.offer("never", price=2, more="patience = '3s'")
    (never / "stillborn").touch()
    rental.offer("good", price=3)
    home = rental.home("--no-work")
    with home.connect() as client:
        gate = rental.directory / "gate"
        job = client.map(gated, range(20), [str(gate)] * 20, deadline=600)
        until(lambda: "there is no capacity today" in waits(job))
        until(lambda: "it was not there after" in waits(job))
        gate.touch()
        assert all("cloud-good" in place for _, place in job)
    until(lambda: not cloud.machines(never))


def test_a_machine_whose_life_ends_is_replaced_and_what_it_runs_ends_there(rental: Rental) -> None:
    place = rental.offer("short", more="life = '16s'")
    home = rental.home("--no-work")
    begun = rental.directory / "begun"
    with home.connect() as client:
        job = client.map(noted, range(30), [str(begun)] * 30, deadline=600)
        assert [item for item, _ in job] == list(range(30))
    assert len(cloud.ever(place)) > 1
    ran = begun.read_text().split()
    assert len(ran) <= 31, "one, if this machine stood still for longer than is kept for its end"


def test_a_job_goes_on_in_another_zone_and_a_sure_machine_waits_for_the_last_moment(
    rental: Rental,
) -> None:
    a, b = (rental.offer(name, price, "spot = true") for name, price in (("a", 10), ("b", 12)))
    sure = rental.offer("sure", price=100)
    home = rental.home("--no-work")
    gates = rental.directory / "gates"
    gates.mkdir()
    with home.connect() as client:
        job = client.map(staged, range(9), [str(gates)] * 9, deadline=900)
        until(lambda: job.progress().done >= 3)
        take_away(a)
        until(lambda: cloud.machines(b))
        (gates / "1").touch()
        until(lambda: job.progress().done >= 6)
        assert "lost once" in home.command("providers").stdout
        take_away(b)
        until(lambda: "costs less than one that is sure" in waits(job))
        assert not cloud.ever(sure)
        (gates / "2").touch()
        due = client.map(slow, range(2), [0.1] * 2, deadline=40)
        assert all("cloud-sure" in place for _, place in due)
        places = [Path(place).parent.name for _, place in job]
    assert places[:3] == ["cloud-a"] * 3
    assert places[3:6] == ["cloud-b"] * 3
    assert places[6:] == ["cloud-sure"] * 3, "it had room, while it was there"


def test_a_wrong_file_is_refused_with_its_line(rental: Rental) -> None:
    rental.offer("cheap", more="cpu = 3")
    ran = rental.hosts.refused("home", "--providers", str(rental.file))
    line = rental.file.read_text().splitlines().index("cpu = 3") + 1
    assert f"line {line}, cheap.offers.cheap-machine.cpu: " in ran
    assert "unknown field" in ran


# --- helpers ------------------------------------------------------------------------------------
def waits(job: Job) -> str:
    """What it waits for; nothing, before the node has it."""
    try:
        return job.explain()
    except NoSuchJob:
        return ""


def slow(item: int, seconds: float) -> tuple[int, str]:
    time.sleep(seconds)
    return item, os.environ["HANSE_HOME"]


def noted(item: int, begun: str) -> tuple[int, str]:
    with open(begun, "a") as file:
        file.write(f"{item}\n")
    return slow(item, 0.4)


def gated(item: int, gate: str) -> tuple[int, str]:
    while not os.path.exists(gate):
        time.sleep(0.02)
    return item, os.environ["HANSE_HOME"]


def staged(item: int, gates: str) -> tuple[int, str]:
    """Three at once; the others once their gate is open."""
    while item >= 3 and not os.path.exists(os.path.join(gates, str(item // 3))):
        time.sleep(0.02)
    return item, os.environ["HANSE_HOME"]


def take_away(place: Path) -> None:
    """All machines of a zone, and there are no others."""
    (place / "refuse").touch()
    for machine in cloud.machines(place):
        os.killpg(int((machine / "pid").read_text()), signal.SIGKILL)


def machines_of(home: Node) -> list[api.RentedInfo]:
    found = home.dial().ask("GET", "/v1/providers", list[api.ProviderInfo])
    return [machine for provider in found for machine in provider.machines]


def leak(place: Path, owner: str, id: str) -> None:
    """A machine that its home knows nothing of: it was killed before it wrote that down, as it
    were, or its directory was lost."""
    about = {"HANSE_OWNER": owner, "HANSE_MACHINE": id, "PYTHONPATH": PATH}
    (place / "stillborn").touch()
    subprocess.run(
        [sys.executable, cloud.__file__, str(place), "create"], check=True, input="token\n",
        text=True, capture_output=True, env={**os.environ, **about},
    )  # fmt: skip
    (place / "stillborn").unlink()
