"""What others sent never writes a line of the node's log, nor moves a terminal's cursor; and what
may be a secret that somebody put where none belongs is not repeated, here or in an answer. That
streams break off when the node ends is not worth a line."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback

# A secret is 64 hex digits, as digests are: enough of these is left to tell them apart.
_SECRET = re.compile(r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52,}|(hanse_)[\w-]{8,}", re.IGNORECASE)
_NAMES = ("hanse", "uvicorn.error")
_BREAKS_OFF = "Cancel %s running task(s)"  # uvicorn's, followed by a traceback for each


def escaped(text: str) -> str:
    """The text with whatever cannot be printed as an escape: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def without_secrets(text: str) -> str:
    return _SECRET.sub(lambda found: f"{found[1] or found[2]}...", text)


def plain(record: logging.LogRecord) -> bool:
    """Make a record one line; a traceback behind it is indented. Returns whether it is to be
    written."""
    cancelled = record.exc_info and record.exc_info[0] is asyncio.CancelledError
    if cancelled or str(record.msg).startswith(_BREAKS_OFF):
        return False
    record.msg, record.args = escaped(without_secrets(record.getMessage())), ()
    if record.exc_info and record.exc_info[0] is not None:
        lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
        record.exc_text = "\n".join(f"    {escaped(without_secrets(line))}" for line in lines)
    return True


def keep_plain() -> None:
    for name in _NAMES:
        logging.getLogger(name).addFilter(plain)
