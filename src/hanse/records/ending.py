"""Ends a job whose program is gone, in its record."""

from __future__ import annotations

import time

from hanse.core.events import JobEnded
from hanse.journal.port import Append, Head
from hanse.model.job import JobState
from hanse.records.entries import Body, encode
from hanse.records.program import this_process
from hanse.records.record import open_record
from hanse.records.state import State
from hanse.records.tally import Tally


def cancel(state: State, head: Head) -> None:
    """Record that a job which nobody runs is cancelled; nothing if it has ended.

    Raises JobBusy if somebody runs it after all, JournalError.
    """
    run = state.journal.claim(head.id, this_process())
    try:
        record = open_record(state, state.journal.find(head.id) or head)
        if record.job_state.ended:
            return
        body = Body(JobEnded(head.id, JobState.CANCELLED))
        entry = encode(head.id, len(record.facts), body, None)
        tally = Tally(record.head)
        tally.take(body.fact, time.time(), len(entry.body), None)
        state.journal.append([Append(tally.head, run, [entry])])
    finally:
        state.journal.release(head.id)
