"""Writes the facts of durable jobs to the journal, in a thread, many at a time (group commit).

What waits is written together: the more a disk takes for one commit, the more goes into the next.
Facts come back, in their order, once they are durable; only then are clients told. A journal that
cannot be reached is tried again for a while, and says so; any other trouble ends the jobs that it
concerns, and no others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol

from hanse import limits
from hanse.core.events import JobEnded
from hanse.errors import HanseError, JournalError, JournalUnavailable
from hanse.ids import BlobId, JobId
from hanse.journal.port import Append, Entry, Head
from hanse.records.entries import Body, Ran, Stored, encode
from hanse.records.payloads import pack
from hanse.records.program import pack_program
from hanse.records.record import Kept
from hanse.records.state import State
from hanse.records.tally import Tally
from hanse.runtime.outcome import Outcome

_logger = logging.getLogger("hanse")


class Listener(Protocol):
    """Who gives facts and hears what became of them; called in the recorder's thread."""

    def recorded(self, outcomes: Sequence[Outcome], position: int) -> None: ...
    def lost(self, job: JobId, error: HanseError) -> None: ...
    def given_back(self, job: JobId, run: int) -> None: ...
    def asked(self, job: JobId, question: str, answer: Callable[[str], None]) -> None: ...
    def broken(self, error: BaseException) -> None: ...


class _Writing:
    """A job that this process writes."""

    def __init__(self, head: Head, run: int, seq: int) -> None:
        self.tally = Tally(head)
        self.run = run
        self.seq = seq  # of the next entry
        self.answered = 0  # the last question that was handed on


class Recorder:
    """One thread and its queue. Methods may be called from any thread."""

    def __init__(self, state: State, listener: Listener) -> None:
        self.state = state
        self.trouble = ""  # why nothing can be recorded now
        self._listener = listener
        self._jobs: dict[JobId, _Writing] = {}
        self._queue: list[Outcome] = []
        self._position = 0
        self._written = 0
        self._waiting_bytes = 0
        self._writing_bytes = 0
        self._writing_blobs = ExitStack()
        self._blobs_are_safe = False
        self._leaving: list[tuple[JobId, int, bool]] = []
        self._answers: list[tuple[JobId, int, str]] = []
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._guarded, name="hanse-recorder", daemon=True)
        self._thread.start()

    def follow(self, head: Head, run: int, entries: int) -> None:
        """Write what comes of this job, behind the entries that are there."""
        with self._news:
            self._jobs[head.id] = _Writing(head, run, entries)
            self._news.notify()  # questions are looked for from now on

    def add(self, outcomes: Sequence[Outcome], position: int) -> None:
        """Record these, and then say that all facts up to the position are durable."""
        with self._news:
            self._queue += outcomes
            self._position = position
            for outcome in outcomes:
                self._waiting_bytes += outcome.nbytes
            self._news.notify()

    def leave(self, job: JobId, run: int, begun: bool = True) -> None:
        """Record no more of the job than was added, and give it back; not `begun`: it was claimed,
        and `follow` was never called for this run."""
        with self._news:
            self._leaving.append((job, run, begun))
            self._news.notify()

    @property
    def full(self) -> bool:
        """Whether so much waits that no more should come."""
        return self.backlog_bytes > limits.BACKLOG_BYTES

    @property
    def backlog_bytes(self) -> int:
        """About what waits to be written."""
        return self._waiting_bytes + self._writing_bytes

    def close(self, timeout_s: float = 10) -> None:
        """Write what waits, if that can be done now, and give every job back."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join(timeout_s)
        self.state.close()

    # --- the thread -----------------------------------------------------------------------------
    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - who waits for records must hear of it
            self._listener.broken(error)

    def _run(self) -> None:
        while True:
            with self._news:
                every = limits.QUESTIONS_EVERY_NS / 1e9 if self._jobs else None
                self._news.wait_for(self._has_work, every)  # or until jobs come: `follow` notifies
                outcomes, self._queue = self._queue, []
                leaving, self._leaving = self._leaving, []
                position, closing = self._position, self._closing
                self._writing_bytes, self._waiting_bytes = self._waiting_bytes, 0
            if outcomes or position > self._written:
                self._write(outcomes)
                self._written, self._writing_bytes = position, 0
                # Never told: what came of a job that was lost, or that nobody here writes.
                done = [outcome for outcome in outcomes if outcome.recorded]
                self._listener.recorded(done, position)
            for job, run, begun in leaving:
                if not begun:
                    self._release(job, run)
                elif job in self._jobs and self._jobs[job].run == run:
                    self._give_back(job)
            if closing and not outcomes:
                return
            self._give_answers()
            self._take_questions()

    def _has_work(self) -> bool:
        some = self._queue or self._leaving or self._answers
        return bool(some or self._closing or self._position > self._written)

    def _write(self, outcomes: list[Outcome]) -> None:
        by_job: dict[JobId, list[Outcome]] = {}
        for outcome in outcomes:
            by_job.setdefault(outcome.fact.job, []).append(outcome)
        with ExitStack() as self._writing_blobs:  # from the first blob to the entry that names it
            self._blobs_are_safe = False
            self._append_all(self._all_entries(by_job))
        for outcome in outcomes:
            outcome.recorded = outcome.fact.job in self._jobs
            if outcome.recorded and isinstance(outcome.fact, JobEnded):
                self._give_back(outcome.fact.job)

    def _all_entries(self, by_job: Mapping[JobId, Sequence[Outcome]]) -> list[Append]:
        appends: list[Append] = []
        for job, some in by_job.items():
            try:
                if job in self._jobs:
                    appends.append(self._entries(job, some))
            except HanseError as error:  # such as no room for a blob
                self._lose(job, error)
            except Exception as error:  # noqa: BLE001 - one job's values must not cost the others
                self._lose(job, JournalError(f"job {job} cannot be recorded: {error!r}"))
        return appends

    def _entries(self, job: JobId, outcomes: Sequence[Outcome]) -> Append:
        writing = self._jobs[job]
        entries: list[Entry] = []
        now = time.time()
        for outcome in outcomes:
            packed, stored, fact = None, None, outcome.fact
            if outcome.payload is not None:
                packed = pack(outcome.payload, self._put)
            elif outcome.program is not None:
                new = outcome.program
                packed = pack_program(new.told, new.function, new.initializer, self._put)
            if packed is not None:
                count = 1 if outcome.payload is None else outcome.payload.count
                stored = Stored(packed.digest, packed.nbytes, count, outcome.first, outcome.fold)
                outcome.kept = Kept(self.state, job, writing.seq, stored)
            ran = _ran(outcome)
            body = Body(fact, stored, outcome.failure, outcome.usage, ran, outcome.dated_ns)
            entry = encode(job, writing.seq, body, packed)
            nbytes = len(entry.body) + (packed.nbytes if packed is not None else 0)
            writing.tally.take(fact, now, nbytes, outcome.usage)
            writing.seq += 1
            entries.append(entry)
            outcome.entry = entry
        return Append(writing.tally.head, writing.run, entries)

    def _put(self, data: memoryview) -> BlobId:
        if not self._blobs_are_safe:
            self._patiently(lambda: self._writing_blobs.enter_context(self.state.blobs.writing()))
            self._blobs_are_safe = True  # nobody collects meanwhile
        return self.state.blobs.put(data)

    def _append_all(self, appends: Sequence[Append]) -> None:
        """All in one transaction; if that fails, each job by itself: one must not cost another."""
        if not appends:
            return
        try:
            self._patiently(lambda: self.state.journal.append(appends))
        except JournalUnavailable as error:
            for append in appends:
                self._lose(append.head.id, error)
        except JournalError:
            for append in appends:
                try:
                    self.state.journal.append([append])
                except JournalError as error:
                    self._lose(append.head.id, error)

    def _patiently(self, act: Callable[[], None]) -> None:
        """Try again for a while what may pass, and say so. Raises JournalError."""
        until = time.monotonic_ns() + limits.JOURNAL_PATIENCE_NS
        while True:
            try:
                act()
            except JournalUnavailable as error:
                if self._closing or time.monotonic_ns() > until:
                    self.trouble = ""
                    raise
                self._say(error)
                with self._news:
                    self._news.wait_for(lambda: self._closing, limits.JOURNAL_RETRY_NS / 1e9)
            else:
                if self.trouble:
                    _logger.warning("hanse: the journal can be written again")
                    self.trouble = ""
                return

    def _say(self, error: JournalUnavailable) -> None:
        seconds = limits.JOURNAL_PATIENCE_NS // limits.SECOND
        if not self.trouble:
            _logger.warning("hanse: %s; trying again for %d s", error, seconds)
        self.trouble = f"{error}; it is tried again for {seconds} s"

    def _lose(self, job: JobId, error: HanseError) -> None:
        if job in self._jobs:
            self._give_back(job)
            self._listener.lost(job, error)

    def _give_back(self, job: JobId) -> None:
        self._release(job, self._jobs.pop(job).run)

    def _release(self, job: JobId, run: int) -> None:
        try:
            self.state.journal.release(job)
        except JournalError as error:
            _logger.warning("hanse: job %s: %s", job, error)
        self._listener.given_back(job, run)

    # --- questions ------------------------------------------------------------------------------
    def _take_questions(self) -> None:
        try:
            asked: Mapping[JobId, tuple[int, str]] = (
                self.state.journal.questions(self._jobs) if self._jobs else {}
            )
        except JournalError:
            return  # whoever asks is told that there is no answer
        for job, (number, question) in asked.items():
            writing = self._jobs.get(job)
            if writing is not None and writing.answered < number:
                writing.answered = number
                self._listener.asked(job, question, partial(self._answer, job, number))

    def _answer(self, job: JobId, number: int, text: str) -> None:
        """For any thread."""
        with self._news:
            self._answers.append((job, number, text))
            self._news.notify()

    def _give_answers(self) -> None:
        with self._news:
            answers, self._answers = self._answers, []
        for job, number, text in answers:
            try:
                self.state.journal.answer(job, number, text)
            except JournalError as error:
                _logger.warning("hanse: a question about job %s was not answered: %s", job, error)


def _ran(outcome: Outcome) -> Ran | None:
    if not outcome.site:
        return None
    at, since = outcome.at_ns, outcome.since_ns
    ago_ms = None if since is None else max(0, at - since) // limits.MS
    return Ran(outcome.site, at // limits.MS, outcome.busy_ns // 1000, ago_ms)
