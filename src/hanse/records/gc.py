"""What no record needs any more, and how it goes.

Jobs go first, then the blobs and code that only they referred to, then the logs of jobs that are
gone; a program killed in between leaves nothing but work for the next time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator

import msgspec

from hanse import limits
from hanse.errors import JobBusy, JournalDamaged, JournalError
from hanse.ids import JobId
from hanse.journal.port import Head
from hanse.records.record import program_of
from hanse.records.state import State

_logger = logging.getLogger("hanse")


class Collected(msgspec.Struct):
    """What was removed, or would be: `bytes` are those of blobs and journal, as jobs count them
    when nothing is removed (a blob that two jobs share is counted twice then)."""

    jobs: list[JobId] = []
    blobs: int = 0
    bytes: int = 0


def collect(state: State, older_than_s: float | None = None, dry_run: bool = False) -> Collected:
    """Remove superseded jobs, ended jobs that are too old or too many, and what only they needed.

    `older_than_s` takes the place of both bounds. Never touches a job that somebody holds, nor one
    that can be resumed. Raises JournalUnavailable if somebody writes blobs for very long.
    """
    old = [
        head
        for head in _old(_every(state), older_than_s, time.time())
        if state.journal.holder(head.id) is None
    ]
    if dry_run:
        return Collected([head.id for head in old], 0, sum(head.stored_bytes for head in old))
    gone, before = [], state.journal.stored_bytes()
    for head in old:
        with contextlib.suppress(JobBusy):  # somebody took it just now
            remove(state, head.id)
            gone.append(head.id)
    blobs = state.blobs.collect(state.journal.blobs)
    _collect_codes(state)
    saved = _remove_lost_saves(state)
    _remove_lost_logs(state)
    shrunk = max(0, before - state.journal.stored_bytes())
    return Collected(gone, blobs.count, blobs.bytes + shrunk + saved)


def remove(state: State, job: JobId) -> None:
    """Forget a job, with its log. Its blobs stay until they are collected. Raises JobBusy."""
    state.journal.remove(job)
    state.saved.drop_job(job)
    for path in _logs(state):
        if _job_of(path) == job:
            _unlink(path)


def _every(state: State) -> list[Head]:
    return state.journal.heads(limits.JOBS_LISTED)


def _old(heads: Iterable[Head], older_than_s: float | None, now_s: float) -> Iterator[Head]:
    """Which of these jobs, newest first, are not to be kept."""
    kept = 0
    age = limits.RECORDS_AGE_S if older_than_s is None else older_than_s
    for head in heads:
        if head.superseded:
            yield head
        elif head.ended_s is not None:
            kept += 1
            too_many = older_than_s is None and kept > limits.RECORDS_KEPT
            if too_many or now_s - head.ended_s > age:
                yield head


def _collect_codes(state: State) -> None:
    """Code that no job names. None, if it cannot be read of some job which it names."""
    if not state.codes.there:
        return
    used: set[str] = set()
    heads = _every(state)
    if len(heads) >= limits.JOBS_LISTED:
        return
    try:
        for head in heads:
            program = program_of(state, head)
            if program is not None:
                used.add(program.code)
    except JournalDamaged as error:
        _logger.warning("hanse: no code is collected: %s", error)
    else:
        state.codes.collect(used)


def _remove_lost_saves(state: State) -> int:
    """What items saved of jobs that have ended, or are gone; the bytes."""
    size = 0
    for job in state.saved.jobs():
        with contextlib.suppress(JournalDamaged):
            head = state.journal.find(job)
            if head is None or head.ended_s is not None:
                size += state.saved.drop_job(job)
    return size


def _remove_lost_logs(state: State) -> None:
    # The logs first, then the jobs: a log that is made meanwhile belongs to a job not listed.
    found = list(_logs(state))
    for path in found:
        if not _is_known(state, _job_of(path)):
            _unlink(path)


def _is_known(state: State, job: JobId) -> bool:
    try:
        return state.journal.find(job) is not None
    except JournalDamaged:  # its log may be all that is left of it
        return True


def _logs(state: State) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(state.logs) as entries:
        for entry in entries:
            if entry.name.startswith("j-") and ".jsonl" in entry.name:
                yield entry.path


def _job_of(path: str) -> JobId:
    """The job whose log this is: <job id>.jsonl, and what comes of it when it is rotated."""
    return JobId(os.path.basename(path).partition(".")[0])


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise JournalError(f"{path} cannot be removed: {error.strerror}") from error
