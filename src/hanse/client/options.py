"""The options of `task`, `map` and `submit`, checked where they come in."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import msgspec

from hanse.errors import UsageError
from hanse.model.resources import Resources

OnError = Literal["raise", "collect"]


class Options(msgspec.Struct, frozen=True, dict=True):
    """How items run.

    Attributes:
        resources: what an item needs while it runs. Its memory is also its limit.
        retries: further attempts of an item that raised, timed out or passed its memory limit.
        timeout: seconds that one attempt of an item may take.
    """

    resources: Resources = msgspec.field(default_factory=Resources)
    retries: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.resources, Resources):
            raise UsageError(f"resources must be hanse.Resources(...), not {self.resources!r}")
        if not isinstance(self.retries, int) or not 0 <= self.retries <= 1_000_000:
            raise UsageError(f"retries must be a whole number from 0 up, not {self.retries!r}")
        if self.timeout is not None and not (
            isinstance(self.timeout, (int, float)) and 0 < self.timeout < 1e9
        ):
            raise UsageError(f"timeout must be seconds above 0, or None, not {self.timeout!r}")

    def but(self, **given: Any) -> Options:
        """The same with those replaced that are not None."""
        # A new one, because only that is checked by every version of msgspec.
        now: dict[str, Any] = {
            "resources": self.resources,
            "retries": self.retries,
            "timeout": self.timeout,
        }
        return Options(**now | {k: v for k, v in given.items() if v is not None})

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal options; hashable."""
        return (repr(self.resources.amount()), self.retries, self.timeout)

    @property
    def timeout_ns(self) -> int | None:
        return None if self.timeout is None else int(self.timeout * 1e9)


def check_on_error(on_error: str) -> bool:
    """Whether the first failed item ends the job."""
    if on_error not in ("raise", "collect"):
        raise UsageError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    return on_error == "raise"


PLAIN = Options()
"""The options of a plain function."""
