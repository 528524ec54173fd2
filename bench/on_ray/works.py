"""The works, and how long the best schedule of each would take."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

TRIVIAL = 1_000_000
TASKS = 10_000  # of which plain Ray runs so many: it pays per item
SUBMITS = 20_000
SLEEPS = 2_000
ARRAYS = 64
ARRAY_BYTES = 8 << 20


class Goal(NamedTuple):
    """`factor` times as fast as `peer`, or within that factor of the bound."""

    work: str
    peer: str
    factor: float


GOALS = (
    Goal("trivial", "ray tasks", 100),
    Goal("trivial", "ray Pool", 2),
    Goal("submits", "ray tasks", 10),
    Goal("sleeps", "bound", 1.05),
    Goal("sleeps", "ray tasks", 1),
    Goal("arrays", "ray tasks", 1),
)


def same(x: Any) -> Any:
    return x


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def nap_where(seconds: float) -> tuple[str, int]:
    """In which process of which host the nap was taken."""
    time.sleep(seconds)
    return socket.gethostname(), os.getpid()


def bump(array: Any) -> Any:
    """Another array of the same size."""
    return array + 1


def naps() -> Sequence[float]:
    """One in a hundred is long, and nobody knows which."""
    return [2.0 if at % 100 == 37 else 0.05 for at in range(SLEEPS)]


def bound_s(slots: int) -> float:
    return sum(naps()) / slots


def arrays() -> list[Any]:
    import numpy as np

    return [np.full(ARRAY_BYTES // 8, float(at)) for at in range(ARRAYS)]
