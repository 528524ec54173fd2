"""A script as one item of a job: `hanse submit` sends it, and a worker of the node runs it.

It gets a process of its own, as `python SCRIPT` would give it: `__main__`, exit handlers and exit
code are its own, and what it prints is the item's output. It is in the worker's process group, so
it ends with the worker, however that ends.
"""

from __future__ import annotations

import codecs
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TextIO

from hanse.remote.finding import HERE

_PIECE = 1 << 16


class ScriptFailed(Exception):
    """A script that `hanse submit` sent ended with another exit code than 0."""


def run_script(name: str, source: bytes, args: Sequence[str]) -> int:
    """Run a script in an empty directory, which goes with it; returns its exit code, 0.

    `hanse.connect()` in it opens a client on this machine: the node that runs the script is not
    asked for more, so a script cannot wait for cores that it holds itself.

    Raises ScriptFailed.
    """
    with tempfile.TemporaryDirectory(prefix="hanse-script-") as directory:
        path = Path(directory, name)
        path.write_bytes(source)
        env = {**os.environ, "HANSE_URL": HERE, "PYTHONUNBUFFERED": "1"}
        env.pop("HANSE_TOKEN", None)
        with subprocess.Popen(
            [sys.executable, str(path), *args], cwd=directory, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            _pass_on({process.stdout: sys.stdout, process.stderr: sys.stderr})
            code = process.wait()
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ScriptFailed(f"{name} {how}")
    return code


def _pass_on(streams: dict[IO[bytes], TextIO]) -> None:
    """Print here what comes there, until all of it is closed. In this thread, which is the item's:
    so the output is the item's too."""
    lines = {each: _Lines(target) for each, target in streams.items()}
    with selectors.DefaultSelector() as selector:
        for each in streams:
            selector.register(each, selectors.EVENT_READ, lines[each])
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, _PIECE)
                key.data.take(data)
                if not data:
                    selector.unregister(key.fileobj)


class _Lines:
    """Writes lines as a whole: `print` of several values comes in pieces."""

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""  # of a line

    def take(self, data: bytes) -> None:
        """Nothing more comes after an empty piece."""
        text = self._begun + self._decoder.decode(data, final=not data)
        whole = text.rfind("\n") + 1
        if not data or len(text) - whole > _PIECE:
            whole = len(text)
        self._begun = text[whole:]
        if whole:
            self._target.write(text[:whole])
            self._target.flush()
