"""How the command ends: every exit code, drawn here once, and what each error comes to.

Scripts may rely on these. A program under `hanse run` has exit codes of its own, and keeps them.
"""

from __future__ import annotations

from typing import Final

from hanse.errors import HanseError, NoSuchJob, UsageError, WorldError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2  # also click's own, and Python's for a program that is not there
NO_SUCH_JOB: Final = 3
WORLD: Final = 4
INTERRUPTED: Final = 128 + 2  # what a shell reports of a program that Ctrl-C ended
BROKEN_PIPE: Final = 128 + 13  # and of one whose reader went away, as in `| head`

MEANINGS: Final = {
    OK: "all is well",
    FAILED: "the job or the program failed; doctor: something must be mended",
    USAGE: "wrong usage; the message says what to change",
    NO_SUCH_JOB: "there is no such job",
    WORLD: "the world failed: journal unreadable, disk full, no permission",
    INTERRUPTED: "Ctrl-C",
    BROKEN_PIPE: "the reader of our output went away",
}


def code_of(error: BaseException) -> int:
    """The exit code that an error comes to."""
    match error:
        case NoSuchJob():
            return NO_SUCH_JOB
        case UsageError():
            return USAGE
        case WorldError():
            return WORLD
        case HanseError():
            return FAILED
        case KeyboardInterrupt():
            return INTERRUPTED
        case BrokenPipeError():
            return BROKEN_PIPE
        case OSError():
            return WORLD
    return FAILED
