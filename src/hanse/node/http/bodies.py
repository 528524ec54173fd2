"""What bodies that are on their way take: so much is in memory at once, of each token and in all.

A parcel says in its first bytes how large it is. One that finds no room is not read on until there
is some, so its sender waits; in the end it is told to come again. Who came first goes first, so a
large body is not starved by smaller ones behind it; but none waits for one that waits for room of
another token's. Small ones always pass. One that is larger than all of its token may be goes when
it is the only one of these, one such at a time. What of bodies that wait is there already counts by
itself, and beyond a part of their token's room such a body is told to come again at once. So what
is in memory is bounded by all the room, one such body, these parts, and what is small.

Room is held by what is promised, so it costs nothing to hold it: whoever does, and hardly sends
anything, has to give it up as soon as it is in the way of somebody (see `pace`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from hanse import limits
from hanse.errors import NodeUnavailable, WorldError
from hanse.node.http.pace import Pace

_PART = 4  # of a token's room: what those that wait may have here
_LOOK_S = 0.25
_AGAIN = "as much as may be sent at once is on its way: come again"
_SLOW = "the request came so slowly that its room was given to others: come again"


class Bodies:
    """All of them.

    Args:
        each: bytes that those of one account take.
        most: bytes that all take together.
        wait_s: how long one waits for room.
        silent_s: how long nothing may come of one.
        grace_s, rate: see `pace.Pace`.
        held_s: it may not be so slow either that what it promises takes longer than this.
    """

    def __init__(
        self, each: int, most: int,
        wait_s: float = limits.BODY_WAIT_S, silent_s: float = limits.BODY_SILENT_S,
        grace_s: float = limits.BODY_GRACE_S, rate: float = limits.BODY_LEAST_RATE,
        held_s: float = limits.BODY_HELD_S,
    ) -> None:  # fmt: skip
        self.silent_s = silent_s
        self.grace_s = grace_s
        self.rate = rate
        self._held_s = held_s
        self._each = each
        self._most = most
        self._wait_s = wait_s
        self._nbytes = 0
        self._held: dict[Body, None] = {}  # those that take any
        self._huge: Body | None = None  # the one that is larger than its account
        self._accounts: WeakValueDictionary[tuple[str, str], _Account] = WeakValueDictionary()
        self._waiting: dict[Body, asyncio.Future[None]] = {}  # who came first is first
        self._timer: asyncio.TimerHandle | None = None  # while any wait

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
        waiting = 0
        try:
            self._look()
            waiting = 0 if turn.done() else max(0, here - limits.BODY_FREE_BYTES)
            body.account.here += waiting
            if waiting and body.account.here > self._each // _PART:
                raise NodeUnavailable(_AGAIN)
            async with asyncio.timeout(self._wait_s):
                await turn
        except TimeoutError:
            raise NodeUnavailable(_AGAIN) from None
        finally:
            body.account.here -= waiting
            if self._waiting.pop(body, None) is not None:  # it goes, and may have been in the way
                self._look()

    def leave(self, body: Body) -> None:
        """It takes nothing any more."""
        if body.counts:
            body.account.nbytes -= body.counts
            self._nbytes -= body.counts
            body.counts = 0
            del self._held[body]
            if self._huge is body:
                self._huge = None
            self._look()

    def _look(self) -> None:
        """Let in whoever can be, in the order in which they came."""
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again)
        full: set[_Account] = set()
        for body, turn in list(self._waiting.items()):
            if turn.done() or body.account in full:  # it goes just now; those before it come first
                continue
            nbytes, huge = min(body.nbytes, self._each), body.nbytes > self._each
            if body.account.nbytes + nbytes > self._each or (huge and self._huge is not None):
                full.add(body.account)
                self._press(body.account)
                if huge and self._huge is not None:
                    self._huge.press()
                continue
            if self._nbytes + nbytes > self._most:
                self._press()
                return
            self._enter(body, nbytes)
            turn.set_result(None)

    def _look_again(self) -> None:
        """Who is in the way of others may have fallen behind."""
        self._timer = None
        self._look()

    def _press(self, account: _Account | None = None) -> None:
        """All that hold room; of this account only, if one is named."""
        for held in self._held:
            if account is None or held.account is account:
                held.press()

    def _enter(self, body: Body, nbytes: int) -> None:
        del self._waiting[body]
        self._held[body] = None
        body.counts = nbytes
        body.pace.rate = max(self.rate, body.nbytes / self._held_s)
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
        pace: how fast it comes, in bytes as they are when it is expanded.
    """

    def __init__(self, bodies: Bodies, account: _Account) -> None:
        self._bodies = bodies
        self.account = account
        self.nbytes = 0
        self.counts = 0
        self.pace = Pace(bodies.grace_s, bodies.rate)
        self._asked_s = 0.0  # of the loop: when the next of it was asked for
        self._limit: asyncio.Timeout | None = None  # while that is waited for
        self._pressed = False

    async def reach(self, nbytes: int, here: int = 0) -> None:
        """Take so much in all, of which so much is `here`. Raises NodeUnavailable if there is no
        room for long."""
        if nbytes <= max(self.nbytes, limits.BODY_FREE_BYTES):
            return
        self.nbytes = nbytes
        # What waits has nothing: else two that have begun would wait for each other.
        self._bodies.leave(self)
        await self._bodies.enter(self, here)

    async def next(self, stream: AsyncIterator[bytes]) -> bytes | None:
        """What comes of it next; None: that was all. Raises WorldError if nothing comes for long,
        and NodeUnavailable if others want its room and it comes too slowly."""
        time = asyncio.get_running_loop().time
        self._asked_s, self._pressed = time(), False
        try:
            async with asyncio.timeout(self._bodies.silent_s) as self._limit:
                piece = await anext(stream, None)
        except TimeoutError:
            if self._pressed:
                raise NodeUnavailable(_SLOW) from None
            raise WorldError("nothing more came of a request that was on its way") from None
        finally:
            self._limit = None
        self.pace.waited(time() - self._asked_s)
        return piece

    def press(self) -> None:
        """Somebody waits for its room: give it up if it is behind."""
        now_s, limit = asyncio.get_running_loop().time(), self._limit
        if limit is None or limit.expired():  # nothing is waited for; or it gives it up just now
            return
        if not self._pressed and self.pace.behind(now_s - self._asked_s):
            self._pressed = True
            limit.reschedule(now_s)

    def end(self) -> None:
        """It takes nothing any more."""
        self._bodies.leave(self)
