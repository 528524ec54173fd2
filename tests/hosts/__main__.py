"""Any number of seeds: `make chaos SEEDS=200 FIRST=1000`.

python -m hosts --first 0 --seeds 5 [--haste 6] [--items 20000] [--keep DIRECTORY]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hosts import chaos, machines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hosts", description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--haste", type=float, default=chaos.HASTE)
    parser.add_argument("--items", type=int, default=chaos.ITEMS)
    parser.add_argument("--sites", nargs="*", default=list(chaos.SITES))
    parser.add_argument("--keep", type=Path, default=Path("chaos-failed"))
    told = parser.parse_args()
    if why := machines.why_not():
        print(f"no hosts can be made here: {why}", file=sys.stderr)
        return 2
    failed = []
    for seed in range(told.first, told.first + told.seeds):
        keep = told.keep / str(seed)
        try:
            measured = chaos.run(seed, told.sites, told.items, told.haste, keep)
        except AssertionError as error:
            failed.append(seed)
            print(f"seed {seed} FAILED: {error}\n", flush=True)
            continue
        print(measured, flush=True)
    print(f"{told.seeds - len(failed)} of {told.seeds} seeds passed; failed: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
