"""How much may a portfolio of options lose in ten days? Monte Carlo on every core.

    hanse run examples/value_at_risk.py
    hanse run examples/value_at_risk.py --paths 10_000_000 --seed 7 --out risk.png

Eight correlated stocks move for ten days as geometric Brownian motion; every option on them is then
priced anew by Black and Scholes' formula. One item is one block of paths, with random numbers of
its own, drawn from (seed, block): the answer is the same on one core and on a thousand. Each item
sends back a numpy array of profits and losses; the client puts them in order and draws the plot.

Value at risk at 99 %: the loss that one path in a hundred exceeds. Expected shortfall: the mean
loss of those that do.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

import hanse

Array = NDArray[np.float64]

PATHS_PER_BLOCK = 20_000  # about 50 ms of work
DAYS = 10
RATE = 0.03


@dataclass(frozen=True)
class Portfolio:
    """Options on correlated stocks. One row of `weights` for each stock's source of chance."""

    spot: Array  # by stock
    volatility: Array  # by stock, a year
    correlate: Array  # Cholesky factor of the correlations
    stock: NDArray[np.intp]  # by option: what it is on
    strike: Array
    years: Array  # to expiry
    sign: Array  # +1 a call, -1 a put
    amount: Array  # how many are held; below zero: sold


def make_portfolio(seed: int, stocks: int = 8, options: int = 48) -> Portfolio:
    """A portfolio that depends on the seed and nothing else."""
    random = np.random.default_rng([seed, 0])
    factors = random.normal(size=(stocks, 3))
    covariance = factors @ factors.T + np.diag(random.uniform(0.5, 2.0, stocks))
    scale = np.sqrt(np.diag(covariance))
    spot = random.uniform(20.0, 200.0, stocks)
    stock = random.integers(0, stocks, options)
    return Portfolio(
        spot=spot,
        volatility=random.uniform(0.15, 0.5, stocks),
        correlate=np.linalg.cholesky(covariance / np.outer(scale, scale)),
        stock=stock,
        strike=spot[stock] * random.uniform(0.8, 1.2, options),
        years=random.uniform(0.1, 2.0, options),
        sign=random.choice([-1.0, 1.0], options),
        amount=np.rint(random.normal(20.0, 60.0, options)),
    )


def normal_cdf(x: Array) -> Array:
    """Abramowitz and Stegun 26.2.17: exact to 8e-8, and numpy alone has nothing closer."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    series = t * (
        0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    )
    upper = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi) * series
    result: Array = np.where(x >= 0.0, 1.0 - upper, upper)
    return result


def option_values(book: Portfolio, spot: Array, years: Array) -> Array:
    """Black and Scholes: what each option is worth, for each row of stock prices."""
    price = spot[..., book.stock]
    deviation = book.volatility[book.stock] * np.sqrt(years)
    d1 = (np.log(price / book.strike) + RATE * years) / deviation + 0.5 * deviation
    sign = book.sign
    later = book.strike * np.exp(-RATE * years)
    result: Array = sign * (
        price * normal_cdf(sign * d1) - later * normal_cdf(sign * (d1 - deviation))
    )
    return result


def simulate(book: Portfolio, seed: int, block: int, paths: int) -> Array:
    """The portfolio's profit or loss after ten days on each path of one block."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block,)))
    horizon = DAYS / 252
    shocks = random.standard_normal((paths, len(book.spot))) @ book.correlate.T
    drift = (RATE - 0.5 * book.volatility**2) * horizon
    spot = book.spot * np.exp(drift + book.volatility * np.sqrt(horizon) * shocks)
    today = option_values(book, book.spot, book.years) @ book.amount
    result: Array = option_values(book, spot, book.years - horizon) @ book.amount - today
    return result


def risk(profits: Array, level: float) -> tuple[float, float]:
    """Value at risk and expected shortfall, both as losses above zero."""
    losses = np.sort(-profits)
    at = min(int(np.ceil(level * len(losses))), len(losses) - 1)
    return float(losses[at]), float(losses[at:].mean())


def plot(profits: Array, risks: dict[float, tuple[float, float]], file: str) -> None:
    import matplotlib

    matplotlib.use("Agg")  # a file is all we want: no window
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    axes.hist(profits, bins=200, color="#4c72b0")
    for (level, (value, _)), colour in zip(risks.items(), ("#dd8452", "#c44e52"), strict=False):
        axes.axvline(-value, color=colour, label=f"{level:.0%} value at risk: {value:,.0f}")
    axes.set(xlabel=f"profit or loss after {DAYS} days", ylabel="paths")
    axes.set_title(f"{len(profits):,} paths")
    axes.legend()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Monte Carlo value at risk of options.")
    parser.add_argument("--paths", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="value_at_risk.png", help="the plot; '' for none")
    args = parser.parse_args(argv)
    if args.paths < 1:
        parser.error("--paths must be at least 1")

    book = make_portfolio(args.seed)
    starts = range(0, args.paths, PATHS_PER_BLOCK)
    sizes = [min(PATHS_PER_BLOCK, args.paths - start) for start in starts]
    began = time.perf_counter()
    with hanse.connect() as client:
        blocks = client.map(partial(simulate, book, args.seed), range(len(sizes)), sizes)
        profits = np.concatenate(list(blocks))
    seconds = time.perf_counter() - began

    worth = option_values(book, book.spot, book.years) @ book.amount
    print(f"portfolio  {worth:>12,.0f}   {len(book.strike)} options on {len(book.spot)} stocks")
    print(f"paths      {len(profits):>12,}   {seconds:.1f} s, {len(profits) / seconds:,.0f}/s")
    risks = {level: risk(profits, level) for level in (0.95, 0.99)}
    for level, (value, shortfall) in risks.items():
        print(f"{level:.0%} {DAYS} days  VaR {value:>9,.0f}   expected shortfall {shortfall:,.0f}")
    if args.out:
        try:
            plot(profits, risks, args.out)
        except ImportError:
            print("no plot: it needs matplotlib (pip install matplotlib)", file=sys.stderr)
        else:
            print(f"plot       {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
