"""What the items of durable jobs printed, kept for `hanse logs`: one append-only file per job.

Each line is one piece of output as JSON: when it was read, which item printed it (null: some
program that an item started, or code in C, where it is not known which), the stream, and the text
as it was printed. It is kept for people: a job never waits for it nor fails with it, so a disk that
is full costs output and is said once. A program that was killed may leave a last line that is torn;
readers step over it, and the next writer begins a new one.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from hanse import limits
from hanse.decoding import json_decoder
from hanse.engines.port import Printed
from hanse.ids import JobId

LOG_LOOK_S = 0.1  # how often who follows a log looks for more
_encode = msgspec.json.Encoder().encode


class Piece(msgspec.Struct, frozen=True):
    """A piece of output. `stream` is "stdout", "stderr", or "hanse" for a word about the log."""

    time_s: float
    item: int | None
    stream: str
    text: str


_decode = json_decoder(Piece).decode


def _lines_in(text: str) -> int:
    """How many lines are lost with it; a part of one counts as one."""
    return text.count("\n") or 1


def log_path(state: Path, job: JobId) -> Path:
    return state / "logs" / f"{job}.jsonl"


class LogWriter:
    """Appends to one job's log. One program writes at a time; any number may read.

    Args:
        path: the file; it and its directory are made, for this user alone.
        say: is told, once, when something cannot be kept.
        most: bytes that the file may have.
    """

    def __init__(
        self, path: Path, say: Callable[[str], None], most: int = limits.LOG_BYTES
    ) -> None:
        self._path = path
        self._say = say
        self._most = most
        self._fd = -1
        self._size = 0
        self._lost = 0  # lines since something was last kept
        self._told = self._full = False

    def write(self, item: int | None, stream: str, text: str) -> None:
        """Keep a piece, if that is possible. Raises nothing."""
        if self._full:
            self._lost += _lines_in(text)
            return
        try:
            self._open()
            if self._lost:
                self._append(self._missing())
                self._lost = 0
            self._append(Piece(time.time(), item, stream, text))
            if self._full:
                self._lost = _lines_in(text)
        except OSError as error:
            self._lost += _lines_in(text)
            if not self._told:
                self._told = True
                self._say(f"what items print cannot be kept in {self._path}: {error.strerror}")

    def close(self) -> None:
        if self._fd >= 0:
            if self._full and self._lost:
                with contextlib.suppress(OSError):
                    os.write(self._fd, _encode(self._missing()) + b"\n")
            os.close(self._fd)
            self._fd = -1

    def _missing(self) -> Piece:
        return self._word(f"{self._lost:,} lines of output are missing here")

    def _open(self) -> None:
        if self._fd >= 0:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._size = os.fstat(fd).st_size
            if self._size and os.pread(fd, 1, self._size - 1) != b"\n":
                self._size += os.write(fd, b"\n")  # the last line is torn
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def _append(self, piece: Piece) -> None:
        line = _encode(piece) + b"\n"
        if self._size + len(line) > self._most:
            self._full = True
            word = f"The log is full with {self._most:,} bytes; what follows is not kept."
            line = _encode(self._word(word)) + b"\n"
            self._say(f"{self._path} is full; further output of the job is not kept")
        try:
            written = os.write(self._fd, line)
        except OSError:
            written = 0
            raise
        finally:
            if written < len(line):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
        if written < len(line):
            raise OSError(28, "No space left on device")
        self._size += written

    def _word(self, text: str) -> Piece:
        return Piece(time.time(), None, "hanse", text + "\n")


class Logs:
    """The logs of the jobs that run: what to give an engine as `printed`. For any thread."""

    def __init__(self, state: Path, say: Callable[[str], None]) -> None:
        self._state = state
        self._say = say
        self._lock = threading.Lock()
        self._writers: dict[JobId, LogWriter] = {}

    def printed(self, piece: Printed) -> None:
        with self._lock:
            writer = self._writers.pop(piece.job, None)
            if writer is None:
                writer = LogWriter(log_path(self._state, piece.job), self._say)
            self._writers[piece.job] = writer  # the last used comes last
            writer.write(piece.item, piece.stream, piece.text)
            if len(self._writers) > limits.LOGS_OPEN:
                self._writers.pop(next(iter(self._writers))).close()

    def ended(self, job: JobId) -> None:
        """The job prints no more; if it does all the same, its log is opened again."""
        with self._lock:
            if job in self._writers:
                self._writers.pop(job).close()

    def close(self) -> None:
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()


def read_log(
    path: Path,
    item: int | None = None,
    follow: bool = False,
    ended: Callable[[], bool] = lambda: False,
) -> Iterator[Piece]:
    """The pieces in a log, in the order in which they were read.

    Args:
        path: the log; one that is not there is empty.
        item: only what this item printed.
        follow: wait for more until `ended` says that nothing more will come.
        ended: asked before each look for more.
    """
    at = 0
    while True:
        last = not follow or ended()  # what came before the end is still read
        for behind, piece in pieces_from(path, at, item):
            at = behind
            if piece is not None:
                yield piece
        if last:
            return
        time.sleep(LOG_LOOK_S)


def pieces_from(
    path: Path, first: int, item: int | None = None
) -> Iterator[tuple[int, Piece | None]]:
    """What is in a log now, from a byte on: each piece, and the byte behind it; None in place of
    one that another item printed, or that was torn when its writer was killed."""
    for at, line in _lines(path, first):
        try:
            piece = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield at, None
        else:
            wanted = item is None or piece.item == item or piece.stream == "hanse"
            yield at, piece if wanted else None


def _lines(path: Path, at: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines, each with the byte behind it."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        file.seek(at)
        while line := file.readline(limits.LOG_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) < limits.LOG_LINE_BYTES:
                return  # it may be written right now
            at += len(line)
            yield at, line


_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def shown(text: str) -> str:
    """A text as a terminal may show it: what would move the cursor, change colours or turn the
    direction of writing is spelt out instead."""
    return _HOSTILE.sub(lambda found: _spelt(found.group()), text.replace("\r\n", "\n"))


def _spelt(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
