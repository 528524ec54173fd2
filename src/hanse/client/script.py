"""A script or a command line as one item of a job: `hanse submit` and `hanse map` send them.

It gets a process of its own, as `python SCRIPT` would give it: `__main__`, exit handlers and exit
code are its own, and what it prints is the item's output. It is in the worker's process group, so
it ends with the worker, however that ends.

`hanse.connect()` in it gives a client of the node whose job it is, if that lets it ask for more.
The token for that is a variable of the script's process alone, which no other user of the machine
can read, and ends with the item. Otherwise, as in `hanse map`, it gives one of this machine.
"""

from __future__ import annotations

import codecs
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, TextIO

from hanse import limits
from hanse.engines.local.current import home_token
from hanse.remote.finding import HERE, OUT_OF_REACH

_PIECE = 1 << 16


class CommandFailed(Exception):
    """A script or a command line ended with another exit code than 0; below 0, by that signal."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(command, code)
        self.command = command
        self.code = code

    def __str__(self) -> str:
        return f"{_short(self.command)} {_how(self.code)}"


def run_script(name: str, source: bytes, args: Sequence[str]) -> int:
    """Run a script in an empty directory, which goes with it; returns its exit code, 0.

    Raises CommandFailed.
    """
    with tempfile.TemporaryDirectory(prefix="hanse-script-") as directory:
        path = Path(directory, name)
        path.write_bytes(source)
        code = _run([sys.executable, str(path), *args], directory, {"PYTHONUNBUFFERED": "1"})
    if code:
        raise CommandFailed(name, code)
    return code


def run_command(command: str, directory: str, variables: Mapping[str, str], keep: bool) -> bytes:
    """Run a command line in a directory of this machine, as a shell would.

    What it prints is the item's output. With `keep`, what it writes to stdout is returned instead.

    Raises CommandFailed, NotADirectoryError, and ValueError if there is too much to keep.
    """
    if not os.path.isdir(directory):
        raise NotADirectoryError(
            f"there is no directory {directory} on {os.uname().nodename}: --cwd names another"
        )
    kept = _Kept() if keep else None
    code = _run(["/bin/sh", "-c", command], directory, variables, kept)
    if code:
        raise CommandFailed(command, code)
    return b"" if kept is None else kept.whole()


def _run(
    argv: Sequence[str], directory: str, variables: Mapping[str, str], out: _Sink | None = None
) -> int:
    env = {**os.environ, **variables}
    env.pop("HANSE_TOKEN", None)
    env.pop("HANSE_URL", None)
    with subprocess.Popen(
        argv, cwd=directory, env=env | _home(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        _pass_on({process.stdout: out or _Lines(sys.stdout), process.stderr: _Lines(sys.stderr)})
        return process.wait()


def _home() -> dict[str, str]:
    """What says to `hanse.connect()` where to work."""
    token = home_token()
    if not token or token == OUT_OF_REACH:
        return {"HANSE_URL": token or HERE}
    return {"HANSE_TOKEN": token}


def _how(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _short(command: str) -> str:
    return command if len(command) <= 200 else command[:199] + "…"


class _Sink(Protocol):
    def take(self, data: bytes) -> None:
        """A piece of output. Nothing more comes after an empty one."""


def _pass_on(streams: Mapping[IO[bytes], _Sink]) -> None:
    """Give on what comes, until all of it is closed. In this thread, which is the item's: so what
    is printed is the item's output too."""
    with selectors.DefaultSelector() as selector:
        for each, sink in streams.items():
            selector.register(each, selectors.EVENT_READ, sink)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, _PIECE)
                key.data.take(data)
                if not data:
                    selector.unregister(key.fileobj)


class _Kept:
    """Keeps all that comes, unless it is too much."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= limits.COMMAND_OUTPUT_BYTES:
            self._pieces.append(data)

    def whole(self) -> bytes:
        if self._size > limits.COMMAND_OUTPUT_BYTES:
            raise ValueError(
                f"the command wrote {self._size:,} bytes to stdout, and at most "
                f"{limits.COMMAND_OUTPUT_BYTES:,} are kept: let it write a file"
            )
        return b"".join(self._pieces)


class _Lines:
    """Writes lines as a whole: `print` of several values comes in pieces."""

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""  # of a line

    def take(self, data: bytes) -> None:
        text = self._begun + self._decoder.decode(data, final=not data)
        whole = text.rfind("\n") + 1
        if not data or len(text) - whole > _PIECE:
            whole = len(text)
        self._begun = text[whole:]
        if whole:
            self._target.write(text[:whole])
            self._target.flush()
