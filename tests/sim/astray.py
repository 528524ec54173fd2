"""Seeds that go astray, for processes that find this module by its name."""

from __future__ import annotations

import os

from hanse.sim.runner import Ran


def run(seed: int) -> Ran:
    """Seed 2 never ends, seed 3 takes its process with it."""
    while seed == 2:
        pass
    if seed == 3:
        os._exit(7)
    return Ran(seed, "", 1, 1, "")
