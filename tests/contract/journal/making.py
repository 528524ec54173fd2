"""Short ways to make heads, entries and journals, here and in other processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hanse.ids import BlobId, JobId
from hanse.journal.opening import open_journal
from hanse.journal.port import Append, Head, Holder, Journal
from hanse.journal.seal import seal

PATIENCE_S = 60.0
Open = Callable[[], Journal]
_numbers = itertools.count(1)
ME = Holder("here", os.getpid(), 1_700_000_000.0)


def job(number: int | None = None) -> JobId:
    return JobId(f"j-{next(_numbers) if number is None else number:012x}")


def head(name: str = "", id: JobId | None = None, **more: Any) -> Head:
    values: dict[str, Any] = {
        "function": "module.function", "script": "script.py", "user": "ada", "host": "here",
        "created_s": 1_700_000_000.25, "updated_s": 1_700_000_001.5,
    }  # fmt: skip
    return Head(id=job() if id is None else id, name=name, **{**values, **more})


def blob(number: int) -> BlobId:
    return BlobId(f"{number:064x}")


def add(journal: Journal, one: Head, run: int, first: int, count: int = 1, **more: Any) -> None:
    """Append entries whose bodies are their numbers."""
    entries = [seal(one.id, n, b"body %d" % n, **more) for n in range(first, first + count)]
    journal.append([Append(one, run, entries)])


def bodies(journal: Journal, job: JobId, first: int = 0) -> list[bytes]:
    return [entry.body for entry in journal.read(job, first)]


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, never for time."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return found


PRELUDE = """
import os, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from contract.journal.making import *
journal = open_journal({url!r}, Path("/nonexistent"))
"""


@contextmanager
def program(url: str, text: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with the same journal open; it is killed at the end."""
    path = [p for p in sys.path if p] + [str(Path(__file__).parents[1])]
    source = PRELUDE.format(path=path, url=url) + textwrap.dedent(text)
    process = subprocess.Popen(
        [sys.executable, "-c", source, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},  # lines stay whole
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it forked
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], text: str = "go") -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


__all__ = [
    "ME", "Append", "Head", "Holder", "JobId", "Journal", "Open", "add", "blob", "bodies", "head",
    "job", "line", "open_journal", "program", "seal", "tell", "until",
]  # fmt: skip
