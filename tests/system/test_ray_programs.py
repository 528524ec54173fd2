"""Programs of Ray as they are, handed in as scripts: at their site's cluster, in our records."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from system.nodes import Away, Node
from system.real import until
from system.test_links import link
from system.test_ray_site import LONG_S, gone, headed

from hanse.engines.ray.cluster import environment
from hanse.engines.ray.tls import Tls

FIRST = """
    import sys
    import hanse, ray

    ray.init(log_to_driver=False, logging_level="ERROR")

    @ray.remote(num_cpus=0)
    def square(x):
        return x * x

    print("tasks", sum(ray.get([square.remote(x) for x in range(10)])))
    with hanse.connect() as client:
        print("items", sum(client.map(abs, range(-10, 0))))
    if "data" in sys.argv:
        even = ray.data.range(100, override_num_blocks=1).map_batches(lambda b: {"x": b["id"] * 2})
        print("data", sum(row["x"] for row in even.take_all()))
    raise SystemExit(3)
"""
STAYING = """
    import os, sys, time
    import ray

    ray.init(log_to_driver=False, logging_level="ERROR")

    @ray.remote(num_cpus=0)
    class Stays:
        def pid(self):
            return os.getpid()

    both = [Stays.remote(), Stays.options(name="stays", lifetime="detached").remote()]
    with open(sys.argv[1] + ".new", "w") as file:
        print(os.getpid(), *ray.get([each.pid.remote() for each in both]), file=file)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(1000)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = headed(tmp_path_factory.mktemp("programs") / "node", "--cpus", "2")
    yield made
    made.close()


def written(directory: Path, text: str) -> Path:
    path = directory / "program.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_program_of_ray_runs_at_the_site_that_is_named(site: Node, tmp_path: Path) -> None:
    """Handed in at a home that the site works for: there it is logged, and ends with its code."""
    home = Node(tmp_path / "home", "--cpus", "1").start()
    try:
        link(site, home)
        away = Away(home, tmp_path / "away")
        script = written(tmp_path, FIRST)
        refused = away("submit", "--site", "nowhere", script)
        assert "the job is for the site nowhere" in refused.stderr
        ran = away("submit", "--wait", "--site", "lab", script, "data")
        assert ran.returncode == 3, ran.stderr
        said = ran.stdout.splitlines()
        assert [line for line in said if line.split()[0] in ("tasks", "items", "data")] == [
            "tasks 285", "items 55", "data 9900",
        ]  # fmt: skip
    finally:
        for each in site.command("links", "--quiet").stdout.split():
            site.command("unlink", each)
        home.close()


def test_nothing_of_a_cancelled_program_is_left_in_the_cluster(site: Node, tmp_path: Path) -> None:
    away, pids = Away(site, tmp_path / "away"), tmp_path / "pids"
    made = away("submit", "--json", "--name", "staying", written(tmp_path, STAYING), pids)
    assert made.returncode == 0, made.stderr
    until(lambda: pids.exists() and len(pids.read_text().split()) == 3, LONG_S)
    its = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    assert len(its) == 3
    assert away("cancel", json.loads(made.stdout)["id"]).returncode == 0
    until(lambda: gone(its), LONG_S)


def test_scripts_need_no_core_on_a_cluster_that_others_keep(site: Node, tmp_path: Path) -> None:
    directory = site.place.home
    kept = json.loads((directory / "ray.json").read_text())
    files = [directory / "site" / name for name in ("machine.pem", "machine.key", "authority.pem")]
    told = site.command("nodes", "--json").stdout
    address = json.loads(told)["machines"][0]["host"].partition("(")[2].rstrip(")")
    other = Node(tmp_path / "other", "--ray-address", f"{address}:{kept['port']}")
    other.patience_s = LONG_S
    other.start(**environment(kept["token"], Tls(*files)))
    try:
        script = written(tmp_path, 'print("it ran")')
        ran = Away(other, tmp_path / "away")("submit", "--wait", script)
        assert (ran.returncode, ran.stdout) == (0, "it ran\n"), ran.stderr
    finally:
        other.close()
