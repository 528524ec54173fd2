"""The error for a result that arrived but cannot be rebuilt in this process."""

from __future__ import annotations

from hanse.errors import ResultError
from hanse.model.failure import Cause, Failure


def unreadable(item: int, error: BaseException, function: str = "the call") -> ResultError:
    """A `ResultError` that says which item's result it was and why it cannot be read."""
    failure = Failure(
        cause=Cause.RESULT,
        function=function,
        item=item,
        type=type(error).__name__,
        message=f"cannot be unpickled here: {error}",
    )
    result = ResultError(failure)
    result.__cause__ = error
    return result
