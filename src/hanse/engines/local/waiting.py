"""Results of a run as they wait to be sent, and the events made of them.

Whoever calls holds the runner's lock, because two threads send.
"""

from __future__ import annotations

import time

from hanse.engines.local import results
from hanse.engines.local.metering import Meter
from hanse.payloads.flat import dump_known_flat
from hanse.payloads.packing import pack
from hanse.payloads.streams import Encoder, gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hanse.engines.local.printing import Ring
    from hanse.engines.local.programs import Loaded
    from hanse.payloads.payload import Payload

_now = time.monotonic_ns


class Waiting:
    """Results from item `base` on: as they are while all are flat, else each pickled by itself."""

    program: Loaded
    ring: Ring

    def __init__(self, send: Callable[[Any, list[Any]], None]) -> None:
        self._send = send
        self.out: list[Any] = []
        self.base = 0  # the item of the first result in `out`
        self.sent = 0  # how many of them are sent already
        self.mark = 0  # when results were last sent
        self.meter = Meter()
        self._counted = 0  # until when the time in items is told
        self._bytes = 0  # estimate of what waits
        self._encoder = Encoder()
        self._events: list[Any] = []
        self._files: list[Any] = []
        self._failed_bytes = 0  # of exceptions that wait
        self._folding: results.Folding | None = None

    def _close_segment(self) -> None:
        self._settle()
        if self._folding is not None:
            self._folding.busy += self._spent()
            self._folding.close(self._events, self._files)

    def _settle(self) -> None:
        """Make events of the results that wait, or fold them in."""
        waiting = self.out[self.sent :] if self.sent else self.out
        self._encode(self.base + self.sent, waiting)
        self.base += len(self.out)
        self.out.clear()
        self.sent = self._bytes = 0

    def _encode(self, start: int, part: list[Any]) -> None:
        if not part:
            return
        if self.program.fold is not None:
            self._fold_of(start).add(start, part, self._events, self._files)
            return
        payload = dump_known_flat(part) if self.program.flat else gathered(part)
        self._encoder.renew()
        stop = start + len(part)
        self._events.append(
            ("s", start, stop, pack(payload, self._files), self._spent(), self.meter.take())
        )

    def _fold_of(self, start: int) -> results.Folding:
        if self._folding is None:
            self._folding = results.Folding(self.program.fold, start, self.ring, self.meter)
        return self._folding

    def _spent(self) -> int:
        """The time since it was last asked for."""
        before, self._counted = self._counted, _now()
        return max(0, self._counted - before)

    def _keep_saved(self, item: int, payload: Payload) -> None:
        """What an item keeps for a later attempt goes out beside results."""
        self._events.append(("k", item, pack(payload, self._files)))

    def _deliver(self, run: int) -> None:
        events, files = self._events, self._files
        self._events, self._files, self.mark = [], [], _now()
        self._failed_bytes = 0
        self._send((run, events), files)
