"""The command, in a hurry: what takes its time by the clock takes a fraction of it here.

    python -m hosts.launch up ...        as `hanse up ...`

HASTE=6 divides the bounds that faults are waited out by: a lease expires after 5 s in place of 30.
The code is the same and so are the proportions; HASTE=1 is the real thing. Under libfaketime the
process sees the clock that CLOCK tells, and the processes that it starts see the machine's.
"""

from __future__ import annotations

import os
import select
import time

from hanse import limits

_TIMES = ("LEASE_TTL_NS", "REPORT_EVERY_NS", "HEARTBEAT_NS", "LINK_PATIENCE_S")


def hurry() -> None:
    """Divide the bounds. Before anything else of Hanse is imported."""
    haste = float(os.environ.get("HASTE", "1"))
    for name in _TIMES:
        bound = getattr(limits, name)
        setattr(limits, name, type(bound)(bound / haste))


def clock(library: str, file: str) -> dict[str, str]:
    """Variables under which a process has a clock that can be stepped: the file holds by how many
    seconds, as `+3600`."""
    return {
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


def _take_clock() -> None:
    if os.environ.pop("LD_PRELOAD", None) is None:
        return
    # Debian's libfaketime 0.9.10 refuses the absolute times on the monotonic clock by which
    # Python sleeps (EINVAL).
    time.sleep = _sleep


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)


if __name__ == "__main__":
    _take_clock()
    hurry()
    from hanse.cli.main import main

    main()
