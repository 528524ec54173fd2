"""Requests to a node: the only place that dials one.

Requests are answered or raise an error of `hanse.errors`; what may pass is a `NodeUnavailable`, and
whoever asked decides whether to ask again. Redirects are not followed: a secret goes to the host it
is for and to no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import urllib3
from msgspec import structs
from urllib3.exceptions import HTTPError

from hanse import limits
from hanse.decoding import from_json, from_msgpack
from hanse.errors import (
    HanseError,
    JournalUnavailable,
    NodeError,
    NodeUnavailable,
    UsageError,
    error_of,
)
from hanse.payloads.parcel import Unwrapping, wrap
from hanse.remote.address import Address, decode, encode, is_loopback
from hanse.remote.trust import CONNECT_S, pool, words
from hanse.wire import protocol, squeeze
from hanse.wire.api import Problem

if TYPE_CHECKING:
    from hanse.payloads.payload import Payload

T = TypeVar("T")

_Body = bytes | Iterator[Any] | None

PARCEL = "application/vnd.hanse.parcel"
_TIMEOUT = urllib3.Timeout(connect=CONNECT_S, read=60)
_STREAMING = urllib3.Timeout(connect=CONNECT_S, read=3 * limits.HEARTBEAT_NS / limits.SECOND)


class Dial:
    """Connections to one node, kept for reuse. Methods may be called from any thread.

    Args:
        patience_s: how long the node may take for a connection and for an answer, in place of what
            is right for programs.
    """

    def __init__(self, address: Address, patience_s: float | None = None) -> None:
        self.url = address.url
        self._address = address
        self._timeout = _TIMEOUT
        if patience_s is not None:
            self._timeout = urllib3.Timeout(connect=patience_s, read=patience_s)
        # On one machine bytes are cheaper than the time to make them fewer.
        self._squeezes = not is_loopback(urlsplit(address.url).hostname or "")
        self._takes_squeezed = False  # the node does; it says so with every answer
        self._headers = {
            "authorization": f"Bearer {address.secret}",
            "accept": "application/msgpack",
            "accept-encoding": squeeze.ENCODING if self._squeezes else "identity",
            protocol.HEADER: str(protocol.OURS),
        }
        self._pool = pool(address, CONNECT_S if patience_s is None else patience_s)

    def ask(
        self, method: str, path: str, kind: type[T], about: object = None,
        payloads: Sequence[Payload] = (),
    ) -> T:  # fmt: skip
        """One request, and its answer read as `kind`. `about` and `payloads` become a parcel.

        Raises NodeUnavailable, NotAllowed, and what the node's answer stands for.
        """
        headers: dict[str, str] = {}
        body: _Body = None
        if about is not None:
            headers, body = _parcel(about, payloads, self._takes_squeezed)
        data = self._whole(method, path, self._headers | headers, body)
        try:
            return from_msgpack(data, kind)
        except msgspec.MsgspecError as error:
            raise NodeError(f"{self.url} gave an answer that cannot be read: {error}") from error

    def parcel(
        self, method: str, path: str, about: object, payloads: Sequence[Payload] = (),
        most: int = limits.PARCEL_BYTES,
    ) -> tuple[msgspec.Raw, list[Payload]]:  # fmt: skip
        """Like `ask`, where the answer is a parcel whose payloads have at most so many bytes."""
        taking = Unwrapping(most)
        headers, body = _parcel(about, payloads, squeezes=False)
        for piece in self._pieces(method, path, self._headers | headers, body):
            taking.feed(piece)
        taking.end()
        assert taking.about is not None
        return taking.about, taking.payloads

    def patiently(self, act: Callable[[], T]) -> T:
        """Do what may be done twice, again and again while the node cannot be reached or its
        journal cannot, but not for ever. Raises what came last."""
        until = time.monotonic_ns() + limits.JOURNAL_PATIENCE_NS
        wait_ns = limits.REDIAL_NS
        while True:
            try:
                return act()
            except (NodeUnavailable, JournalUnavailable):
                if time.monotonic_ns() + wait_ns > until:
                    raise
            time.sleep(wait_ns / 1e9)
            wait_ns = min(2 * wait_ns, limits.REDIAL_MAX_NS)

    def _whole(self, method: str, path: str, headers: dict[str, str], body: _Body) -> bytes:
        answer = self._request(method, path, headers, body, self._timeout)
        data = self._read(answer)
        if answer.status >= 300:
            raise _error_of(answer.status, data, self.url)
        self._takes_squeezed = self._squeezes and squeeze.accepts(
            answer.headers.get("accept-encoding", "")
        )
        if answer.headers.get("content-encoding") != squeeze.ENCODING:
            return data
        try:
            return squeeze.expand(data, limits.ANSWER_BYTES)
        except squeeze.BadEncoding as error:
            raise NodeError(f"{self.url} gave an answer that cannot be read: {error}") from error

    def _read(self, answer: Any) -> bytes:
        """All of an answer that is of no great length."""
        try:
            data: bytes = answer.read(limits.ANSWER_BYTES + 1)
            data += answer.read(1)  # looks whether it is whole
            if len(data) > limits.ANSWER_BYTES:
                answer.close()
                raise NodeError(f"{self.url} gave an answer of more than {limits.ANSWER_BYTES:,} B")
        except (HTTPError, OSError) as error:
            raise NodeUnavailable(f"{self.url} cannot be reached: {words(error)}") from error
        finally:
            answer.release_conn()
        return data

    def stream(self, path: str, first: int = 0) -> Iterator[bytes]:
        """An answer as it comes, in pieces of any size; of a blob, from a byte on. Raises
        NodeUnavailable when it breaks off, or when nothing at all has come for three heartbeats."""
        headers = self._headers | ({"range": f"bytes={first}-"} if first else {})
        return self._pieces("GET", path, headers, None, partial=first > 0)

    def _pieces(
        self, method: str, path: str, headers: dict[str, str], body: _Body, partial: bool = False,
    ) -> Iterator[bytes]:  # fmt: skip
        answer = self._request(method, path, headers, body, _STREAMING)
        try:
            if answer.status >= 300:
                raise _error_of(answer.status, answer.read(limits.PROBLEM_BYTES), self.url)
            if partial and answer.status != 206:
                raise NodeError(f"{self.url} does not know of ranges")
            if answer.headers.get("content-encoding") == squeeze.ENCODING:
                yield from _expanded(answer)
                return
            while piece := answer.read1(limits.PIECE_BYTES):
                yield piece
        except squeeze.BadEncoding as error:
            raise NodeUnavailable(f"{self.url}: {error}") from error
        except (HTTPError, OSError) as error:
            raise NodeUnavailable(f"{self.url}: {words(error)}") from error
        finally:
            answer.close()  # a stream that was left early cannot be used again
            answer.release_conn()

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: _Body,
        timeout: urllib3.Timeout,
    ) -> Any:  # fmt: skip
        try:
            return self._pool.request(
                method, self.url + path, headers=headers, body=body, redirect=False,
                retries=False, preload_content=False, decode_content=False, timeout=timeout,
            )  # fmt: skip
        except (HTTPError, OSError) as error:
            raise NodeUnavailable(f"{self.url} cannot be reached: {words(error)}") from error

    def token(self, text: str) -> str:
        """A token of this node, such that it is dialled as it is from here. Raises NodeError."""
        try:
            secret = decode(text).secret
        except UsageError as error:
            raise NodeError(f"{self.url} gave a token that is none: {error}") from error
        return encode(structs.replace(self._address, secret=secret))

    def close(self) -> None:
        self._pool.clear()


def _parcel(
    about: object, payloads: Sequence[Payload], squeezes: bool
) -> tuple[dict[str, str], _Body]:
    """The body of a request, and its headers. What is large is sent from where it is: joined, it
    would be in memory a second time."""
    headers = {"content-type": PARCEL}
    nbytes = 0
    largest: bytes | memoryview = b""
    for part in wrap(about, payloads):
        nbytes, largest = nbytes + len(part), max(largest, part, key=len)
    whole = b"".join(wrap(about, payloads)) if nbytes <= limits.PIECE_BYTES else None
    if squeezes and squeeze.pays(largest if whole is None else whole):
        headers["content-encoding"] = squeeze.ENCODING
        return headers, _squeezed(wrap(about, payloads)) if whole is None else squeeze.squeeze(
            whole
        )
    headers["content-length"] = str(nbytes)
    return headers, wrap(about, payloads) if whole is None else whole


def _squeezed(parts: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    squeezer = squeeze.Squeezer()
    for part in parts:
        for at in range(0, len(part), limits.PIECE_BYTES):
            yield squeezer.piece(memoryview(part)[at : at + limits.PIECE_BYTES])
    yield squeezer.end()


def _expanded(answer: Any) -> Iterator[bytes]:
    expander = squeeze.Expander()
    while piece := answer.read1(limits.PIECE_BYTES, decode_content=False):
        yield from expander.feed(piece)
    expander.end()


# --- errors ---------------------------------------------------------------------------------------
def _error_of(status: int, data: bytes, url: str) -> HanseError:
    """The error that a node's answer stands for."""
    try:
        problem = from_json(data, Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if status in (502, 503, 504):  # a proxy's
            return NodeUnavailable(f"{url} cannot be reached: HTTP status {status}")
        return NodeError(f"{url} answered with HTTP status {status}")
    said = problem.detail or problem.title
    return error_of(problem.code, said) or NodeError(f"{url}: {said}")
