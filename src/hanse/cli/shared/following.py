"""A job of another program, watched through its record until it ends."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from hanse.cli.shared import telling
from hanse.cli.shared.output import Mode, Output
from hanse.errors import NodeUnavailable, NoSuchJob
from hanse.limits import FOLLOW_EVERY_S, QUIET_NS, SECOND
from hanse.model.progress import Progress

if TYPE_CHECKING:
    from hanse.cli.shared.side import Side
    from hanse.journal.port import Head, Holder

QUIET_S = QUIET_NS / SECOND
RATE_OVER_S = 10.0  # what went before says little about what comes


def follow(out: Output, side: Side, head: Head) -> bool:
    """Show the job's progress until nobody runs it any more; returns whether all of it is done.

    A node that cannot be reached for a while is waited for. Raises NoSuchJob if the job is removed
    meanwhile.
    """
    from hanse.client.progress import ProgressDisplay

    display = ProgressDisplay(sys.stderr) if out.mode is Mode.HUMAN else None
    past: deque[tuple[float, int]] = deque()
    told, why, since_s = None, "", time.monotonic()
    try:
        while True:
            head, holder = _patiently(out, side, head)
            snapshot = _snapshot(head, holder, past)
            document = telling.document(head, holder)
            if (counts := document | {"nowhere": ""}) != told:  # its words change with time
                out.event(document, None)
                told, since_s = counts, time.monotonic()
            if not why and time.monotonic() - since_s > QUIET_S and (why := telling.nowhere(head)):
                out.note(f"hanse: {head.id} runs nowhere: {why}")
            if display is not None:
                display.update(head.name, head.id, snapshot)
            if holder is None or head.ended_s is not None:
                if display is not None:
                    display.finish(head.id, snapshot)
                return head.state == "done"
            time.sleep(FOLLOW_EVERY_S)
    finally:
        if display is not None:
            display.close()


def _patiently(out: Output, side: Side, head: Head) -> tuple[Head, Holder | None]:
    told = False
    while True:
        try:
            found, holder = side.look(head.id)
        except NodeUnavailable as error:
            if not told:
                out.note(f"hanse: {error}; trying again until it is back")
            told = True
            time.sleep(4 * FOLLOW_EVERY_S)
            continue
        if found is None:
            raise NoSuchJob(f"job {head.id} is not there any more: somebody removed it")
        return found, holder


def _snapshot(head: Head, holder: Holder | None, past: deque[tuple[float, int]]) -> Progress:
    now, settled = time.time(), head.done + head.failed
    past.append((now, settled))
    while now - past[0][0] > RATE_OVER_S and len(past) > 2:
        past.popleft()
    span = now - past[0][0]
    rate = max(0.0, (settled - past[0][1]) / span) if span > 0 else 0.0
    left = None if head.total is None else head.total - settled
    return Progress(
        done=head.done,
        failed=head.failed,
        running=0,
        total=head.total,
        rate_per_s=rate,
        eta_s=left / rate if left is not None and rate > 0 else None,
        elapsed_s=max(0.0, (head.ended_s or now) - head.created_s),
        state=telling.state_of(head, holder),
    )
