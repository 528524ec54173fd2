"""Search a grid of parameters for the best value of any function.

    hanse run examples/grid_search.py                            a built-in one with a known answer
    hanse run examples/grid_search.py -p x=-5:5:0.05 -p y=-5:5:0.05
    hanse run examples/grid_search.py mymodule:train -p depth=1:9:1 -p kind=gini,entropy --highest

A parameter is a range, `name=first:last:step` with both ends in it, or a list, `name=a,b,c`. The
function is called with every combination, by keyword, and returns a number. One item is one call.
Values are looked at as they come, in any order; a combination that fails is counted and shown, and
stops nothing.
"""

from __future__ import annotations

import argparse
import ast
import heapq
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import hanse

Grid = dict[str, list[Any]]
Function = Callable[..., float]

BUILT_IN_GRID = ("x=-5:5:0.05", "y=-5:5:0.05")
BEST_SHOWN = 10
FAILURES_SHOWN = 3


def himmelblau(x: float, y: float) -> float:
    """Four equal minima of 0, one at (3, 2). Undefined at the origin, to show a failure."""
    if x == y == 0:
        raise ValueError("undefined at the origin")
    return (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2


def point_at(grid: Grid, index: int) -> dict[str, Any]:
    """The grid's points have numbers: a grid of any size is held, and travels, as its axes."""
    point = {}
    for name, values in reversed(grid.items()):
        index, at = divmod(index, len(values))
        point[name] = values[at]
    return {name: point[name] for name in grid}


def call(function: Function, grid: Grid, index: int) -> float:
    """The function's value at one point of the grid."""
    return float(function(**point_at(grid, index)))


def parameter(text: str) -> tuple[str, list[Any]]:
    """Read `name=first:last:step` or `name=a,b,c`."""
    name, equals, values = text.partition("=")
    if not equals or not name.isidentifier() or not values:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=first:last:step or name=a,b,c")
    if values.count(":") != 2:
        return name, [literal(value) for value in values.split(",")]
    try:
        first, last, step = (Decimal(part) for part in values.split(":"))
        count = math.floor((last - first) / step) + 1
    except (ArithmeticError, InvalidOperation, ValueError):
        raise argparse.ArgumentTypeError(f"{values!r} is not first:last:step") from None
    if count < 1:
        raise argparse.ArgumentTypeError(f"{values!r} is empty: the step leads away from the end")
    # Decimal: 0:1:0.1 has eleven points, the last of them exactly 1.
    whole = all(part == part.to_integral_value() for part in (first, step))
    number: Callable[[Decimal], Any] = int if whole else float
    return name, [number(first + at * step) for at in range(count)]


def literal(text: str) -> Any:
    """A number, True, None ... or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def function_named(text: str) -> Function:
    """Read `module:function`; modules of the current directory are found as well."""
    module, colon, path = text.partition(":")
    if not colon or not module or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not callable(found):
        raise argparse.ArgumentTypeError(f"{text} cannot be called")
    return found  # type: ignore[no-any-return]


def show(best: list[tuple[float, int]], grid: Grid) -> None:
    """A small table, the best point first."""
    rows = [["value", *grid]]
    for value, index in best:
        rows.append([f"{value:.6g}", *(f"{part}" for part in point_at(grid, index).values())])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Search a grid for a function's best value.")
    parser.add_argument("function", nargs="?", type=function_named, metavar="MODULE:FUNCTION")
    parser.add_argument(
        "-p", "--param", dest="grid", action="append", type=parameter, metavar="NAME=VALUES"
    )
    parser.add_argument("--highest", action="store_true", help="the best is the highest value")
    args = parser.parse_args(argv)
    if args.function is not None and not args.grid:
        parser.error("say where to search: --param NAME=VALUES")
    function: Function = args.function or himmelblau
    grid = dict(args.grid or map(parameter, BUILT_IN_GRID))

    began = time.perf_counter()
    best: list[tuple[float, int]] = []  # a heap: the worst of the best on top
    failed: list[str] = []
    total = math.prod(len(values) for values in grid.values())
    sign = 1 if args.highest else -1
    with hanse.connect() as client:
        job = client.map(partial(call, function, grid), range(total), on_error="collect")
        for index, value in job.as_completed():
            if isinstance(value, BaseException):
                failed.append(f"{point_at(grid, index)}: {value}".partition("\n")[0])
            elif not math.isnan(value):
                heapq.heappush(best, (sign * value, -index))  # of equals the first is best
                if len(best) > BEST_SHOWN:
                    heapq.heappop(best)
    seconds = time.perf_counter() - began

    show([(sign * score, -number) for score, number in sorted(best, reverse=True)], grid)
    print(f"{total:,} points, {len(failed):,} failed: {seconds:.1f} s, {total / seconds:,.0f}/s")
    for line in failed[:FAILURES_SHOWN]:
        print(f"  {line}", file=sys.stderr)
    return 0 if best else 1


if __name__ == "__main__":
    raise SystemExit(main())
