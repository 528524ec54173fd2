"""Three regions behind 10, 80 and 150 ms, against the same slots on one machine, and beside Dask.

python -m bench.wan [--peers hanse,dask] [--items 6000] [--trivial 100000] [--trips 50] [--rounds 3]

As root, for network namespaces; `python -m bench install dask` first for Dask. Items sleep for
20 ms: there are more slots than cores. Each round makes every cluster anew, in turn. The last thing
it prints is a table of medians. `python -m bench.wan.idle` tells what an idle node takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from bench.wan import places  # noqa: E402 - the tests' hosts lie there

_SITES = {"one": (), "regions": places.SITES}
_MILLI = {"trip": 1000.0}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.wan", description=__doc__)
    parser.add_argument("--peers", default="hanse,dask")
    parser.add_argument("--items", type=int, default=6000)
    parser.add_argument("--trivial", type=int, default=100_000)
    parser.add_argument("--trips", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(told.rounds):
        for peer in told.peers.split(","):
            for where, sites in _SITES.items():
                with places.PLACES[peer](sites) as place:
                    sizes = map(str, (told.items, told.trivial, told.trips, 1))
                    lines = place.run(places.PROGRAM, peer, *sizes)
                for line in lines:
                    found[str(line["what"]), peer, where].append(float(line["value"]))
                load = os.getloadavg()[0]
                print(json.dumps({"round": number, "peer": peer, "where": where, "load": load,
                                  "map_s": [x["value"] for x in lines if x["what"] == "map"]}),
                      flush=True)  # fmt: skip
    print("\n| median | peer | one machine | three regions |\n|---|---|---|---|")
    for what, peer in sorted({(what, peer) for what, peer, _ in found}):
        cells = [
            f"{statistics.median(found[what, peer, where]) * _MILLI.get(what, 1):.4g}"
            for where in _SITES
        ]
        unit = "ms" if what in _MILLI else "s"
        print(f"| {what}, {unit} | {peer} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
