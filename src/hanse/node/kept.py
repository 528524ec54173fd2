"""The values of a site's notes: kept until its home has them durably, and told to it once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

import msgspec

from hanse import limits
from hanse.core.agent import Agent
from hanse.core.messages import FailureNote, Report, SegmentNote
from hanse.engines import port
from hanse.errors import WorldError
from hanse.ids import JobId, LeaseId
from hanse.node.spill import Spill, Spilled
from hanse.payloads.payload import Payload
from hanse.wire import codec
from hanse.wire.link import Failed, Lines, Segment, Told

_logger = logging.getLogger("hanse")
_encoder = msgspec.msgpack.Encoder()
_NOTHING = Payload(0, b"")


class _Value:
    """What a note is about; the payload of a segment may lie on disk."""

    __slots__ = ("note", "spilled", "value")

    def __init__(self, note: int, value: port.Segment | port.ItemFailed) -> None:
        self.note = note
        self.value: port.Segment | port.ItemFailed | None = value  # None: it was lost
        self.spilled: Spilled | None = None


def _before_ends(report: Report, saving: Collection[tuple[LeaseId, int]]) -> int:
    """The number of the last note that comes before a failure of these items, or the end of their
    leases."""
    leases = {lease for lease, _ in saving}
    for number, note in enumerate(report.notes, report.first_note):
        if note.lease not in leases or isinstance(note, SegmentNote):
            continue
        if not isinstance(note, FailureNote) or (note.lease, note.item) in saving:
            return number - 1
    return report.first_note + len(report.notes) - 1


def _nbytes(said: Segment | Failed) -> int:
    """What it takes in the label of a report."""
    return len(_encoder.encode(said))


def _text_of(lines: Sequence[Lines]) -> int:
    return sum(len(line.text) for line in lines)


class Kept:
    """See `runtime.seat.Values`. On the runtime's loop, except `print`.

    What waits for a home that is away goes to disk beyond some MiB.

    Args:
        save: takes what items keep for later attempts.
        done: told of items that have ended well, and need that no more.
        full: called when neither memory nor disk should take more.
    """

    def __init__(
        self, agent: Agent, spill: Spill, full: Callable[[], None],
        save: Callable[[JobId, port.Saved], None] = lambda job, event: None,
        done: Callable[[LeaseId, int, int], None] = lambda lease, start, stop: None,
    ) -> None:  # fmt: skip
        self._save, self._done = save, done
        self._agent = agent
        self._spill = spill
        self._values: deque[_Value] = deque()
        self._bytes = 0  # of payloads in memory
        self._told = 0  # the number of the last note whose value the home has, in this boot of it
        self._lines: deque[Lines] = deque()
        self._line_bytes = 0
        self._printing = threading.Lock()
        self._full = full

    # --- what the site does -----------------------------------------------------------------------
    def segment(self, segment: port.Segment) -> None:
        self._done(segment.lease, segment.start, segment.stop)
        value = _Value(self._agent.last_note + 1, segment)
        size = segment.payload.nbytes
        if self._bytes + size > limits.LINK_MEMORY_BYTES:
            value.spilled = self._spill.put(segment.payload)
        if value.spilled is not None:
            value.value = msgspec.structs.replace(segment, payload=_NOTHING)
        else:
            self._bytes += size
            if self._bytes > limits.LINK_MEMORY_BYTES:
                self._full()
        self._values.append(value)

    def failed(self, job: JobId, event: port.ItemFailed) -> None:
        self._values.append(_Value(self._agent.last_note + 1, event))

    def saved(self, job: JobId, event: port.Saved) -> None:
        self._save(job, event)

    def print(self, piece: port.Printed) -> None:
        """For any thread. What a home does not take in time is dropped, the oldest first."""
        line = Lines(JobId(piece.job), piece.lease, piece.item, piece.stream, piece.text)
        with self._printing:
            self._lines.append(line)
            self._line_bytes += len(line.text)
            self._drop_lines()

    def _drop_lines(self) -> None:
        while self._line_bytes > limits.LINK_PRINTED_BYTES:
            self._line_bytes -= len(self._lines.popleft().text)

    @property
    def has_lines(self) -> bool:
        return bool(self._lines)

    # --- what the home hears ----------------------------------------------------------------------
    def told(
        self, boot: str, report: Report, saving: Collection[tuple[LeaseId, int]] = ()
    ) -> tuple[Told, list[Payload]]:
        """The report with the values that the home does not have. Of items that are `saving` no
        failure is told, nor the end of their leases, nor what comes after that."""
        segments: list[Segment] = []
        failures: list[Failed] = []
        payloads: list[Payload] = []
        size = said = 0
        last = min(_before_ends(report, saving), report.first_note + limits.LINK_NOTES - 1)
        for each in self._values:
            if each.note <= self._told:
                continue
            if each.note > last:
                break
            if (
                size > limits.LINK_REPORT_BYTES
                or said > limits.LINK_TOLD_BYTES
                or len(payloads) == limits.PARCEL_PAYLOADS
            ):
                last = each.note - 1
                break
            if isinstance(each.value, port.Segment):
                payload = self._payload(each, each.value)
                if payload is not None:
                    segments.append(Segment(each.note, each.value.usage))
                    payloads.append(payload)
                    size += payload.nbytes
                    said += _nbytes(segments[-1])
            elif each.value is not None:
                failures.append(Failed(each.note, each.value.failure, each.value.usage))
                said += _nbytes(failures[-1])
        report = self._agent.cut_off(report, last)
        told = Told(
            boot=boot, report=codec.encode(report), segments=segments, failures=failures,
            lines=self._take_lines(),
        )  # fmt: skip
        return told, payloads

    def _payload(self, value: _Value, segment: port.Segment) -> Payload | None:
        """None: it is lost, and so its items are run again."""
        if value.spilled is None:
            return segment.payload
        try:
            return self._spill.get(value.spilled)
        except WorldError as error:
            _logger.error("hanse: %s", error)
            self._agent.lose(value.note, str(error))
            value.value = None
            return None

    def _take_lines(self) -> list[Lines]:
        with self._printing:
            count = min(len(self._lines), limits.LINK_LINES)
            lines = [self._lines.popleft() for _ in range(count)]
            self._line_bytes -= _text_of(lines)
        return lines

    def has_not(self, report: Told) -> None:
        """The home did not take this report, as far as is known: its lines go with the next."""
        with self._printing:
            self._lines.extendleft(reversed(report.lines))
            self._line_bytes += _text_of(report.lines)
            self._drop_lines()

    def has(self, report: Told) -> None:
        """The home took these values."""
        numbers = [each.note for each in report.segments]
        numbers += [each.note for each in report.failures]
        self._told = max(self._told, *numbers, 0)

    def again(self) -> None:
        """It is another home now, or was started again: it has nothing but what it acknowledged."""
        self._told = 0

    def acknowledged(self) -> None:
        """Let go of what the home has durably."""
        until = self._agent.acknowledged
        while self._values and self._values[0].note <= until:
            gone = self._values.popleft()
            if isinstance(gone.value, port.Segment):
                self._bytes -= gone.value.payload.nbytes
            if gone.spilled is not None:
                self._spill.release()
