"""What stands in the place of an argument that could not be pickled.

Its item has failed already. Should it ever be run (a later run of a recorded job), it fails again,
for the same reason.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Unsent:
    def __init__(self, why: str) -> None:
        self._why = why

    def __reduce__(self) -> Any:
        return refuse, (self._why,)


def refuse(why: str) -> None:
    """Called by unpickling only."""
    from hanse.errors import PickleError

    raise PickleError(why)
