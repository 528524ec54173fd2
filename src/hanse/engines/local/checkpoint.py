"""What a long item has done so far, kept for a later attempt: `hanse.checkpoint()`."""

from __future__ import annotations

import time

from hanse import limits
from hanse.core.place.daly import interval_ns
from hanse.engines.local import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_now = time.monotonic_ns


class Checkpoint:
    """A durable place of the item that runs; see `hanse.checkpoint`. For the item's own thread."""

    def __init__(self, saver: current.Saver, item: int) -> None:
        self._saver = saver
        self._item = item
        self._since_ns = _now()

    def load(self, default: Any = None) -> Any:
        """What was saved last by this attempt or an earlier one, wherever that ran; `default` if
        nothing was, or if it was lost."""
        return self._saver.load(self._item, default)

    def save(self, state: Any) -> None:
        """Keep this in place of what was saved before. It is pickled before this returns, and on
        its way: the newest may be lost with the machine, one that is kept is whole.

        Raises what pickling raises, and UsageError if it is too large.
        """
        self._saver.save(self._item, state)
        self._since_ns = _now()

    def due(self) -> bool:
        """Whether it is time to save: so often that saving and running again what was lost cost the
        least together (Daly 2006); and once more when somebody else waits for this place, or it is
        about to be taken away."""
        saver = self._saver
        if saver.wanted:
            return True
        interval = interval_ns(saver.took_ns, saver.loss_ns)
        return _now() - self._since_ns >= max(interval, limits.CHECKPOINT_LEAST_NS)


class _Loose:
    """Of a function that is called outside of a job: nothing survives it."""

    took_ns = limits.CHECKPOINT_FIRST_NS
    loss_ns = limits.CHECKPOINT_LOSS_NS
    wanted = False

    def __init__(self) -> None:
        self._states: dict[int, Any] = {}

    def load(self, item: int, default: Any) -> Any:
        return self._states.get(item, default)

    def save(self, item: int, state: Any) -> None:
        self._states[item] = state


def checkpoint() -> Checkpoint:
    """The place where the item that runs may keep what it has done:

        ckpt = hanse.checkpoint()
        state = ckpt.load(default)
        while not state.done:
            state = step(state)
            if ckpt.due():
                ckpt.save(state)

    A later attempt of the same item starts from it, on any machine: after its worker died, raised,
    or was killed with its machine. It is dropped when the item is done. Outside of a job it
    remembers nothing beyond itself.
    """
    item, saver = current.current_item(), current.saver()
    if item is None or saver is None:
        return Checkpoint(_Loose(), 0)
    return Checkpoint(saver, item.index)
