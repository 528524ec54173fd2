"""Questions to the program that runs a job, through the journal, and its answers."""

from __future__ import annotations

import time
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
    end = time.monotonic() + ANSWER_NS / 1e9
    while True:
        held = state.journal.holder(job) is not None
        # Asked after the holder: what it answered before it let go is there.
        answer = state.journal.answered(job, number)
        if answer is not None or not held or time.monotonic() >= end:
            return answer
        time.sleep(ANSWER_LOOK_S)
