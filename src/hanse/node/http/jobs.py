"""Routes about jobs: made, fed, followed, cancelled."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Sequence
from itertools import islice

import msgspec
from starlette.responses import Response

from hanse import limits
from hanse.errors import NoSuchJob, UsageError
from hanse.ids import JobId, parse_blob_id
from hanse.journal.port import Entry
from hanse.node.board import Board
from hanse.node.held import Held
from hanse.node.http.call import Call
from hanse.node.http.news import News
from hanse.node.http.problems import problem
from hanse.records.entries import decode
from hanse.wire import api
from hanse.wire.squeeze import pays

_encoder = msgspec.msgpack.Encoder()
_HEARTBEAT = bytes(4)


# --- looking --------------------------------------------------------------------------------------
async def list_jobs(call: Call) -> Response:
    """The newest jobs, newest first."""
    limit = call.number("limit", 100, 100_000)
    return await call.large(await call.waiting(call.board.heads, limit))


async def find_job(call: Call) -> Response:
    """The job of an id or a name."""
    wanted = call.request.query_params.get("job", "")
    return call.answer(await call.waiting(call.board.told, wanted))


async def show_job(call: Call) -> Response:
    """One job."""
    return call.answer(await call.waiting(call.board.told, call.text("job")))


async def entries(call: Call) -> Response:
    """A job's record as it is now, from entry `first` on, without payloads."""
    id, first = JobId((await call.waiting(call.board.head, call.text("job"))).id), _first(call)

    async def read() -> AsyncGenerator[bytes]:
        at = first
        while some := await asyncio.to_thread(_batch, call.board, id, at):
            yield _frames(some)
            at += len(some)

    return call.stream(read())


async def show_payloads(call: Call) -> Response:
    """The payloads of these entries (`entries=3,4,9`), as they are recorded: of all, or of the
    first ones as far as they fit into an answer."""
    told = call.request.query_params.get("entries", "")
    if not re.fullmatch(r"[0-9]{1,15}(,[0-9]{1,15})*", told):
        raise UsageError("entries are their numbers, with commas between them")
    seqs = [int(each) for each in told.split(",")]
    if len(seqs) > limits.PAYLOADS_READ:
        raise UsageError(f"no more than {limits.PAYLOADS_READ} payloads are given at once")
    id = JobId((await call.waiting(call.board.head, call.text("job"))).id)
    return await call.large(await call.waiting(_payloads, call.board, id, seqs))


def _payloads(board: Board, job: JobId, seqs: Sequence[int]) -> list[bytes]:
    journal = board.state.journal
    for seq in seqs:
        entry = next(journal.read(job, seq), None)
        if entry is None or decode(job, entry, journal.where).stored is None:
            raise NoSuchJob(f"entry {seq} of job {job} has no payload")
    return journal.payloads(job, seqs)


async def blob(call: Call) -> Response:
    """A blob's bytes, or those from a byte on: `Range: bytes=4096-`."""
    try:
        wanted = parse_blob_id(call.text("blob"))
    except ValueError as error:
        raise UsageError(str(error)) from error
    blobs = call.board.state.blobs
    if wanted not in blobs:
        raise NoSuchJob(f"there is no blob {wanted}")
    fd, size = await call.waiting(blobs.get, wanted)
    try:
        first = _range(call.request.headers.get("range", ""))
        if first is not None and first >= size:
            refusal = problem(416, "no-such-range", "The blob ends before that", f"{size:,} bytes")
            refusal.headers["content-range"] = f"bytes */{size}"
            os.close(fd)
            return refusal
        probe = os.pread(fd, limits.SQUEEZE_BYTES, size // 2)
    except BaseException:
        os.close(fd)
        raise
    if first is not None:  # ranges are of the plain bytes
        told = {"content-range": f"bytes {first}-{size - 1}/{size}"}
        return call.stream(_bytes_of(fd, first, size), 206, plain=True, **told)
    return call.stream(_bytes_of(fd, 0, size), plain=not pays(probe))


def _range(header: str) -> int | None:
    """From which byte on is asked for. Other ranges may be ignored, and are: then all comes."""
    found = re.fullmatch(r"bytes=([0-9]{1,18})-", header)
    return int(found[1]) if found else None


async def _bytes_of(fd: int, at: int, size: int) -> AsyncGenerator[bytes]:
    """Closes the descriptor."""
    try:
        while at < size:
            piece = await asyncio.to_thread(os.pread, fd, limits.PIECE_BYTES, at)
            if not piece:
                return
            yield piece
            at += len(piece)
    finally:
        os.close(fd)


async def follow(call: Call) -> Response:
    """A job's record from entry `first` on, while it is written, until the job has ended: frames
    of a length in 4 bytes and that much msgpack; length 0 says that all is well."""
    board, id, first = call.board, JobId(call.text("job")), _first(call)
    feeder = call.number("feeder", 0)
    held = board.running(id)
    if held is None:
        await call.waiting(board.head, id)
        return await entries(call)
    if feeder:
        held.check(feeder)  # one that this node knows nothing of has to say again what is lost
    return call.stream(_follow(call, held, first, feeder))


async def _follow(call: Call, held: Held, first: int, feeder: int) -> AsyncGenerator[bytes]:
    news = News()
    end = held.follow(news.tell, feeder, call.holds)
    patience_ns = limits.QUIET_NS
    try:
        while True:
            news.looked()
            over = held.over  # looked at first: all entries come before it
            found: Sequence[Entry] | None = held.entries(first)
            if found is None:
                found = await asyncio.to_thread(_batch, call.board, held.id, first)
            if found:
                yield _frames(found)
                first += len(found)
                patience_ns = limits.QUIET_NS
            elif over:
                return
            elif not await news.wait(patience_ns):
                yield _HEARTBEAT
                patience_ns = limits.HEARTBEAT_NS
    finally:
        end()


def _batch(board: Board, job: JobId, first: int) -> list[Entry]:
    return list(islice(board.state.journal.read(job, first), limits.ENTRIES_READ))


def _frames(found: Sequence[Entry]) -> bytes:
    parts = bytearray()
    for entry in found:
        data = _encoder.encode(api.Record(entry.seq, entry.body, entry.check, entry.payload))
        parts += len(data).to_bytes(4, "big")
        parts += data
    return bytes(parts)


def _first(call: Call) -> int:
    return call.number("first", 0)


# --- doing ----------------------------------------------------------------------------------------
async def create(call: Call) -> Response:
    """Make a job, and feed it."""
    new, payloads = await call.parcel(api.NewJob)
    feeder = await call.waiting(call.board.create, new, payloads)
    return call.answer(api.Taken(feeder=feeder, size=0), 201)


async def take(call: Call) -> Response:
    """Feed a job from here on; one that was interrupted or failed goes on."""
    asked = await call.told(api.Take)
    return call.answer(
        await call.waiting(call.board.take, call.text("job"), asked.again, asked.aims)
    )


async def feed(call: Call) -> Response:
    """More inputs; answers how many items the job has."""
    asked, payloads = await call.parcel(api.Inputs)
    if len(payloads) != 1:
        raise UsageError("inputs are one payload")
    held = await _running(call)
    while call.board.runtime.durables.full:  # the disk is behind: so is the client, then
        await asyncio.sleep(limits.FULL_LOOK_NS / 1e9)
    size = await call.waiting(  # calls are taken apart, many of them maybe
        held.feed, asked.feeder, asked.start, asked.stop, payloads[0], asked.broken, asked.waits,
        asked.data,
    )  # fmt: skip
    return call.answer(size)


async def seal(call: Call) -> Response:
    """No more inputs will come."""
    asked = await call.told(api.SealJob)
    (await _running(call)).seal(asked.feeder, asked.whole)
    return call.answer(None)


async def fold(call: Call) -> Response:
    """Fold results where they are from now on."""
    asked, payloads = await call.parcel(api.Fold)
    if len(payloads) != 1:
        raise UsageError("a fold has one function")
    key = call.board.next_key()
    (await _running(call)).fold(asked.feeder, payloads[0], asked.fingerprint, key)
    return call.answer(None)


async def cancel(call: Call) -> Response:
    """Cancel a job, or those of its items in a range that have not begun."""
    asked = await call.told(api.CancelRange)
    id = call.text("job")
    if asked.start is None or asked.stop is None:
        await call.waiting(call.board.cancel, id)
    elif (held := call.board.running(id)) is not None:
        held.cancel_ready(asked.start, asked.stop)
    else:
        await call.waiting(call.board.head, id)  # it has ended: nothing to do
    return call.answer(None)


async def remove(call: Call) -> Response:
    """Forget a job that does not run, with its results and its log."""
    return call.answer(await call.waiting(call.board.remove, call.text("job")))


async def _running(call: Call) -> Held:
    held = call.board.running(call.text("job"))
    if held is None:
        raise await call.waiting(call.board.why_not, call.text("job"))
    return held
