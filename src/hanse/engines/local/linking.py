"""Results that items of a run need of items before them in the same run.

A lease may hold an item together with what it waits for (see `core.job.Job.take`). What was made
here is kept, as it was pickled, until the last item that needs it has run. An item that needs what
is not here (the item before it failed, or ran in a worker that died) is given back as it is.
"""

from __future__ import annotations

from hanse.payloads.payload import load_one
from hanse.payloads.pickling import loads
from hanse.payloads.streams import gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hanse.payloads.streams import Encoded


class Missing(Exception):
    """An argument is the result of an item before it, and there is none here."""


class OwnResults:
    """Of one run. `links` names the items whose results are needed, and the last that needs it."""

    def __init__(self, job: str, links: dict[int, int]) -> None:
        self._job = job
        self._links = links
        self._kept: dict[int, Encoded] = {}
        self._last: dict[int, list[int]] = {}  # item: whose results nobody needs after it
        for item, last in links.items():
            self._last.setdefault(last, []).append(item)

    def keep(self, item: int, encoded: Encoded) -> None:
        """The item has run."""
        if item in self._links:
            self._kept[item] = encoded
        for over in self._last.pop(item, ()):
            self._kept.pop(over, None)

    def find(self, job: str, item: int) -> Any:
        """The result of an item, a copy for whoever asks. Raises Missing."""
        encoded = self._kept.get(item) if job == self._job else None
        if encoded is None:
            raise Missing(f"item {item} of {job} has no result here")
        if type(encoded) is bytes:
            return loads(encoded)
        return load_one(gathered([encoded]))
