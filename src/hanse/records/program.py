"""What a named job calls, with what options, and who asked for it: its first entry's payload.

Enough to run any of its items again without the program that made it: the function (by value or by
name), where it imports from, and what it was like, so that a changed one is noticed.
"""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import socket
import sys
import time
from typing import Any

import msgspec

from hanse.errors import JournalDamaged
from hanse.ids import JobId
from hanse.journal.port import Head
from hanse.model.failure import plain


class ProgramRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job's program, as plain values.

    Attributes:
        function: the header of its pickle (see `payloads`), which names its blobs.
        manifest: what the function is made of (see `client.fingerprint`), as msgpack.
        star: an item is a tuple of positional arguments.
        argv, cwd, sys_path: of the program that made the job.
    """

    name: str
    function: bytes
    manifest: bytes
    star: bool
    retries: int
    timeout_s: float | None
    raising: bool
    argv: list[str]
    cwd: str
    sys_path: list[str]
    python: str
    hanse: str

    @property
    def command(self) -> str:
        """What to type to run the program again."""
        return shlex.join(["hanse", "run", *self.argv]) if self.argv[0] else "the same program"


def encode(program: ProgramRecord) -> bytes:
    return msgspec.msgpack.encode(program)


def decode(data: bytes, job: JobId) -> ProgramRecord:
    """Raises JournalDamaged."""
    try:
        return msgspec.msgpack.decode(data, type=ProgramRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"the program of job {job} cannot be read: {error}") from error


def here() -> dict[str, Any]:
    """What a record says about this process."""
    from hanse import __version__

    return {
        "argv": [plain(word) for word in sys.argv] or [""],
        "cwd": plain(os.getcwd()),
        "sys_path": [plain(os.path.abspath(path)) for path in sys.path],
        "python": platform.python_version(),
        "hanse": __version__,
    }


def new_head(id: JobId, name: str, function: str, total: int | None) -> Head:
    """The head of a job that this process makes."""
    now = time.time()
    return Head(
        id=id, name=name, function=function, script=plain((sys.argv or [""])[0]), user=_user(),
        host=socket.gethostname(), created_s=now, updated_s=now, total=total,
    )  # fmt: skip


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        return str(os.getuid())
