"""Links: nodes that work for a home at another node."""

from __future__ import annotations

import os
import time
from pathlib import Path

from system.nodes import Node
from system.real import until


def link_token(home: Node, name: str = "lab") -> str:
    made = home.command("token", "create", "--role", "link", "--for", name)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def where(item: int) -> tuple[int, str]:
    time.sleep(0.02)
    return item, os.environ.get("HANSE_HOME", "")


def test_a_linked_node_takes_work(tmp_path: Path) -> None:
    home, site = Node(tmp_path / "home", "--cpus", "1"), Node(tmp_path / "site", "--cpus", "1")
    try:
        home.start()
        site.start()
        made = site.command("link", link_token(home))
        assert made.returncode == 0, made.stderr
        until(lambda: "linked" in site.command("links").stdout, 20)
        with home.connect() as client:
            found = list(client.map(where, range(300)))
        assert [item for item, _ in found] == list(range(300))
        assert {place for _, place in found} == {str(home.home), str(site.home)}
    finally:
        site.close()
        home.close()
