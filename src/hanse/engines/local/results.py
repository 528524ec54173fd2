"""Results of a worker as events for main: failures and folds."""

from __future__ import annotations

from hanse.payloads.flat import is_flat_one
from hanse.payloads.packing import pack
from hanse.payloads.payload import dump_each, dump_one, load_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hanse.engines.local.metering import Meter
    from hanse.engines.local.printing import Ring

NOTHING_USED: tuple[dict[int, int], int, int] = ({}, 0, 0)  # it is told with other events
SKIPPED = object()  # in place of a cancelled item's result, where a fold must not see it


def fields(error: BaseException, cause: str, output: str) -> dict[str, Any]:
    """A failure as plain values; main adds the rest."""
    from hanse.payloads.exceptions import fields_of

    return {"cause": cause, "output": output, **fields_of(error)}


class Unsendable(Exception):
    """A result that cannot travel; it costs only its own item."""

    def __init__(self, error: BaseException) -> None:
        self.error = error.__cause__ or error


class Folding:
    """The fold of a run's results, kept here until its run ends or an item fails.

    Folded values can be large (a table of all words), so they travel once per run, not with every
    look at the clock."""

    def __init__(self, fold: Any, start: int, ring: Ring, meter: Meter) -> None:
        self._fold = fold
        self._ring = ring
        self._meter = meter
        self._total = SKIPPED
        self._start = self._stop = start
        self.busy = 0

    def add(self, start: int, part: list[Any], events: list[Any], files: list[Any]) -> None:
        """Fold in the results of the items from `start` on; one that cannot be folded fails."""
        for at, value in enumerate(part, start):
            try:
                self.take(at, value)
            except BaseException as error:  # noqa: BLE001 - user code
                self.close(events, files)
                some = fields(error, "raised", self._ring.of(at))
                events.append(("f", at, some, 0, NOTHING_USED))
                self._start = self._stop = at + 1

    def take(self, at: int, value: Any) -> None:
        """Fold in one result. Raises what the fold raises."""
        if at != self._stop:  # items between failed, and the fold was closed then
            self._start = self._stop = at
        if value is not SKIPPED:
            total = value if self._total is SKIPPED else self._fold(self._total, value)
            self._total = _own(value) if total is value else total
        self._stop = at + 1

    def close(self, events: list[Any], files: list[Any]) -> None:
        """Add the event for what was folded so far, and begin anew."""
        start, stop, total, busy = self._start, self._stop, self._total, self.busy
        self._start, self._total, self.busy = stop, SKIPPED, 0
        if start == stop:
            return
        try:
            payload = dump_each([]) if total is SKIPPED else dump_one(total)
        except BaseException as error:  # noqa: BLE001 - the folded value cannot travel
            some = fields(error.__cause__ or error, "result", "")
            events.append(("F", start, stop, some))
            return
        events.append(("s", start, stop, pack(payload, files), busy, self._meter.take()))


def _own(value: Any) -> Any:
    """A result as it is now: its function may keep the object and change it in the next item."""
    if is_flat_one(value):
        return value
    try:
        return load_one(dump_one(value))
    except BaseException:  # noqa: BLE001 - it is told if this is still the total at the end
        return value
