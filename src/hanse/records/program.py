"""What a named job calls, with what options, and who asked for it: its first entry's payload.

Enough to run any of its items again without the program that made it: the function (by value or by
name), where it imports from, and what it was like, so that a changed one is noticed.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hanse.decoding import from_msgpack
from hanse.errors import JournalDamaged
from hanse.ids import JobId
from hanse.journal.port import Head, Holder
from hanse.model.environment import Environment
from hanse.model.failure import plain
from hanse.payloads.payload import Payload
from hanse.records.payloads import Packed, Put, pack

HIDDEN: Final = "HIDDEN"
# What is no secret most of the time: --passes, --max-tokens, --tokenizer, --author, --keyword.
_SECRET = re.compile(
    r"pass(?!es\b)|pwd|secret|token(?!s\b|iz)|credential|auth(?!ors?\b)|key(?![a-z])", re.IGNORECASE
)
_THIS_PROCESS = os.urandom(8).hex()
_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]+@")


class ProgramRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job's program, as plain values.

    Attributes:
        function: the header of its pickle (see `payloads`), which names its blobs.
        manifest: what the function is made of (see `client.fingerprint`), as msgpack.
        star: an item is a tuple of positional arguments.
        argv, cwd, sys_path: of the program that made the job; secrets in argv are hidden.
        fresh: the `hanse run --fresh` under which it was made, if it was (see `fresh_run`).
        calls: an item says itself what it calls; there is no function then.
        initializer: the header of the pickle of what each worker calls first, with its arguments.
        code: the name of the project's code (see `wire.code`); empty if its modules are where
            they were, as on the machine of the program itself.
        environment: the packages that its items need; None: those of whoever runs them.
        calls_home: its items may ask the node whose job it is for more, by tokens of their leases.
        trace: the span of the program below which the job hangs (see `model.trace`); or empty.
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
    fresh: str = ""
    calls: bool = False
    initializer: bytes = b""
    max_items_per_worker: int | None = None
    code: str = ""
    environment: Environment | None = None
    calls_home: bool = False
    trace: str = ""

    @property
    def command(self) -> str:
        """What to type to run the program again."""
        return shlex.join(["hanse", "run", *self.argv]) if self.argv[0] else "the same program"


def encode(program: ProgramRecord) -> bytes:
    return msgspec.msgpack.encode(program)


def decode(data: bytes, job: JobId) -> ProgramRecord:
    """Raises JournalDamaged."""
    try:
        return from_msgpack(data, ProgramRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"the program of job {job} cannot be read: {error}") from error


def pack_program(
    program: ProgramRecord, function: Payload | None, initializer: Payload | None, put: Put
) -> Packed:
    """The program as an entry's payload. Its blobs are put by whoever writes that entry."""
    parts = {"function": function, "initializer": initializer}
    packed = {name: pack(part, put) for name, part in parts.items() if part is not None}
    headers = {name: part.header for name, part in packed.items()}
    whole = pack(Payload(1, encode(msgspec.structs.replace(program, **headers))), put)
    return msgspec.structs.replace(
        whole,
        blobs=whole.blobs + [blob for part in packed.values() for blob in part.blobs],
        nbytes=whole.nbytes + sum(part.nbytes for part in packed.values()),
    )


def here() -> dict[str, Any]:
    """What a record says about this process."""
    from hanse import __version__

    return {
        "argv": [plain(word) for word in without_secrets(sys.argv or [""])],
        "cwd": plain(os.getcwd()),
        "sys_path": [plain(os.path.abspath(path)) for path in sys.path],
        "python": platform.python_version(),
        "hanse": __version__,
        "fresh": fresh_run(),
    }


def fresh_run() -> str:
    """Which `hanse run --fresh` this process belongs to: the program itself, its workers, and the
    programs that they start have the same; empty for none. Whoever sets HANSE_FRESH=1 by hand
    means each process by itself."""
    told = os.environ.get("HANSE_FRESH", "")
    return {"": "", "0": "", "1": _THIS_PROCESS}.get(told, told)


def without_secrets(argv: Sequence[str]) -> list[str]:
    """A command line that may be kept and shown: values of options whose names look like those of
    secrets (`--token=v`, `--token v`, `token=v`) and passwords in URLs are replaced."""
    kept, secret = list(argv[:1]), False
    for word in argv[1:]:
        name, equals, _ = word.partition("=")
        if secret and not word.startswith("-"):
            kept.append(HIDDEN)
        elif equals and _SECRET.search(name):
            kept.append(f"{name}={HIDDEN}")
        else:
            kept.append(_PASSWORD.sub(rf"\1:{HIDDEN}@", word))
        secret = word.startswith("-") and not equals and _SECRET.search(word) is not None
    return kept


def new_head(id: JobId, name: str, function: str, total: int | None) -> Head:
    """The head of a job that this process makes."""
    now = time.time()
    return Head(
        id=id, name=name, function=function, script=plain((sys.argv or [""])[0]), user=_user(),
        host=socket.gethostname(), created_s=now, updated_s=now, total=total,
    )  # fmt: skip


def this_process() -> Holder:
    """Who holds a job that this process takes."""
    return Holder(socket.gethostname(), os.getpid(), time.time())


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        return str(os.getuid())
