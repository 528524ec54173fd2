"""The program's own code on its way to a node: asked for, and only what is missing is sent."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from hanse.errors import UsageError
from hanse.payloads.payload import Payload
from hanse.remote.dial import Dial
from hanse.wire import api
from hanse.wire.code import code_digest

_KEPT = 8  # codes that may still be asked for: what changes while jobs are being made


class Project(NamedTuple):
    """The modules of a program: hashes by the names of their files, and the files by hash."""

    files: Mapping[str, str]
    content: Mapping[str, bytes]


class Code:
    """
    Args:
        gather: looks which modules the program has. Raises UsageError if they are too many.
    """

    def __init__(self, dial: Dial, gather: Callable[[], Project]) -> None:
        self._dial = dial
        self._gather = gather
        self._lock = threading.Lock()
        self._latest: tuple[int, str] | None = None  # modules loaded when it was looked, and what
        self._projects: dict[str, Project] = {}
        self._given: set[str] = set()  # codes that the node has

    def name(self, look: bool) -> str:
        """What the code is called as it is now; empty if there is none. Without `look`, as it was
        when the last module was imported. Raises UsageError."""
        loaded = len(sys.modules)
        latest = self._latest
        if not look and latest is not None and latest[0] == loaded:
            return latest[1]
        with self._lock:
            project = self._gather()
            found = code_digest(project.files) if project.files else ""
            self._projects.pop(found, None)
            self._projects[found] = project  # as the newest
            for old in list(self._projects)[:-_KEPT]:
                del self._projects[old]
            self._latest = loaded, found
        return found

    def give(self, name: str, again: bool = False) -> None:
        """See to it that the node has this code, before a job names it. `again`: it says that it
        has not. Raises NodeError, UsageError."""
        if not name or (name in self._given and not again):
            return
        project = self._projects.get(name)
        if project is None:
            raise UsageError("the program's code has changed too often to be sent: try again")
        files = dict(project.files)
        kept = self._dial.ask("POST", "/v1/code", api.CodeKept, api.Code(files=files))
        if kept.missing:
            about = api.CodeFiles(files=files, given=kept.missing)
            self._dial.ask("PUT", "/v1/code", api.CodeKept, about, [_sent(project, kept.missing)])
        self._given.add(name)


def _sent(project: Project, missing: list[str]) -> Payload:
    try:
        return packed([project.content[each] for each in missing])
    except KeyError as error:
        raise UsageError("the node asks for files that the program does not have") from error


def packed(parts: Sequence[bytes]) -> Payload:
    """Files as one payload, with a stream for each."""
    return Payload(len(parts), b"".join(parts), tuple(accumulate(map(len, parts))))


def contents(given: Sequence[str], payloads: Sequence[Payload]) -> dict[str, bytes | memoryview]:
    """The files that were sent so, by the hash that they are said to have. Raises UsageError."""
    if len(payloads) != 1 or payloads[0].bulk is not None:
        raise UsageError("files are one payload, with a stream for each")
    sent = payloads[0]
    if sent.ends is None or sent.count != len(given):
        raise UsageError(f"{sent.count} files were sent, and {len(given)} hashes")
    data, starts = memoryview(sent.data), (0, *sent.ends)
    return {
        digest: data[start:end]
        for digest, start, end in zip(given, starts, sent.ends, strict=False)
    }
