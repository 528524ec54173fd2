"""Results of a worker as events for main: segments and failures.

Builtin data goes as one stream, which is fast. Anything else goes value by value, so that one
result which cannot be read costs only itself.
"""

from __future__ import annotations

from hanse.payloads.packing import pack
from hanse.payloads.payload import dump_builtin, dump_each, dump_one, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hanse.engines.local.printing import Ring
    from hanse.engines.local.programs import Loaded

SKIPPED = object()  # in place of a cancelled item's result, where a fold must not see it


def fields(error: BaseException, cause: str, output: str) -> dict[str, Any]:
    """A failure as plain values; main adds the rest."""
    from hanse.payloads.exceptions import fields_of

    return {"cause": cause, "output": output, **fields_of(error)}


def encode(
    program: Loaded,
    start: int,
    part: list[Any],
    busy: int,
    events: list[Any],
    files: list[Any],
    ring: Ring,
) -> None:
    """Add the events for results of the items from `start` on."""
    payload = None if program.each else dump_builtin(part)
    if payload is None:
        program.each = True
        try:
            payload = dump_each(part)
        except Exception:  # noqa: BLE001 - one of them cannot travel; find out which
            _encode_one_by_one(start, part, busy, events, files)
            return
    events.append(("s", start, start + len(part), pack(payload, files), busy))


def _encode_one_by_one(
    start: int, part: list[Any], busy: int, events: list[Any], files: list[Any]
) -> None:
    """Segments around the results that cannot be pickled."""
    good: list[Any] = []
    for at, value in enumerate(part, start):
        try:
            good.append(dump_one(value))
        except Exception as error:  # noqa: BLE001 - its own failure
            if good:
                events.append(("s", at - len(good), at, pack(join(good), files), busy))
                good, busy = [], 0
            events.append(("f", at, fields(error.__cause__ or error, "result", ""), 0))
    if good:
        end = start + len(part)
        events.append(("s", end - len(good), end, pack(join(good), files), busy))


class Folding:
    """The fold of a run's results, kept here until its run ends or an item fails.

    Folded values can be large (a table of all words), so they travel once per run, not with every
    look at the clock."""

    def __init__(self, fold: Any, start: int, ring: Ring) -> None:
        self._fold = fold
        self._ring = ring
        self._total = SKIPPED
        self._start = self._stop = start
        self._busy = 0

    def add(
        self, start: int, part: list[Any], busy: int, events: list[Any], files: list[Any]
    ) -> None:
        """Fold in the results of the items from `start` on; one that cannot be folded fails."""
        if start != self._stop:
            self.close(events, files)
            self._start = self._stop = start
        self._busy += busy
        for at, value in enumerate(part, start):
            if value is not SKIPPED:
                try:
                    self._total = (
                        value if self._total is SKIPPED else self._fold(self._total, value)
                    )
                except BaseException as error:  # noqa: BLE001 - user code
                    self.close(events, files)
                    events.append(("f", at, fields(error, "raised", self._ring.of(at)), 0))
                    self._start = at + 1
            self._stop = at + 1

    def close(self, events: list[Any], files: list[Any]) -> None:
        """Add the event for what was folded so far, and begin anew."""
        start, stop, total, busy = self._start, self._stop, self._total, self._busy
        self._start, self._total, self._busy = stop, SKIPPED, 0
        if start == stop:
            return
        try:
            payload = dump_each([]) if total is SKIPPED else dump_one(total)
        except Exception as error:  # noqa: BLE001 - the folded value cannot travel
            some = fields(error.__cause__ or error, "result", "")
            events.append(("F", start, stop, some))
            return
        events.append(("s", start, stop, pack(payload, files), busy))
