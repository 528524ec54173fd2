"""The first result, and what an idle client and its workers hold in memory.

The first is a program of its own (bench/first.py), which imports as little as can be.
"""

from __future__ import annotations

from bench.contest import Peer
from bench.measures.measure import Family, Measure, Sizes, Teller, bound, check
from bench.work import same, whoami

FIRST = Family(
    "first",
    (
        Measure("first_import", "first result after the import begins", "s", False, None,
                "0.06 s", bound("first_import", high=0.06)),
        Measure("first_process", "process start to first result", "s", False, None,
                "0.25 s", bound("first_process", high=0.25)),
    ),
    program="bench.first",
)  # fmt: skip


def memory(peer: Peer, sizes: Sizes, teller: Teller) -> dict[str, float]:
    """After a little work, with nothing to do: PSS, so that shared pages are counted once."""
    check(list(peer.map(same, range(1000))) == list(range(1000)), "the map is wrong")
    workers = sorted(set(peer.tasks(whoami, [0.05] * 4 * peer.workers)))
    return teller.ask({"idle": workers})


IDLE = Family(
    "idle",
    (
        Measure("memory", "", "MB", False, memory),
    ),
    extra=(
        Measure("memory_client", "memory of an idle client", "MB", False, None,
                "under 60 MB", bound("memory_client", high=60)),
        Measure("memory_worker", "memory per idle worker", "MB", False, None,
                "under 30 MB", bound("memory_worker", high=30)),
        Measure("memory_all", "memory when idle, all processes", "MB", False),
    ),
    rounds=2,  # it hardly varies
)  # fmt: skip
