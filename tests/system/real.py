"""What the system tests share: waiting for a condition, and running a script of one's own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """Wait for a condition; fail if it does not come."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)
