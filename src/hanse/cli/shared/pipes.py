"""Our own stdout, when the reader at its other end goes away, as in `hanse jobs | head -1`."""

from __future__ import annotations

import contextlib
import os
import select
import sys


def flush_stdout() -> None:
    """Now, where a reader that went away is no drama; Python's own flush at exit makes it one."""
    with contextlib.suppress(AttributeError, ValueError):  # it was closed or removed
        sys.stdout.flush()


def reader_is_gone() -> bool:
    """Whether stdout is the pipe that broke: a socket of a program's is its own business."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll here, or no descriptor
        return False


def silence_stdout() -> None:
    """Let what is still in buffers go nowhere, else Python complains while it exits."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        target = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, target)
        os.close(nowhere)
