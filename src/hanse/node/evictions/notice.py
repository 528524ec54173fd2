"""What the vendors' metadata services, and files, say of an eviction: an answer in, a notice out.

Nothing here asks anybody, and no answer raises: one that cannot be understood is no notice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import msgspec

from hanse import limits
from hanse.decoding import from_json

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Notice(NamedTuple):
    """This machine will be taken away.

    Attributes:
        source: who says so, such as "AWS".
        reason: in words, for people.
        left_s: seconds until then, from when it was seen; never below 0.
    """

    source: str
    reason: str
    left_s: float


class Answer(NamedTuple):
    """Of a metadata service."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace").strip()


class _Action(msgspec.Struct):
    """AWS: /latest/meta-data/spot/instance-action."""

    action: str
    time: str


def aws(answer: Answer, now_s: float) -> Notice | None:
    """Of an answer to spot/instance-action, which is 404 until a spot instance is interrupted."""
    if answer.status != 200:
        return None
    try:
        found = from_json(answer.body, _Action)
    except _UNREADABLE:
        return None
    words = f"AWS interrupts this spot instance ({found.action})"
    return Notice("AWS", words, _left_s(found.time, now_s, limits.AWS_NOTICE_S))


def aws_rebalance(answer: Answer) -> str:
    """What AWS says of a higher risk that this instance is interrupted; "": nothing. It is no
    notice: many such instances live on."""
    return answer.text[:200] if answer.status == 200 else ""


def gcp_preempted(answer: Answer) -> Notice | None:
    """Of an answer to instance/preempted: TRUE or FALSE."""
    if answer.status != 200 or answer.text != "TRUE":
        return None
    return Notice("GCP", "GCP preempts this machine", limits.GCP_NOTICE_S)


def gcp_maintenance(answer: Answer) -> Notice | None:
    """Of an answer to instance/maintenance-event. A machine that is moved while it runs stays."""
    if answer.status != 200 or answer.text != "TERMINATE_ON_HOST_MAINTENANCE":
        return None
    return Notice("GCP", "GCP ends this machine to maintain its host", limits.GCP_MAINTENANCE_S)


class _Event(msgspec.Struct, rename="pascal"):
    event_type: str
    resources: list[str] = []
    not_before: str = ""
    event_status: str = ""


class _Events(msgspec.Struct, rename="pascal"):
    """Azure: /metadata/scheduledevents."""

    events: list[_Event] = []


def azure(answer: Answer, now_s: float, machine: str) -> Notice | None:
    """Of an answer to scheduledevents, which tells of all machines of a set.

    Args:
        machine: the name of this one; "": it is not known, so every event counts.
    """
    if answer.status != 200:
        return None
    try:
        found = from_json(answer.body, _Events)
    except _UNREADABLE:
        return None
    notices = [
        Notice(
            "Azure",
            "Azure evicts this spot machine" if event.event_type == "Preempt"
            else "Azure deletes this machine",
            _left_s(event.not_before, now_s, 0.0),  # it names no time once it is under way
        )
        for event in found.events
        if event.event_type in ("Preempt", "Terminate")
        and event.event_status in ("Scheduled", "Started")
        and (not machine or machine in event.resources)
    ]  # fmt: skip
    return min(notices, key=lambda notice: notice.left_s, default=None)


def in_file(text: str, default_s: float) -> Notice:
    """Of a file that is there: the first number in it is the seconds that are left, and the rest
    is the reason."""
    text = " ".join(text.split())[:200]
    number = re.search(r"\d+(\.\d+)?", text)
    left_s = default_s if number is None else min(float(number[0]), limits.EVICTION_MOST_S)
    return Notice("file", text if re.search(r"[^\W\d]", text) else "a file says so", left_s)


def _left_s(when: str, now_s: float, unknown_s: float) -> float:
    """Seconds until a time as AWS (ISO 8601) or Azure (RFC 1123) write it."""
    try:
        if "," in when:
            at = parsedate_to_datetime(when)
        else:
            at = datetime.fromisoformat(when.replace("Z", "+00:00"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return unknown_s
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, at.timestamp() - now_s), limits.EVICTION_MOST_S)
