"""Why an item failed, as plain values that can cross processes, machines and versions.

The exception object itself travels as opaque bytes (`exception`): only the caller who asked for
the result opens them.
"""

from __future__ import annotations

import enum

import msgspec


class Cause(enum.StrEnum):
    """What ended an attempt."""

    RAISED = "raised"
    DIED = "died"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    INITIALIZER = "initializer"
    ARGUMENT = "argument"  # cannot be pickled here or unpickled there
    RESULT = "result"  # cannot be pickled there or unpickled here
    DEPENDENCY = "dependency"
    CANCELLED = "cancelled"


_TEXTS = ("function", "type", "message", "traceback", "output")


def plain(text: str) -> str:
    """The text with whatever UTF-8 cannot carry spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt of one item, with everything that is known about it."""

    cause: Cause
    function: str
    item: int
    attempt: int = 1
    host: str = ""
    pid: int = 0
    type: str = ""  # the exception's class, as module.Name
    message: str = ""
    traceback: str = ""
    exit_code: int | None = None
    signal: str | None = None  # such as "SIGSEGV"
    limit: str | None = None  # the limit it passed, such as "512 MiB" or "60 s"
    output: str = ""  # the last lines it wrote to stdout and stderr
    exception: bytes | None = None

    def __post_init__(self) -> None:
        # Users' texts may hold halves of surrogate pairs (file names that are no UTF-8), which no
        # message and no journal can carry.
        for name in _TEXTS:
            text = getattr(self, name)
            if text and not text.isascii():
                msgspec.structs.force_setattr(self, name, plain(text))

    def headline(self) -> str:
        """One line: which item of which function, where, on which attempt, and what happened."""
        where = f"on {self.host} (pid {self.pid})" if self.host else "here"
        return f"{self.function}, item {self.item}, attempt {self.attempt}, {where}: {self.what()}"

    def what(self) -> str:
        """What happened, in a few words."""
        match self.cause:
            case Cause.DIED if self.signal:
                return f"its worker was ended by {self.signal}"
            case Cause.DIED:
                return f"its worker ended with exit code {self.exit_code}"
            case Cause.TIMEOUT:
                return f"ran longer than timeout={self.limit}"
            case Cause.MEMORY:
                return f"used more than memory={self.limit}"
            case Cause.CANCELLED:
                return "was cancelled"
            case Cause.ARGUMENT:
                return f"its arguments cannot travel: {self.type}: {self.message}"
            case Cause.RESULT:
                return f"its result cannot travel: {self.type}: {self.message}"
            case Cause.INITIALIZER:
                return f"the initializer raised {self.type}: {self.message}"
            case Cause.DEPENDENCY:
                return f"needs a result that failed: {self.message}"
        return f"raised {self.type}: {self.message}"

    def describe(self) -> str:
        """The whole story: headline, remote traceback, last lines of output."""
        parts = [self.headline()]
        if self.traceback:
            parts.append(self.traceback.rstrip())
        if self.output:
            parts.append("its last output:\n" + self.output.rstrip())
        return "\n\n".join(parts)
