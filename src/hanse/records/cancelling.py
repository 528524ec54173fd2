"""Ending a recorded job whose program is gone."""

from __future__ import annotations

import time

from hanse.core.events import JobEnded
from hanse.errors import NoSuchJob
from hanse.journal.port import Append, Head
from hanse.model.job import JobState
from hanse.records.entries import Body, encode
from hanse.records.program import this_holder
from hanse.records.record import open_record
from hanse.records.state import State
from hanse.records.tally import Tally


def cancel(state: State, head: Head) -> None:
    """Record that the job was cancelled, unless it has ended. What it has done stays.

    Raises JobBusy if a program runs it, NoSuchJob if it is gone, JournalError.
    """
    run = state.journal.claim(head.id, this_holder())
    try:
        found = state.journal.find(head.id)
        if found is None:
            raise NoSuchJob(f"job {head.id} is not there any more")
        record = open_record(state, found)
        if record.job_state.ended:
            return
        fact = JobEnded(head.id, JobState.CANCELLED)
        entry = encode(head.id, len(record.facts), Body(fact), None)
        tally = Tally(found)
        tally.take(fact, time.time(), len(entry.body), None)
        state.journal.append([Append(tally.head, run, [entry])])
    finally:
        state.journal.release(head.id)
