"""`make bench-ray`: starts a Ray cluster of three nodes here and lets the contestants take turns.

The nodes are three of Ray's on this machine, as in `ray.cluster_utils`; contestants are processes
of their own, each timed after a warm-up, in alternating rounds. The median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.ray import works
from bench.ray.contestant import CONTESTANTS
from hanse.engines.ray import cluster
from hanse.model.resources import Amount

_NODES, _LIMIT_S = 3, 300.0
_GIB = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1, help="of each node")
    parser.add_argument("--works", nargs="*", default=["trivial", "submits", "sleeps", "arrays"])
    parser.add_argument("--to", type=Path, help="a file for the figures, as JSON")
    told = parser.parse_args()
    token = cluster.new_token()
    offers = Amount(cpus_milli=1000 * told.cpus, memory_bytes=2 * _GIB)
    kept: list[cluster.Kept] = []
    with tempfile.TemporaryDirectory(prefix="hb-") as directory:
        try:
            head = cluster.Head(token, Path(directory, "0"), offers)
            kept.append(head)
            head.started()
            for number in range(1, _NODES):
                home = Path(directory, str(number))
                kept.append(cluster.Worker(head.address, token, home, offers))
            slots = _NODES * told.cpus
            figures = _all(told.works, told.rounds, head.address, token, slots)
        finally:
            for each in reversed(kept):
                each.end()
    _show(figures, slots)
    if told.to is not None:
        told.to.write_text(json.dumps({"slots": slots, "seconds": figures}, indent=1) + "\n")


def _all(
    some: list[str], rounds: int, address: str, token: str, slots: int
) -> dict[str, dict[str, list[float]]]:
    figures: dict[str, dict[str, list[float]]] = {work: {} for work in some}
    for work in some:
        for _ in range(rounds):
            for name in CONTESTANTS:
                took = _once(name, work, address, token, slots)
                print(f"{work:10} {name:10} {took:9.3f} s", file=sys.stderr, flush=True)
                figures[work].setdefault(name, []).append(took)
    return figures


def _once(name: str, work: str, address: str, token: str, slots: int) -> float:
    command = [sys.executable, "-m", "bench.ray.contestant", name, work, address, str(slots)]
    env = {**os.environ, **cluster.environment(token), "HANSE_PROGRESS": "0"}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    if done.returncode:
        sys.exit(f"{name} at {work}: {done.stderr[-2000:]}")
    time.sleep(1)  # until Ray has what the contestant held
    return float(done.stdout.split()[-1])


def _show(figures: dict[str, dict[str, list[float]]], slots: int) -> None:
    middle = {
        work: {name: statistics.median(runs) for name, runs in each.items()}
        for work, each in figures.items()
    }
    print("| work | " + " | ".join(CONTESTANTS) + " |")
    print("|---" * (1 + len(CONTESTANTS)) + "|")
    for work, each in middle.items():
        print(f"| {work} | " + " | ".join(f"{each[name]:.3g} s" for name in CONTESTANTS) + " |")
    for goal in works.GOALS:
        if goal.work not in middle:
            continue
        mine = middle[goal.work]["hanse"]
        if goal.peer == "bound":
            bound = works.bound_s(slots)
            said, good = f"{mine / bound:.3f} of the bound", mine <= goal.factor * bound
        else:
            ratio = middle[goal.work][goal.peer] / mine
            said, good = f"{ratio:.3g} x {goal.peer}", ratio >= goal.factor
        print(f"{'kept' if good else 'MISSED'}: {goal.work}: {said} (goal {goal.factor:g})")


if __name__ == "__main__":
    main()
