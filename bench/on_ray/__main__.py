"""`make bench-ray`: a Ray cluster of three nodes, on which the contestants take turns.

Contestants are processes of their own on the head's machine, each timed after a warm-up, in
alternating rounds. The median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

from bench.on_ray import rooms, works
from bench.on_ray.contestant import CONTESTANTS
from hanse.engines.ray.cluster import environment, new_token

_NODES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1, help="of each node")
    parser.add_argument("--works", nargs="*", default=["trivial", "submits", "sleeps", "arrays"])
    parser.add_argument("--here", action="store_true", help="all nodes on one host")
    parser.add_argument("--tls", action="store_true", help="Ray's, as at sites of `hanse up`")
    parser.add_argument("--to", type=Path, help="a file for the figures, as JSON")
    told = parser.parse_args()
    why = "" if told.here else rooms.why_not_apart()
    if why:
        print(f"All nodes stand on one host: {why}", file=sys.stderr)
    slots = _NODES * told.cpus
    env = {
        **environment(new_token()),
        "HANSE_PROGRESS": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with (
        rooms.places(_NODES, apart=not told.here and not why) as places,
        rooms.cluster(places, told.cpus, env, told.tls) as address,
    ):
        figures = _all(told.works, told.rounds, places[0], address, slots, env)
    _show(figures, slots)
    if told.to is not None:
        told.to.write_text(json.dumps({"slots": slots, "seconds": figures}, indent=1) + "\n")


def _all(
    some: list[str], rounds: int, place: rooms.Place, address: str, slots: int, env: dict[str, str]
) -> dict[str, dict[str, list[float]]]:
    figures: dict[str, dict[str, list[float]]] = {work: {} for work in some}
    for work in some:
        for _ in range(rounds):
            for name in CONTESTANTS:
                words = ["-m", "bench.on_ray.contestant", name, work, address, str(slots)]
                took = float(rooms.run(place, words, env))
                time.sleep(1)  # until Ray has what the contestant held
                print(f"{work:10} {name:10} {took:9.3f} s", file=sys.stderr, flush=True)
                figures[work].setdefault(name, []).append(took)
    return figures


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
