"""The values that reports are about: results and failures on their way to the home's decision.

The core knows that items are done, and not with what. Its facts are joined with the values here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hanse.core.events import ItemsFailed, SegmentCommitted
from hanse.core.messages import FailureNote, Note, Report, SegmentNote
from hanse.engines import port
from hanse.errors import InternalError
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause, Failure
from hanse.model.usage import Usage

Told = port.Segment | tuple[JobId, port.ItemFailed]  # the value of a note


class Brought(NamedTuple):
    """What the values of a report were about."""

    leases: set[LeaseId]
    failures: list[tuple[JobId, int]]


class Reported:
    """
    Args:
        keep: takes what items save for later attempts.
    """

    def __init__(self, keep: Callable[[JobId, port.Saved], None] = lambda job, event: None) -> None:
        self._keep = keep
        self._segments: dict[LeaseId, list[port.Segment]] = {}  # not decided on yet
        self._failures: dict[tuple[JobId, int], Failure] = {}  # the last of each open item
        self._usages: dict[JobId, Usage] = {}  # of failed attempts

    def segment(self, segment: port.Segment) -> None:
        self._segments.setdefault(segment.lease, []).append(segment)

    def failed(self, job: JobId, event: port.ItemFailed) -> None:
        self._failures[job, event.item] = event.failure
        self._usages[job] = self._usages.get(job, Usage()).plus(event.usage)

    def saved(self, job: JobId, event: port.Saved) -> None:
        self._keep(job, event)

    def broken(self, job: JobId, item: int, failure: Failure) -> None:
        """An item whose arguments cannot travel."""
        self._failures[job, item] = failure

    def take(
        self,
        report: Report,
        seen: int,
        values: Mapping[int, Told],
        is_each: Callable[[JobId], bool],
    ) -> Brought | None:
        """The values of a report's notes behind the number `seen`. None: one that is needed is
        missing, or is another's, and nothing was taken.

        Args:
            is_each: whether every result of a job has to be encoded by itself.
        """
        notes = dict(enumerate(report.notes, report.first_note))
        fresh = {number: note for number, note in notes.items() if number > seen}
        if not all(_has_value(note, values.get(number), is_each) for number, note in fresh.items()):
            return None
        brought = Brought({note.lease for note in fresh.values()}, [])
        for number in fresh:
            match values.get(number):
                case port.Segment() as segment:
                    self.segment(segment)
                case (job, failed):
                    self.failed(job, failed)
                    brought.failures.append((job, failed.item))
        return brought

    def decided(self) -> None:
        """Every note of the last report was decided on."""
        self._segments.clear()

    def decided_of(self, brought: Brought, is_open: Callable[[JobId, int], bool]) -> None:
        """Every note of a report was. What failed is of interest while its item is open."""
        for lease in brought.leases:
            self._segments.pop(lease, None)
        for job, item in brought.failures:
            if not is_open(job, item):
                self._failures.pop((job, item), None)

    def forget(self, job: JobId) -> None:
        self._usages.pop(job, None)
        if self._failures:
            self._failures = {k: v for k, v in self._failures.items() if k[0] != job}

    # --- facts find their values ----------------------------------------------------------------
    def committed(self, fact: SegmentCommitted) -> port.Segment:
        """The segment that holds what the fact commits."""
        job, start, stop = fact.job, fact.start, fact.stop
        if self._failures:
            for item in range(start, stop) if stop - start < len(self._failures) else ():
                self._failures.pop((job, item), None)
        for segment in self._segments.get(fact.lease, ()):
            if segment.start <= start and stop <= segment.stop:
                return segment
        raise InternalError(f"items {start} to {stop} of {job} were committed without results")

    def failure(self, fact: ItemsFailed, names: Mapping[JobId, str]) -> Failure:
        """Why the items failed, by what was told of them or by the fact alone. `names`: of jobs."""
        known = self._failures.pop((fact.job, fact.start), None)
        if known is not None and (fact.lease is not None or fact.cause is Cause.ARGUMENT):
            return known
        message = ""
        if fact.needed is not None:
            name = names.get(fact.needed[0], fact.needed[0])
            message = f"item {fact.needed[1]} of {name}"
        return Failure(
            cause=fact.cause, function=names.get(fact.job, ""), item=fact.start, message=message
        )

    def spent(self, job: JobId) -> Usage | None:
        """What failed attempts of the job took since this was last asked."""
        return self._usages.pop(job, None)


def _has_value(note: Note, value: Told | None, is_each: Callable[[JobId], bool]) -> bool:
    """Whether this is what the note is about; failures may be without."""
    if isinstance(note, SegmentNote):
        return (
            isinstance(value, port.Segment)
            and (value.lease, value.start, value.stop) == (note.lease, note.start, note.stop)
            and value.folded == note.folded
            and value.payload.count == (1 if note.folded else note.stop - note.start)
            and (note.folded or not is_each(note.job) or value.payload.ends is not None)
        )
    if isinstance(note, FailureNote):
        return value is None or (
            not isinstance(value, port.Segment)
            and (value[0], value[1].item) == (note.job, note.item)
        )
    return value is None


def argument_failure(name: str, item: int, error: Exception) -> Failure:
    """The failure of an item whose arguments cannot be pickled here."""
    return Failure(
        cause=Cause.ARGUMENT,
        function=name,
        item=item,
        type=type(error).__name__,
        message=str(error),
    )
