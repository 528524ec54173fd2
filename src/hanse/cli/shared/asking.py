"""Questions to the program that runs a job on this machine, through its journal, and answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hanse.limits import ANSWER_LOOK_S, ANSWER_NS

if TYPE_CHECKING:
    from hanse.ids import JobId
    from hanse.records.state import State


def ask(state: State, job: JobId, question: str) -> str | None:
    """Ask whoever runs the job, and wait for the answer, ANSWER_NS at most.

    None if there is no answer by then, or if nobody runs the job any more.
    """
    number = state.journal.ask(job, question)

    def settled() -> bool:
        return state.journal.answered(job, number) is not None or state.journal.holder(job) is None

    wait_until(settled)
    # Once more: it may have answered just before it let go.
    return state.journal.answered(job, number)


def wait_until(condition: Callable[[], bool], patience_s: float = ANSWER_NS / 1e9) -> bool:
    """Wait for a condition, so long at most; returns whether it came true."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(ANSWER_LOOK_S)
    return True
