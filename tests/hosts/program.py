"""The client's program: many items of seeded durations, each of which leaves a trace.

    python -m hosts.program SEED ITEMS LEDGER

It prints one document: the sum of all values, and a digest of all that items have sent beside.
"""

from __future__ import annotations

import hashlib
import json
import random
import select
import socket
import sys
import time
from collections.abc import Iterable
from functools import partial

NAME = "chaos"
_LARGE_EVERY = 500
_LARGE_BYTES = 96 * 1024  # more than what lies in the journal itself: a blob
LINE_BYTES = 64


def duration_s(seed: int, item: int) -> float:
    """How long an item takes: most about 8 ms, one of 200 between 0.2 and 0.8 s."""
    draw = random.Random(f"{seed}/{item}")
    if draw.random() < 1 / 200:
        return draw.uniform(0.2, 0.8)
    return min(draw.expovariate(1 / 0.008), 0.1)


def value(seed: int, item: int) -> tuple[int, bytes]:
    """What an item returns."""
    large = item % _LARGE_EVERY == seed % _LARGE_EVERY
    return item * item, random.Random(f"{seed}/{item}/large").randbytes(large * _LARGE_BYTES)


def work(seed: int, ledger: str, item: int) -> tuple[int, bytes]:
    """Do an item, and leave a trace of when and where it began and ended."""
    import hanse

    known = hanse.current_item()
    assert known is not None
    assert known.index == item
    for what in ("began", "ended"):
        words = f"{what} {item} {time.monotonic():.6f} {socket.gethostname()} {known.job}"
        with open(ledger, "a") as file:
            file.write(words.ljust(LINE_BYTES - 1) + "\n")
        if what == "began":
            select.select((), (), (), duration_s(seed, item))
    return value(seed, item)


def summed(values: Iterable[tuple[int, bytes]]) -> dict[str, object]:
    """What stands for all values, in their order."""
    total, digest = 0, hashlib.sha256()
    for number, large in values:
        total += number
        digest.update(large)
    return {"sum": total, "digest": digest.hexdigest()}


def main(seed: int, items: int, ledger: str) -> None:
    from hosts.launch import hurry

    hurry()
    import hanse

    with hanse.connect() as client:
        told = summed(client.map(partial(work, seed, ledger), range(items), name=NAME))
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
