"""Who did what on a node: a line of JSON for every request that changes something, and for every
one that was refused.

    {"time": 1790000000.0, "token": "t-1a2b3c4d", "name": "ann", "role": "submit",
     "method": "POST", "path": "/v1/jobs/j-0123456789ab/cancel", "status": 200}

Nothing that a client could have put into a request as a secret gets in: of its path only what has
the form of an id is kept, and no query, header or body. What comes over and over, such as the
inputs of one job or the refusals of somebody who guesses, is one line a minute that says how many
`times`, so that nobody can push out what was written before. A disk that is full costs lines and is
said once; no request waits for it or fails with it.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hanse import limits
from hanse.node.tokens import Token

_logger = logging.getLogger("hanse")
_ID = re.compile("j-[0-9a-f]{12}|[0-9]{1,15}")


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    time: float
    token: str | None  # its id; None: nobody whom the node knows
    name: str | None
    role: str | None
    method: str
    path: str
    status: int
    times: int = 1  # since the line before that says the same


class _Again(msgspec.Struct):
    """A line that comes over and over."""

    line: Line
    until_s: float  # when it may be written again
    times: int = 0  # that it came since it was written


_encode = msgspec.json.Encoder().encode


class Audit:
    """
    Args:
        path: the file; when it has `most` bytes it becomes path.1, and a new one is begun.
    """

    def __init__(
        self, path: Path, most: int = limits.AUDIT_BYTES, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._most = most
        self._now = now
        self._fd = -1
        self._size = 0
        self._told = False
        self._again: dict[tuple[object, ...], _Again] = {}
        self._lock = threading.Lock()

    def say(
        self, token: Token | None, method: str, route: str, parts: Mapping[str, Any], status: int
    ) -> None:
        """A request of this token was answered with this status. `parts` are those of the route,
        as the client gave them. Raises nothing."""
        line = Line(
            self._now(), None if token is None else token.id, None if token is None else token.name,
            None if token is None else str(token.role), method, _path(route, parts), status,
        )  # fmt: skip
        with self._lock:
            if status >= 400 or method == "PUT":
                self._seldom(line, route if token is None else line.path)
            else:
                self._write(line)

    def close(self) -> None:
        with self._lock:
            for again in self._again.values():
                self._flush(again)
            self._again.clear()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _seldom(self, line: Line, path: str) -> None:
        """Write what comes over and over once a minute."""
        key = (line.token, line.method, path, line.status)
        known = self._again.get(key)
        if known is not None and line.time < known.until_s:
            known.times += 1
            known.line = line
            return
        if known is not None:
            line = msgspec.structs.replace(line, times=known.times + 1)
            del self._again[key]
        self._again[key] = _Again(line, line.time + limits.AUDIT_EVERY_S)
        if len(self._again) > limits.AUDIT_KEYS:
            self._flush(self._again.pop(next(iter(self._again))))
        self._write(line)

    def _flush(self, again: _Again) -> None:
        if again.times:
            self._write(msgspec.structs.replace(again.line, times=again.times))

    def _write(self, line: Line) -> None:
        data = _encode(line) + b"\n"
        try:
            if self._fd >= 0 and self._size + len(data) > self._most:
                os.close(self._fd)
                self._fd = -1
                os.replace(self._path, self._path.with_name(self._path.name + ".1"))
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self._path, flags, 0o600)
                os.fchmod(self._fd, 0o600)
                self._size = os.fstat(self._fd).st_size
            self._size += os.write(self._fd, data)
        except OSError as error:
            if not self._told:
                self._told = True
                _logger.error("hanse: who does what cannot be kept in %s: %s", self._path, error)


def _path(route: str, parts: Mapping[str, Any]) -> str:
    """The route with its ids; of anything else a star."""
    for name, told in parts.items():
        text = str(told)
        route = route.replace(f"{{{name}}}", text if _ID.fullmatch(text) else "*")
    return route
