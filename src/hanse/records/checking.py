"""Reads everything that is recorded, and says what is damaged."""

from __future__ import annotations

from collections.abc import Iterator

from hanse.errors import JournalError
from hanse.limits import JOBS_LISTED
from hanse.records.record import function_payload, open_record
from hanse.records.state import State


def damages(state: State) -> Iterator[str]:
    """One line for each entry, payload or blob that is not what was written.

    The journal and the blobs check what they keep; that the entries make sense together, and that
    payloads fit their digests, is seen only here.
    """
    yield from state.journal.check()
    yield from state.blobs.check()
    for head in state.journal.heads(JOBS_LISTED):
        try:
            record = open_record(state, head)
            for kept in record.payloads():
                kept.read()
            function_payload(record)
        except JournalError as error:
            yield str(error)
