"""The worker's side of checkpoints: values go to main as events of the run, beside its results."""

from __future__ import annotations

import time

from hanse import limits
from hanse.errors import UsageError
from hanse.payloads.streams import Encoder, gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hanse.engines.local.running import Runner
    from hanse.payloads.payload import Payload

_now = time.monotonic_ns


class Saver:
    """
    Attributes:
        took_ns: what the last save of the job took, as far as its item waited for it.
        loss_ns: mean time between losses of such a machine.
        wanted: the lease was told to end behind the item that runs, and it has not saved since.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._saved: dict[int, Payload] = {}
        self._last = -1  # the item that saved last
        self._encoder = Encoder()
        self._job = ""
        self.took_ns = limits.CHECKPOINT_FIRST_NS
        self.loss_ns = limits.CHECKPOINT_LOSS_NS
        self.wanted = False

    def begin(self, job: str, saved: dict[int, Payload], loss_ns: int) -> None:
        """A run begins; `saved` are what earlier attempts of its items kept."""
        if job != self._job:
            self._job, self.took_ns = job, limits.CHECKPOINT_FIRST_NS
        self._saved, self._last = saved, -1
        self.loss_ns = loss_ns or limits.CHECKPOINT_LOSS_NS
        self.wanted = False

    def end(self) -> None:
        """The run is over."""
        self._saved = {}

    def load(self, item: int, default: Any) -> Any:
        found = self._saved.get(item)
        if found is None:
            return default
        from hanse.payloads.payload import load_one

        return load_one(found)

    def save(self, item: int, state: Any) -> None:
        """Raises UsageError, and what pickling raises."""
        began = _now()
        encoded, size = self._encoder.encode(state)
        self._encoder.renew()
        if size > limits.CHECKPOINT_BYTES:
            most = limits.CHECKPOINT_BYTES
            raise UsageError(f"a checkpoint has at most {most:,} bytes, and this has {size:,}")
        if self._last != item:  # that one has ended
            self._saved.pop(self._last, None)
            self._last = item
        payload = self._saved[item] = gathered([encoded])
        self.wanted = False
        self._runner.save(item, payload)
        self.took_ns = _now() - began
