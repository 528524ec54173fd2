"""Machines that are taken away: real nodes, and what they hand back in time."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from metadata import Reply, Service
from system.nodes import Node
from system.real import until
from system.test_links import Hosts, link, links, noting, ran_at, read

from hanse.wire import api


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.close()


def stuck_at(item: int, home: str, ledger: str) -> int:
    """Never ends there."""
    with open(ledger, "a") as file:
        file.write(f"{item} {os.environ['HANSE_HOME']}\n")
    while os.environ["HANSE_HOME"] == home:
        time.sleep(0.05)
    return item


def machines(home: Node) -> list[str]:
    return [each.state for each in home.dial().ask("GET", "/v1/machines", list[api.MachineInfo])]


def test_a_site_with_a_notice_hands_back_what_has_not_begun(hosts: Hosts, tmp_path: Path) -> None:
    home = hosts.node("home")
    file, ledger = tmp_path / "evict", tmp_path / "ledger"
    site = hosts.node("site", "--cpus", "2", "--evict-file", str(file))
    link(site, home)
    with home.connect() as client:
        job = client.map(noting(ledger, 0.1), range(60))
        until(lambda: sum(place == str(site.home) for _, place in read(ledger)) > 10)
        file.write_text("3600 seconds until the rack is moved")
        until(lambda: "taken away" in links(site)[0].state)
        until(lambda: "until the rack is moved" in job.explain())
        there = sum(place == str(site.home) for _, place in read(ledger))
        assert list(job) == list(range(60))
    runs = read(ledger)
    assert max(Counter(item for item, _ in runs).values()) == 1, "what has begun ends there"
    more = sum(place == str(site.home) for _, place in runs) - there
    assert more <= 2, "and nothing else begins, but what a worker was about to"
    until(lambda: len(machines(home)) == 1)  # it is let go as soon as all it did is home
    assert "the rack is moved" in machines(site)[0]
    refused = site.command("link", "whatever")
    assert "being taken away" in refused.stderr
    assert len(links(site)) == 1, "started again, it would work for the home as before"
    assert site.end() == 0
    site.start()  # and the file is still there
    until(lambda: "taken away" in links(site)[0].state)


def test_what_cannot_end_within_the_notice_runs_elsewhere_before_its_end(
    hosts: Hosts, tmp_path: Path
) -> None:
    """AWS says when; the machine itself lives on here, so nothing is found out by its silence."""
    home, ledger = hosts.node("home", "--no-work"), tmp_path / "ledger"
    taken = ""

    def reply(method: str, path: str, headers: dict[str, str]) -> Reply:
        if path == "/latest/api/token":
            return 200, "token"
        if taken and path.endswith("/spot/instance-action"):
            return 200, json.dumps({"action": "terminate", "time": taken})
        return 404, ""

    aws = Service(reply)
    site = Node(tmp_path / "spot", "--cpus", "1", "--label", "spot")
    hosts.add(site)
    site.start(HANSE_METADATA_AWS=aws.base)
    link(site, home)
    function = partial(stuck_at, home=str(site.home), ledger=str(ledger))
    with home.connect() as client:
        job = client.map(function, range(2))
        until(lambda: ran_at(site, ledger))
        soon = datetime.now(UTC) + timedelta(seconds=6)
        taken = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
        until(lambda: len(machines(home)) == 1)
        other = hosts.node("other")
        link(other, home)
        assert list(job) == [0, 1]
    runs = Counter(read(ledger))
    assert runs[0, str(site.home)] == 1
    assert sum(place == str(site.home) for _, place in runs) == 1, "the other never began there"
    aws.close()


def test_where_sigterm_means_it_a_node_ends_what_it_has_begun(hosts: Hosts, tmp_path: Path) -> None:
    node, ledger = hosts.node("node", "--cpus", "1", "--evictions", "sigterm"), tmp_path / "ledger"
    with node.connect() as client:
        job = client.map(noting(ledger, 1.0), range(3), name="noted")
        until(lambda: len(read(ledger)) == 1)
        assert node.process is not None
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(30) == 0
        node.start()
        assert list(job) == [0, 1, 2]
    assert len(read(ledger)) == 3, "none ran twice"
