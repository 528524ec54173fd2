"""`python -m hanse.sim`: run one seed, or many; a failing one is told with all that repeats it."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import traceback
from pathlib import Path

import msgspec

from hanse.sim.drawing import draw
from hanse.sim.plan import Plan, decode, encode
from hanse.sim.runner import SEED_S, Tally, describe, run_seeds, story
from hanse.sim.simulate import simulate


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.seeds is not None:
        return _many(arguments)
    return _one(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hanse.sim", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="run one seed")
    which.add_argument("--seeds", type=_span, metavar="A..B", help="run the seeds A to B - 1")
    which.add_argument("--faults", type=Path, metavar="FILE", help="run a plan from a file")
    parser.add_argument("--jobs", type=_count, default=1, help="processes (default: 1)")
    parser.add_argument("--plan", action="store_true", help="print the plan, and do not run it")
    parser.add_argument("--trace", action="store_true", help="print whatever happens")
    parser.add_argument(
        "--keep", type=Path, default=Path("failed-seeds"), metavar="FOLDER",
        help="where the plans of failing seeds are put (default: failed-seeds)",
    )  # fmt: skip
    return parser


def _span(text: str) -> range:
    low, dots, high = text.partition("..")
    if not dots or not low.isdigit() or not high.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no span of seeds: write 0..1000")
    span = range(int(low), int(high))
    if not span:
        raise argparse.ArgumentTypeError(f"there is no seed in {text!r}: write 0..1000")
    return span


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: write 1 or more")
    return int(text)


def _plan(arguments: argparse.Namespace) -> Plan:
    if arguments.faults is None:
        return draw(arguments.seed)
    try:
        plan = decode(arguments.faults.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise SystemExit(f"{arguments.faults} holds no plan: {error}") from None
    if mistake := _mistake(plan):
        raise SystemExit(f"{arguments.faults} holds no plan that can be run: {mistake}")
    return plan


def _mistake(plan: Plan) -> str:
    """What keeps a plan that somebody wrote or changed from being run, if anything does."""
    homes = {home.name for home in plan.homes}
    if not plan.homes or not plan.sites:
        return "it needs a home and a site"
    for job in plan.jobs:
        if job.home not in homes:
            return f"{job.name} is of {job.home}, and no home is called that"
        if not job.sizes or sorted(job.sizes) != job.sizes:
            return f"the sizes of {job.name} must go up: {job.sizes}"
    return ""


def _one(arguments: argparse.Namespace) -> int:
    plan = _plan(arguments)
    if arguments.plan:
        print(encode(plan).decode())
        return 0
    if not arguments.trace:  # who reads a trace sees by himself that it does not end
        faulthandler.dump_traceback_later(SEED_S, exit=True)
    outcome = simulate(plan, print if arguments.trace else None)
    faulthandler.cancel_dump_traceback_later()
    print(describe(outcome))
    if not outcome.wrong:
        return 0
    if arguments.faults is not None:
        if outcome.error is not None:
            traceback.print_exception(outcome.error)
        print(f"failed: {outcome.wrong}")
    else:
        print(story(plan, outcome.wrong, arguments.keep))
    return 1


def _many(arguments: argparse.Namespace) -> int:
    tally = Tally()
    for ran in run_seeds(arguments.seeds, arguments.jobs):
        tally.add(ran)
        if ran.wrong:
            print(f"seed {ran.seed} failed: {ran.wrong}", flush=True)
    print(tally)
    for ran in sorted(tally.failed, key=lambda ran: ran.seed)[:3]:
        print(story(draw(ran.seed), ran.wrong, arguments.keep), flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
