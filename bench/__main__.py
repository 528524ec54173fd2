"""The command: python -m bench install | run | quick | table.

    install [light ray dask spark]   make the virtual environments; any Python 3.11 or later
    run                              everything, then RESULTS.md and the plots
    quick                            the light peers on less work, under two minutes; prints a table
    table [FILE]                     write RESULTS.md and the plots again from recorded figures

`run`, `quick` and `table` run in the light environment: bench/.venvs/light/bin/python.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from bench import environments
from bench.peers import ENTRIES, QUICK

RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str]) -> int:
    command, *rest = arguments or [""]
    if command == "install":
        environments.install(rest or list(environments.PACKAGES))
        return 0
    if command not in ("run", "quick", "table"):
        print(__doc__)
        return 2
    return _with_figures(command, rest)


def _with_figures(command: str, rest: list[str]) -> int:
    from bench import measures

    options = argparse.ArgumentParser(prog=f"bench {command}")
    options.add_argument("records", nargs="?", type=Path, help="a file of recorded figures")
    options.add_argument("--peers", default="")
    options.add_argument(
        "--families", default="", help=", ".join(f.name for f in measures.FAMILIES)
    )
    options.add_argument("--rounds", type=int, default=2 if command == "quick" else 5)
    options.add_argument("--patience", type=float, default=5.0 if command == "quick" else 120.0,
                         help="seconds after which a family is not repeated")  # fmt: skip
    options.add_argument("--minutes", type=float, default=1.5 if command == "quick" else 120.0,
                         help="no turn begins after that")  # fmt: skip
    options.add_argument("--workers", type=int, default=_cores())
    given = options.parse_args(rest)
    path = given.records or RESULTS / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    if command == "table":
        path = given.records or max(RESULTS.glob("run-*.jsonl"))
    else:
        _run(command == "quick", given, path)
    _tell(path, quick=command == "quick")
    return 0


def _run(quick: bool, given: argparse.Namespace, path: Path) -> None:
    from bench import measures, runner
    from bench.measures.measure import Sizes

    wanted = given.peers.split(",") if given.peers else list(QUICK if quick else ENTRIES)
    peers = [p for p in wanted if environments.why_not(ENTRIES[p].environment) is None]
    names = given.families.split(",") if given.families else []
    families = [f for f in measures.FAMILIES if not names or f.name in names]
    plan = runner.Plan(
        peers, families, Sizes.quick() if quick else Sizes(), given.workers,
        rounds=given.rounds, patience_s=given.patience, limit_s=20.0 if quick else 120.0,
        until_s=time.monotonic() + 60 * given.minutes,
    )  # fmt: skip
    # A command that is ended ends its contestants on its way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    runner.run(plan, path)


def _tell(path: Path, quick: bool) -> None:
    from bench import table

    if quick:
        print(table.quick(path))
        return
    from bench import plots

    (Path(__file__).parent / "RESULTS.md").write_text(table.full(path))
    plots.draw(path)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
