"""What items of a node's jobs printed, as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from hanse import limits
from hanse.decoding import json_decoder
from hanse.errors import NodeError, NodeUnavailable
from hanse.ids import JobId
from hanse.records.logs import Piece
from hanse.remote.dial import Dial

_MOST = 16 * limits.LOG_LINE_BYTES  # of one line on its way


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Attributes:
        at: the byte of the log behind it, where reading can go on.
        piece: None says that all is well.
        over: nothing more comes.
    """

    at: int
    piece: Piece | None = None
    over: bool = False


_decode = json_decoder(LogLine).decode


def read_log(
    dial: Dial, job: JobId, item: int | None, follow: bool, lost: Callable[[NodeUnavailable], None]
) -> Iterator[Piece]:
    """The pieces of a job's log, as `read_lines` has them."""
    for line in read_lines(dial, job, item, follow, lost):
        if line.piece is not None:
            yield line.piece


def read_lines(
    dial: Dial, job: JobId, item: int | None, follow: bool,
    lost: Callable[[NodeUnavailable], None], at: int = 0,
) -> Iterator[LogLine]:  # fmt: skip
    """The lines of a job's log from a byte on. With `follow`, until the job runs no more; then a
    node that is away for a while is waited for, and `lost` is told at the first failure of each
    time.

    Raises NodeUnavailable, NoSuchJob.
    """
    wait_ns = limits.REDIAL_NS
    only = "" if item is None else f"&item={item}"
    while True:
        path = f"/v1/jobs/{job}/logs?first={at}&follow={int(follow)}{only}"
        try:
            for line in _lines(dial.stream(path)):
                at, wait_ns = line.at, limits.REDIAL_NS
                yield line
                if line.over:
                    return
        except NodeUnavailable as error:
            if not follow:
                raise
            if wait_ns == limits.REDIAL_NS:
                lost(error)
        if not follow:
            raise NodeUnavailable(f"{dial.url} ended in the middle of an answer: ask again")
        time.sleep(wait_ns / 1e9)
        wait_ns = min(2 * wait_ns, limits.REDIAL_MAX_NS)


def _lines(pieces: Iterable[bytes]) -> Iterator[LogLine]:
    left = b""
    for piece in pieces:
        *lines, left = (left + piece).split(b"\n")
        if len(left) > _MOST:
            raise NodeError("the node sent a line that is too long")
        for line in lines:
            try:
                yield _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise NodeError(f"the node sent a line that cannot be read: {error}") from error
