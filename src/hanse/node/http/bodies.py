"""What bodies that are on their way take: so much is in memory at once, of each token and in all.

A parcel says in its first bytes how large it is. One that finds no room is not read on until there
is some, so its sender waits; in the end it is told to come again. Who came first goes first, so a
large body is not starved by smaller ones behind it; but none waits for one that waits for room of
another token's. Small ones always pass. One that is larger than all of its token may be goes when
it is the only one of these, one such at a time. What of bodies that wait is there already counts by
itself, and beyond a part of their token's room such a body is told to come again at once. So what
is in memory is bounded by all the room, one such body, these parts, and what is small.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from hanse import limits
from hanse.errors import NodeUnavailable

_PART = 4  # of a token's room: what those that wait may have here
_AGAIN = "as much as may be sent at once is on its way: come again"


class Bodies:
    """All of them.

    Args:
        each: bytes that those of one account take.
        most: bytes that all take together.
        wait_s: how long one waits for room.
        silent_s: how long nothing may come of one.
    """

    def __init__(
        self, each: int, most: int,
        wait_s: float = limits.BODY_WAIT_S, silent_s: float = limits.BODY_SILENT_S,
    ) -> None:  # fmt: skip
        self.silent_s = silent_s
        self._each = each
        self._most = most
        self._wait_s = wait_s
        self._nbytes = 0
        self._huge: Body | None = None  # the one that is larger than its account
        self._accounts: WeakValueDictionary[tuple[str, str], _Account] = WeakValueDictionary()
        self._waiting: dict[Body, asyncio.Future[None]] = {}  # who came first is first

    def begin(self, token: str, kind: str) -> Body:
        """One more, on the account of these."""
        account = self._accounts.get((token, kind))
        if account is None:
            account = self._accounts[token, kind] = _Account()
        return Body(self, account)

    async def enter(self, body: Body, here: int) -> None:
        """Let it in when its turn has come. Raises NodeUnavailable if that takes too long, or would
        with too much of it `here`."""
        turn = self._waiting[body] = asyncio.get_running_loop().create_future()
        self._look()
        here = 0 if turn.done() else max(0, here - limits.BODY_FREE_BYTES)
        body.account.here += here
        try:
            if here and body.account.here > self._each // _PART:
                raise NodeUnavailable(_AGAIN)
            async with asyncio.timeout(self._wait_s):
                await turn
        except TimeoutError:
            raise NodeUnavailable(_AGAIN) from None
        finally:
            body.account.here -= here
            if self._waiting.pop(body, None) is not None:  # it goes, and may have been in the way
                self._look()

    def leave(self, body: Body) -> None:
        """It takes nothing any more."""
        if body.counts:
            body.account.nbytes -= body.counts
            self._nbytes -= body.counts
            body.counts = 0
            if self._huge is body:
                self._huge = None
            self._look()

    def _look(self) -> None:
        """Let in whoever can be, in the order in which they came."""
        full: set[_Account] = set()
        for body, turn in list(self._waiting.items()):
            if turn.done() or body.account in full:  # it goes just now; those before it come first
                continue
            nbytes, huge = min(body.nbytes, self._each), body.nbytes > self._each
            if body.account.nbytes + nbytes > self._each or (huge and self._huge is not None):
                full.add(body.account)
                continue
            if self._nbytes + nbytes > self._most:
                return
            self._enter(body, nbytes)
            turn.set_result(None)

    def _enter(self, body: Body, nbytes: int) -> None:
        del self._waiting[body]
        body.counts = nbytes
        body.account.nbytes += nbytes
        self._nbytes += nbytes
        if body.nbytes > self._each:
            self._huge = body


class _Account:
    """Of one token; for one kind of bodies."""

    def __init__(self) -> None:
        self.nbytes = 0
        self.here = 0  # of those that wait


class Body:
    """One of them, on its way until it is dealt with.

    Attributes:
        nbytes: what it wants.
        counts: what it has of its account.
    """

    def __init__(self, bodies: Bodies, account: _Account) -> None:
        self._bodies = bodies
        self.account = account
        self.nbytes = 0
        self.counts = 0

    async def reach(self, nbytes: int, here: int = 0) -> None:
        """Take so much in all, of which so much is `here`. Raises NodeUnavailable if there is no
        room for long."""
        if nbytes <= max(self.nbytes, limits.BODY_FREE_BYTES):
            return
        self.nbytes = nbytes
        # What waits has nothing: else two that have begun would wait for each other.
        self._bodies.leave(self)
        await self._bodies.enter(self, here)

    def end(self) -> None:
        """It takes nothing any more."""
        self._bodies.leave(self)
