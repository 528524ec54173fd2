"""uv, an external program that makes environments: found, run, and never left behind.

It runs below a keeper, a process of its own group that watches a pipe from us: when we close it, or
when we are killed, it kills the group, and so uv with all that uv has started.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from hanse.errors import EngineError
from hanse.limits import ENVIRONMENT_BUILD_S, ENVIRONMENT_LINES

_KEEPER = """
import os, subprocess, sys, threading
def watch():
    os.read(0, 1)
    os.killpg(0, 9)
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, close_fds=False)
threading.Thread(target=watch, daemon=True).start()
os._exit(child.wait() & 0xff)
"""
_LINE_CHARS = 500
_QUIET = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}


def find_uv() -> str:
    """The program. Raises EngineError if there is none."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        pass
    found = shutil.which("uv")
    if found is None:
        raise EngineError(
            "uv is not installed there, and builds environments: pip install 'hanse[envs]'"
        )
    return found


class Uv:
    """One build's uv. `stop` may be called from another thread."""

    def __init__(self, told: Callable[[str], None], inherited: Sequence[int] = ()) -> None:
        """
        Args:
            told: gets each line that uv prints.
            inherited: descriptors that stay open for as long as anything of it lives.
        """
        self._told = told
        self._inherited = list(inherited)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, *args: str, directory: Path) -> None:
        """Run uv in a directory. Raises EngineError with its last lines, OSError."""
        command = [sys.executable, "-S", "-P", "-c", _KEEPER, find_uv(), *args]
        with self._lock:
            if self._stopped:
                raise EngineError("it was stopped")
            self._process = process = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=self._inherited,
                env={**os.environ, **_QUIET},
            )  # fmt: skip
        try:
            lines = self._read(process)
        finally:
            self._end()
            code = process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if self._stopped:
            raise EngineError("it was stopped")
        if code:
            raise EngineError("\n".join(lines) or f"uv ended with exit code {code}")

    def stop(self) -> None:
        """End it with all that it started; nothing runs after this."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()

    def _read(self, process: subprocess.Popen[bytes]) -> deque[str]:
        """What it prints until it ends; its last lines."""
        assert process.stdout is not None
        lines: deque[str] = deque(maxlen=ENVIRONMENT_LINES)
        fd, rest, end = process.stdout.fileno(), b"", time.monotonic() + ENVIRONMENT_BUILD_S
        while True:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                hours = ENVIRONMENT_BUILD_S / 3600
                raise EngineError("\n".join([*lines, f"It did not end within {hours:g} h."]))
            data = os.read(fd, 1 << 16)
            *whole, rest = (rest + data).split(b"\n")
            for line in [*whole, *([rest] if not data else [])]:
                text = line.decode(errors="replace").rstrip()[:_LINE_CHARS]
                if text:
                    lines.append(text)
                    self._told(text)
            if not data:
                return lines
            rest = rest[-_LINE_CHARS:]
