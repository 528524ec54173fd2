"""The values of a site's notes: kept until its home has them durably, and told to it once."""

from __future__ import annotations

from collections import deque

import msgspec

from hanse.core.agent import Agent
from hanse.core.messages import Report
from hanse.engines import port
from hanse.ids import JobId
from hanse.limits import LINK_PRINTED_BYTES, PARCEL_PAYLOADS
from hanse.payloads.payload import Payload
from hanse.wire import codec
from hanse.wire.link import Failed, Lines, Segment, Told


class Kept:
    """See `runtime.seat.Values`. On the runtime's loop, except `print`."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._values: deque[tuple[int, port.Segment | port.ItemFailed]] = deque()
        self._told = 0  # the number of the last note whose value the home has, in this boot of it
        self._lines: deque[Lines] = deque()
        self._line_bytes = 0
        self._dropped = 0

    # --- what the site does -----------------------------------------------------------------------
    def segment(self, segment: port.Segment) -> None:
        self._values.append((self._agent.last_note + 1, segment))

    def failed(self, job: JobId, event: port.ItemFailed) -> None:
        self._values.append((self._agent.last_note + 1, event))

    def print(self, piece: port.Printed) -> None:
        """For any thread. What a home does not take in time is dropped, the oldest first."""
        self._lines.append(
            Lines(JobId(piece.job), piece.lease, piece.item, piece.stream, piece.text)
        )
        self._line_bytes += len(piece.text)
        while self._line_bytes > LINK_PRINTED_BYTES and self._lines:
            self._line_bytes -= len(self._lines.popleft().text)
            self._dropped += 1

    @property
    def has_lines(self) -> bool:
        return bool(self._lines)

    # --- what the home hears ----------------------------------------------------------------------
    def told(self, boot: str, report: Report) -> tuple[Told, list[Payload]]:
        """The report with the values that the home does not have."""
        segments, failures, payloads = [], [], []
        for number, value in self._values:
            if number <= self._told:
                continue
            if isinstance(value, port.Segment):
                segments.append(Segment(number, value.usage))
                payloads.append(value.payload)
                if len(payloads) == PARCEL_PAYLOADS:
                    report = _shortened(report, number)
                    break
            else:
                failures.append(Failed(number, value.failure, value.usage))
        told = Told(
            boot=boot, report=codec.encode(report), segments=segments, failures=failures,
            lines=self._take_lines(),
        )  # fmt: skip
        return told, payloads

    def _take_lines(self) -> list[Lines]:
        lines = []
        while self._lines:
            line = self._lines.popleft()
            self._line_bytes -= len(line.text)
            lines.append(line)
        return lines

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
        while self._values and self._values[0][0] <= until:
            self._values.popleft()


def _shortened(report: Report, last: int) -> Report:
    """Without the notes behind this one: they come with the next report."""
    notes = report.notes[: last - report.first_note + 1]
    return msgspec.structs.replace(report, notes=notes)
