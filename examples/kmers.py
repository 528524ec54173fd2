"""Count the k-mers of a genome: every run of k bases, in FASTA files of any size.

    hanse run examples/kmers.py                         a made-up genome with repeats
    hanse run examples/kmers.py genome.fa.gz --k 31

The file is read as a stream and cut into pieces that overlap by k-1 bases, so that each k-mer lies
in exactly one piece whole. The pieces are made by a generator while the first ones are counted
already: a genome larger than memory is fine, since Hanse reads only so far ahead. Workers fold
their counts into one sorted table each before anything travels.

A k-mer and its reverse complement are the same molecule read from two sides: both are counted as
the one that comes first in the alphabet. Runs with a base other than A, C, G, T are left out.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import hanse

PIECE_BASES = 1 << 18
MADE_UP_BASES = 3_000_000
BASES = b"ACGT"  # a base's number is its place here, so numbers sort as letters do
UNKNOWN = 4
NUMBER_OF = np.full(256, UNKNOWN, np.uint8)
for _number, _base in enumerate(BASES):
    NUMBER_OF[_base] = NUMBER_OF[_base | 0x20] = _number  # lower case: bases marked as repeats


class Table(NamedTuple):
    """K-mers as numbers with two bits a base, ascending, and how often each was seen."""

    kmers: NDArray[np.uint64]
    counts: NDArray[np.int64]


def count(k: int, piece: bytes) -> Table:
    """The canonical k-mers that lie in a piece."""
    numbers = NUMBER_OF[np.frombuffer(piece, np.uint8)]
    starts = len(numbers) - k + 1
    if starts < 1:
        return Table(np.empty(0, np.uint64), np.empty(0, np.int64))
    forward = np.zeros(starts, np.uint64)
    backward = np.zeros(starts, np.uint64)
    for place in range(k):
        base = numbers[place : place + starts].astype(np.uint64)
        forward |= base << np.uint64(2 * (k - 1 - place))
        backward |= (np.uint64(3) - base) << np.uint64(2 * place)
    # A start is good if no unknown base follows within k: a difference of running sums tells.
    unknown = np.concatenate(([0], np.cumsum(numbers == UNKNOWN)))
    good = unknown[k:] == unknown[:starts]
    return _table(np.minimum(forward, backward)[good], None)


def merge(left: Table, right: Table) -> Table:
    """One table for two."""
    return _table(
        np.concatenate((left.kmers, right.kmers)), np.concatenate((left.counts, right.counts))
    )


def _table(kmers: NDArray[np.uint64], counts: NDArray[np.int64] | None) -> Table:
    if not len(kmers):
        return Table(kmers, np.empty(0, np.int64))
    # "stable" finds runs that are sorted already: two tables are merged in one pass.
    order = np.argsort(kmers, kind="stable")
    kmers = kmers[order]
    firsts = np.flatnonzero(np.concatenate(([True], kmers[1:] != kmers[:-1])))
    if counts is None:
        return Table(kmers[firsts], np.diff(firsts, append=len(kmers)))
    return Table(kmers[firsts], np.add.reduceat(counts[order], firsts))


def serial(k: int, pieces: Iterable[bytes]) -> Table:
    """The same count in a plain loop, for the test and for comparison."""
    total = count(k, b"")
    for piece in pieces:
        total = merge(total, count(k, piece))
    return total


def pieces_of(path: str, k: int, size: int = PIECE_BASES) -> Iterator[bytes]:
    """The sequences of a FASTA file in pieces that share k-1 bases with the one before."""
    with gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb") as file:
        yield from cut(file, k, size)


def cut(lines: Iterable[bytes], k: int, size: int = PIECE_BASES) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        if line.startswith(b">"):  # another sequence: no k-mer spans the two
            if len(held) >= k:
                yield bytes(held)
            held.clear()
        else:
            held += line.strip()
            while len(held) >= size + k - 1:
                yield bytes(held[: size + k - 1])
                del held[:size]
    if len(held) >= k:
        yield bytes(held)


def made_up_genome(seed: int, bases: int = MADE_UP_BASES) -> Iterator[bytes]:
    """FASTA lines of a random genome: a quarter of it are copies of a few repeats, with errors."""
    random = np.random.default_rng(seed)
    letters = np.frombuffer(BASES, np.uint8)
    genome = random.choice(letters, bases)
    for _ in range(4):
        repeat = random.choice(letters, min(1000, bases // 16))
        for start in random.integers(0, bases - len(repeat), bases // 16 // len(repeat)):
            genome[start : start + len(repeat)] = repeat
    errors = random.random(bases) < 0.002
    genome[errors] = random.choice(letters, int(errors.sum()))
    yield b">made up, seed %d\n" % seed
    text = genome.tobytes()
    for start in range(0, bases, 80):
        yield text[start : start + 80]


def letters_of(kmer: int, k: int) -> str:
    return "".join(chr(BASES[kmer >> 2 * (k - 1 - place) & 3]) for place in range(k))


def show(table: Table, k: int, top: int) -> None:
    most = np.argsort(-table.counts, kind="stable")[:top]
    for at in most:
        print(f"{table.counts[at]:>10,}  {letters_of(int(table.kmers[at]), k)}")
    print(f"\n{'seen':>11} {'k-mers':>10}")
    bins = np.bincount(np.ceil(np.log2(table.counts)).astype(np.intp))  # 1, 2, 3-4, 5-8, ...
    for power, kmers in enumerate(bins):
        low, high = (1 << power) // 2 + 1, 1 << power
        name = f"{low}-{high}" if power > 1 else f"{high}"
        print(f"{name:>11} {kmers:>10,} {'#' * round(50 * kmers / bins.max())}".rstrip())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Count the k-mers of FASTA files.")
    parser.add_argument("files", nargs="*", metavar="FASTA", help="may end in .gz")
    parser.add_argument("--k", type=int, default=21, help="1 to 31 (default: 21)")
    parser.add_argument("--top", type=int, default=10, help="how many to print (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up genome")
    parser.add_argument("--bases", type=int, default=MADE_UP_BASES, help="of the made-up genome")
    args = parser.parse_args(argv)
    if not 1 <= args.k <= 31:
        parser.error("--k must be from 1 to 31: two bits a base must fit a 64-bit number")
    if args.bases < 100:
        parser.error("--bases must be at least 100")

    began = time.perf_counter()
    pieces: Iterator[bytes]
    if args.files:
        pieces = (piece for file in args.files for piece in pieces_of(file, args.k))
    else:
        pieces = cut(made_up_genome(args.seed, args.bases), args.k)
    with hanse.connect() as client:
        table = client.map(partial(count, args.k), pieces).reduce(merge)
    seconds = time.perf_counter() - began

    show(table, args.k, args.top)
    print(
        f"\n{table.counts.sum():,} {args.k}-mers, {len(table.kmers):,} different: "
        f"{seconds:.1f} s, {table.counts.sum() / seconds / 1e6:,.1f} million/s"
    )
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except OSError as error:  # a file that is not there or not FASTA
        sys.exit(f"kmers: {error}")
