"""The route of what a job's items printed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from itertools import islice
from pathlib import Path

import msgspec
from starlette.responses import Response

from hanse import limits
from hanse.ids import JobId
from hanse.node.board import Board
from hanse.node.http.call import Call
from hanse.records.logs import LOG_LOOK_S, log_path, pieces_from
from hanse.remote.logs import LogLine

_encode = msgspec.json.Encoder().encode


async def logs(call: Call) -> Response:
    """What a job's items printed, from byte `first` of its log on, as lines of JSON; with `item`
    only that item's. With `follow=1` it goes on while the job runs. The last line says `over`.
    Each says where reading can go on; one who begins behind the end is told where that is."""
    id = JobId((await call.waiting(call.board.head, call.text("job"))).id)
    first, follow = call.number("first", 0), bool(call.number("follow", 0, 1))
    item = call.number("item", 0) if "item" in call.request.query_params else None
    return call.stream(_lines(call.board, id, first, item, follow))


async def _lines(
    board: Board, job: JobId, at: int, item: int | None, follow: bool
) -> AsyncGenerator[bytes]:
    path = log_path(board.state.home, job)
    at = min(at, await asyncio.to_thread(_size, path))
    said_s, ended = time.monotonic(), False
    while True:
        over = not follow or board.running(job) is None  # what came before the end is still read
        before = at
        while some := await asyncio.to_thread(_batch, path, at, item):
            at, said_s = some[-1].at, time.monotonic()
            yield b"".join(_encode(line) + b"\n" for line in some)
        # Output comes another way than results: the last of it may be a moment behind the end.
        if over and (not follow or (at == before and ended)):
            yield _encode(LogLine(at, over=True)) + b"\n"
            return
        ended = over
        if time.monotonic() - said_s > limits.HEARTBEAT_NS / 1e9:
            said_s = time.monotonic()
            yield _encode(LogLine(at)) + b"\n"
        await asyncio.sleep(LOG_LOOK_S)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _batch(path: Path, first: int, item: int | None) -> list[LogLine]:
    """Some lines; of those that are left out the last, so that nobody reads them again."""
    some = []
    for at, piece in islice(pieces_from(path, first, item), limits.ENTRIES_READ):
        some.append(LogLine(at, piece))
        if at - first > limits.LOG_READ_BYTES:
            break
    return [line for line in some if line.piece is not None or line is some[-1]]
