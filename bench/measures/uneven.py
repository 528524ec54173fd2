"""Items of very different length, and a worker that is killed: how late does a map end?"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time

from bench.contest import Peer
from bench.measures.measure import Family, Measure, Sizes, Teller, bound, check, timed
from bench.work import nap, spin

SHORT_S, LONG_S, LONG_SHARE = 0.001, 0.1, 0.01
KILL_AFTER = 0.9  # of the second item of the worker that dies


def uneven(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    """Times the fluid bound: all the work over all the workers, as if it could be poured."""
    seeded = random.Random(7)
    items = [SHORT_S] * sizes.uneven
    for at in seeded.sample(range(len(items)), round(len(items) * LONG_SHARE)):
        items[at] = LONG_S
    seconds, results = timed(lambda: peer.tasks(spin, items))
    check(results == items, "the results are not the lengths of the items")
    return seconds / (sum(items) / peer.workers)


def recovery(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    """Extra seconds over the seconds of work that died with the worker."""
    clean, _ = _naps(peer, sizes, killing=False)
    struck, lost = _naps(peer, sizes, killing=True)
    return (struck - clean) / lost


def _naps(peer: Peer, sizes: Sizes, killing: bool) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        items = [(i, sizes.recovery_item_s, folder) for i in range(sizes.recovery_items)]
        lost: list[float] = []
        hunter = threading.Thread(target=_hunt, args=(folder, sizes, lost), daemon=True)
        if killing:
            hunter.start()
        seconds, results = timed(lambda: peer.tasks(nap, items))
        check(results == list(range(len(items))), "the results are not the items")
        if killing:
            hunter.join()
            check(bool(lost), "no worker was killed")
        return seconds, lost[0] if lost else 0.0


def _hunt(folder: str, sizes: Sizes, lost: list[float]) -> None:
    """Kill the worker that begins a second round of items, near the end of that item."""
    until = time.monotonic() + sizes.recovery_item_s * sizes.recovery_items
    while time.monotonic() < until:
        begun = [name for name in os.listdir(folder) if not name.endswith(".new")]
        if len(begun) > 2:
            newest = max(begun, key=lambda name: float(_read(folder, name)))
            began = float(_read(folder, newest))
            time.sleep(max(0.0, began + KILL_AFTER * sizes.recovery_item_s - time.monotonic()))
            os.kill(int(newest.split(".")[1]), signal.SIGKILL)
            lost.append(time.monotonic() - began)
            return
        time.sleep(0.01)


def _read(folder: str, name: str) -> str:
    with open(os.path.join(folder, name)) as file:
        return file.read()


UNEVEN = Family(
    "uneven",
    (
        Measure("uneven", "10,000 items of 1 ms, 1% of 100 ms: over the bound", "x", False, uneven,
                "within 3%", bound("uneven", high=1.03)),
    ),
    rounds=3,  # ten seconds each, and no room to vary much
)  # fmt: skip
RECOVERY = Family(
    "recovery",
    (
        Measure("recovery", "SIGKILL of 1 of 2 workers: extra time over lost work", "x", False,
                recovery, "under 1.05", bound("recovery", high=1.05), limit_s=30.0),
    ),
    rounds=3,
)  # fmt: skip
