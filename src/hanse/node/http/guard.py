"""What stands in front of every route: who may ask, from where, and how much.

Nobody is let in for where they come from: every route that is not open to all wants a token in the
Authorization header, which no browser sends by itself. Host is checked against the names that this
node has (DNS rebinding), Origin on whatever changes something.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from hanse import __version__
from hanse.errors import HanseError, NodeUnavailable, NodeVersion, NotAllowed, UsageError
from hanse.ids import job_number, parse_blob_id
from hanse.limits import PARCEL_BYTES
from hanse.node.audit import Audit
from hanse.node.board import Board
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.http.peers import Guesses
from hanse.node.http.problems import HEADERS, internal, problem, told
from hanse.node.tokens import Right, Token, Tokens
from hanse.wire import protocol
from hanse.wire.squeeze import ENCODING

_logger = logging.getLogger("hanse")

Handler = Callable[[Call], Awaitable[Response]]


class Guard:
    """
    Args:
        hosts: the names and addresses, in lower case and without a port, that this node goes by.
    """

    def __init__(
        self,
        board: Board | None,
        tokens: Tokens,
        audit: Audit,
        hosts: frozenset[str],
        bodies: Bodies,
    ) -> None:
        self._board = board
        self._tokens = tokens
        self._audit = audit
        self._hosts = hosts
        self._guesses = Guesses()
        self._bodies = bodies

    def endpoint(
        self, handler: Handler, right: Right | None, route: str
    ) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind the guard; without a right it is open to all. What it changes, and who
        was refused, is audited."""

        async def answer(request: Request) -> Response:
            token: Token | None = None
            response = self._refused(request)
            if response is None:
                token, response = await self._admitted(request, handler, right)
            status = response.status_code
            if request.method not in _LOOKING or status in _REFUSALS:
                self._audit.say(token, request.method, route, request.path_params, status)
            response.headers["accept-encoding"] = ENCODING  # in requests (RFC 7694)
            return secured(response)

        return answer

    async def _admitted(
        self, request: Request, handler: Handler, right: Right | None
    ) -> tuple[Token | None, Response]:
        """Who asks, as far as that is known, and the answer."""
        token: Token | None = None
        try:
            token = None if right is None else self._who(request)
            if right is not None and token is None:
                return None, self._unknown(request)
            if token is not None and right is not None:
                self._tokens.allow(token, right)
            _check_ids(request)
            call = Call(request, self._board, token, self._tokens, self._bodies)
            try:
                return token, await handler(call)
            finally:
                call.end()
        except HanseError as error:
            response = told(error, whole=token is not None)
            if response.status_code == 503:
                response.headers["retry-after"] = "1"
            if response.status_code >= 500 and not isinstance(error, NodeUnavailable):
                _logger.error("hanse: %s %s: %s", request.method, request.url.path, error)
            return token, response
        except Exception:
            _logger.exception("hanse: %s %s", request.method, request.url.path)
            return token, internal()

    def _unknown(self, request: Request) -> Response:
        """Of nobody whom the node knows. Who shows one wrong secret after another is to wait."""
        shown = "authorization" in request.headers
        host = request.client.host if request.client is not None else ""
        wait_s = self._guesses.wrong(host) if shown else 0
        if not wait_s:
            return problem(401, NotAllowed.code, "A token is needed", _NO_TOKEN)
        response = problem(429, NotAllowed.code, "Too many wrong tokens came from there", _NO_TOKEN)
        response.headers.update({"retry-after": str(wait_s), "connection": "close"})
        return response

    def _refused(self, request: Request) -> Response | None:
        if _host(request.headers.get("host", "")) not in self._hosts:
            return problem(421, "wrong-host", "This node does not go by that name")
        origin = request.headers.get("origin")
        changes = request.method not in _LOOKING
        if origin is not None and changes and _host(origin.partition("://")[2]) not in self._hosts:
            return problem(403, "wrong-origin", "A page of another site asks for this")
        spoken = request.headers.get(protocol.HEADER)
        if spoken is not None:  # people with curl say nothing, and get the newest
            try:
                theirs = protocol.parse(spoken)
                protocol.agree(protocol.OURS, theirs, "the client", _NODE)
            except NodeVersion as error:
                title = "Another protocol is spoken here"
                return problem(400, error.code, title, str(error))
        if request.headers.get("content-encoding", "identity") not in ("identity", ENCODING):
            words = f"Bodies come as they are, or as {ENCODING}"
            return problem(415, "unknown-encoding", "This encoding is not taken", words)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > PARCEL_BYTES:
            return problem(413, "too-large", f"No request has more than {PARCEL_BYTES:,} bytes")
        return None

    def _who(self, request: Request) -> Token | None:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._tokens.find(secret.strip())


_LOOKING = ("GET", "HEAD")
_REFUSALS = (401, 403, 413, 415, 421, 429)
_NO_TOKEN = (
    "Send it as Authorization: Bearer SECRET. On the node's machine `hanse token create` makes "
    "one; one that is shown but not known was revoked, has expired, or is another node's."
)
_NODE = f"this node (Hanse {__version__})"
_IDS = {"job": job_number, "blob": parse_blob_id}


def secured(response: Response) -> Response:
    """With the headers that every answer has; a page has a policy of its own."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _check_ids(request: Request) -> None:
    """Whether the path names what may exist. Raises UsageError."""
    for name, parse in _IDS.items():
        if name in request.path_params:
            try:
                parse(request.path_params[name])
            except ValueError as error:
                raise UsageError(str(error)) from error


def _host(text: str) -> str:
    """Without its port."""
    text = text.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
