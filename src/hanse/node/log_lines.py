"""What others sent never writes a line of the node's log, nor moves a terminal's cursor."""

from __future__ import annotations

import logging
import traceback

_NAMES = ("hanse", "uvicorn.error")


def escaped(text: str) -> str:
    """The text with whatever cannot be printed as an escape: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def plain(record: logging.LogRecord) -> bool:
    """Make a record one line; a traceback behind it is indented."""
    record.msg, record.args = escaped(record.getMessage()), ()
    if record.exc_info and record.exc_info[0] is not None:
        lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
        record.exc_text = "\n".join(f"    {escaped(line)}" for line in lines)
    return True


def keep_plain() -> None:
    for name in _NAMES:
        logging.getLogger(name).addFilter(plain)
