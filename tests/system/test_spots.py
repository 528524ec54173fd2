"""What a real node has learnt of spot machines that are linked outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.nodes import Node
from system.real import until
from system.test_links import Hosts, link, links

import hanse
from hanse.node import seen_spots


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.close()


def loss_h(item: int) -> tuple[float, str]:
    """Hours between losses of the machine that runs this, as its home told it."""
    saver = hanse.checkpoint()._saver
    return saver.loss_ns / 3.6e12, os.environ["HANSE_HOME"]


def told_at(home: Node, site: Node) -> float:
    """What the home says of that machine."""
    with home.connect() as client:
        ((hours, place),) = client.map(loss_h, [0])
    assert place == str(site.home)
    return hours


def test_what_was_learnt_of_a_linked_machine_is_used_after_a_restart(hosts: Hosts) -> None:
    home = hosts.node("home", "--no-work")
    site = hosts.node(
        "site", "--cpus", "1", "--label", "spot", "--region", "east", "--evictions", "off"
    )
    link(site, home)
    first = told_at(home, site)
    site.kill()
    site.start()
    until(lambda: links(site)[0].state == "linked")
    learnt = told_at(home, site)
    assert learnt < first / 4
    assert home.end() == 0
    told, _ = seen_spots.read(home.place.spots)
    assert sum(told.regions["east"].lost) == pytest.approx(1, rel=0.01)
    (age,) = told.ages.values()
    assert age.age_ns > 0

    home.start()
    assert told_at(home, site) == pytest.approx(learnt, rel=0.1)

    home.kill()
    home.place.spots.write_text('{"told_s": 1, "told": {"regions": {"east": {"up": [-1]}}}}')
    home.start()
    assert "what was seen of spot machines is learnt anew" in home.log
    assert told_at(home, site) > learnt * 4
