"""One request, and the ways to answer it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from hanse import limits
from hanse.decoding import from_msgpack
from hanse.errors import UsageError, WorldError
from hanse.node.board import Board
from hanse.node.http.bodies import Bodies, Body
from hanse.node.tokens import Token, Tokens
from hanse.payloads.parcel import Unwrapping
from hanse.payloads.payload import Payload
from hanse.wire.squeeze import ENCODING, Expander, Squeezer, accepts, pays, squeeze

T = TypeVar("T")

MSGPACK = "application/msgpack"
BYTES = "application/octet-stream"


class _Stream(StreamingResponse):
    """An answer that breaks off when it may no longer be given. It does not end in order: nobody
    shall take what came for the whole.

    Args:
        may: asked before each piece.
    """

    def __init__(
        self, may: Callable[[], bool], pieces: AsyncGenerator[bytes | memoryview], **more: Any
    ) -> None:
        super().__init__(pieces, **more)
        self._may = may
        self._pieces = pieces

    async def stream_response(self, send: Send) -> None:
        begin = {"type": "http.response.start", "status": self.status_code}
        await send(begin | {"headers": self.raw_headers})
        async with contextlib.aclosing(self._pieces) as pieces:
            async for piece in pieces:
                if not self._may():
                    return  # the server closes the connection then
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Call:
    """A request that was let in.

    Attributes:
        token: who asks; None only on routes that are open to all.
    """

    def __init__(
        self,
        request: Request,
        board: Board | None,
        token: Token | None,
        tokens: Tokens,
        bodies: Bodies,
    ) -> None:
        self._board = board
        self._bodies = bodies
        self._taken: Body | None = None
        self._tokens = tokens
        self.request = request
        self.token = token

    @property
    def board(self) -> Board:
        """The node's; `hanse dash` without a node has routes that need none."""
        assert self._board is not None
        return self._board

    def text(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def number(self, name: str, default: int, most: int = 1 << 53) -> int:
        """A number of the query. Raises UsageError."""
        told = self.request.query_params.get(name)
        if told is None:
            return default
        if not told.isascii() or not told.isdecimal() or int(told[:20]) > most or len(told) > 20:
            raise UsageError(f"{name} is a whole number from 0 to {most}")
        return int(told)

    async def parcel(
        self,
        kind: type[T],
        most: int = limits.PARCEL_BYTES,
        account: str = "",
        label: int = limits.LABEL_BYTES,
    ) -> tuple[T, list[Payload]]:
        """The body: what it is about, and its payloads, which have `most` bytes in all, after a
        label of so many at most. It counts to this account of its token. Raises BadParcel,
        UsageError, NodeUnavailable if too much is on its way."""
        taking, window = Unwrapping(most, label), self.squeezed * (1 << limits.SQUEEZE_WINDOW_LOG)
        came = 0
        body = self._bodies.begin(self.token.account if self.token is not None else "", account)
        self._taken = body
        async for piece in self._body(body, most + label + 4):
            came += len(piece)
            body.pace.came(len(piece))
            await body.reach(came, came)
            if taking.label_in(piece) > limits.LABEL_SOON_BYTES:
                await self.waiting(taking.feed, piece)
            else:
                taking.feed(piece)
            if taking.nbytes > limits.BODY_FREE_BYTES:  # as its first bytes say
                await body.reach(window + taking.nbytes, came)
        if taking.label_nbytes > limits.LABEL_SOON_BYTES:
            return await self.waiting(_taken, taking, kind)
        return _taken(taking, kind)

    async def told(self, kind: type[T], most: int = limits.TOLD_BYTES) -> T:
        """The body of a request that has no payloads, and is so long at most. Raises BadParcel,
        UsageError."""
        return (await self.parcel(kind, 0, label=most))[0]

    async def _body(self, body: Body, most: int) -> AsyncIterator[bytes]:
        """The plain bytes of the body, in pieces; no more than so many of a squeezed one. Raises
        BadEncoding."""
        expander = Expander(most) if self.squeezed else None
        stream = aiter(self.request.stream())
        try:
            while (piece := await body.next(stream)) is not None:
                if expander is None:
                    yield piece
                    continue
                for plain in expander.feed(piece):
                    yield plain
                    await asyncio.sleep(0)  # others have their turn, however much comes out of it
        except ClientDisconnect as error:
            raise WorldError("the client left in the middle of a request") from error
        if expander is not None:
            expander.end()

    @property
    def squeezed(self) -> bool:
        """Whether the body is."""
        return self.request.headers.get("content-encoding") == ENCODING

    def end(self) -> None:
        """What was asked is done."""
        if self._taken is not None:
            self._taken.end()

    async def waiting(self, act: Callable[..., T], *args: Any) -> T:
        """Do what waits for a disk in a thread."""
        return await asyncio.to_thread(act, *args)

    # --- answers --------------------------------------------------------------------------------
    async def large(self, value: object) -> Response:
        """A value that may be long, as `answer` gives it, and squeezed where that pays."""
        return await self._squeezed(await self.waiting(self.answer, value))

    async def _squeezed(self, response: Response) -> Response:
        body = bytes(response.body)
        if self.takes_squeezed and await self.waiting(pays, body):
            response.body = await self.waiting(squeeze, body)
            response.headers["content-length"] = str(len(response.body))
            response.headers["content-encoding"] = ENCODING
        return response

    @property
    def takes_squeezed(self) -> bool:
        return accepts(self.request.headers.get("accept-encoding", ""))

    def answer(self, value: object, status: int = 200) -> Response:
        """A value, as msgpack or JSON: as is asked for."""
        if MSGPACK in self.request.headers.get("accept", ""):
            return Response(msgspec.msgpack.encode(value), status, media_type=MSGPACK)
        return Response(msgspec.json.encode(value), status, media_type="application/json")

    def holds(self) -> bool:
        """Whether the token that was let in still is one."""
        return self.token is None or self._tokens.holds(self.token)

    def stream(
        self, pieces: AsyncGenerator[bytes | memoryview], status: int = 200, *, plain: bool = False,
        media: str = BYTES, **headers: str,
    ) -> Response:  # fmt: skip
        """Piece by piece, for as long as the token is good; squeezed if the client takes that,
        unless it shall be `plain`."""
        # Proxies hold back what looks like a page; this one must pass at once.
        headers["x-accel-buffering"] = "no"
        if self.takes_squeezed and not plain:
            headers["content-encoding"] = ENCODING
            pieces = _squeezing(pieces)
        return _Stream(self.holds, pieces, status_code=status, media_type=media, headers=headers)


def _taken(taking: Unwrapping, kind: type[T]) -> tuple[T, list[Payload]]:
    taking.end()
    assert taking.about is not None
    try:
        return from_msgpack(taking.about, kind), taking.payloads
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the request cannot be read: {error}") from error


async def pieces(
    parts: Iterator[bytes | memoryview], slow: bool = False
) -> AsyncGenerator[memoryview]:
    """For `stream`: parts that may be large, or (`slow`) have to be read or put together first.
    Others have their turn."""
    while True:
        part = await asyncio.to_thread(next, parts, None) if slow else next(parts, None)
        if part is None:
            return
        view = memoryview(part)
        for at in range(0, len(view), limits.PIECE_BYTES):
            yield view[at : at + limits.PIECE_BYTES]


async def _squeezing(
    pieces: AsyncGenerator[bytes | memoryview],
) -> AsyncGenerator[bytes | memoryview]:
    squeezer = Squeezer()
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if len(piece) < limits.SQUEEZE_BYTES:
                yield squeezer.piece(piece)
            else:
                yield await asyncio.to_thread(squeezer.piece, piece)
        yield squeezer.end()
