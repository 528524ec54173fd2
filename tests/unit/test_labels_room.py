"""What comes before a body says how large it is takes room, too."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.requests import Request

from hanse.errors import NodeUnavailable
from hanse.limits import KIB, MIB
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.tokens import Role, Token, Tokens

EACH = 8 * MIB
PIECE = 64 * KIB
TOKEN = Token(id="t-1", digest="", role=Role.SUBMIT, name="eve", created_s=0.0)


class Sender:
    """Sends the label of a parcel, and never the last byte of it."""

    def __init__(self, nbytes: int) -> None:
        self.came = 0
        self._left = nbytes
        self._pieces = [nbytes.to_bytes(4, "big")]

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        piece = self._pieces.pop() if self._pieces else bytes(min(PIECE, self._left - 1))
        if not piece:
            await asyncio.Event().wait()
        self._left -= len(piece)
        self.came += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def ask(self, bodies: Bodies) -> None:
        scope = {"type": "http", "headers": [], "path_params": {}}
        request = Request(scope, cast("Any", self.receive))
        call = Call(request, None, TOKEN, cast("Tokens", None), bodies)
        try:
            await call.parcel(object)
        finally:
            call.end()
            self.came = 0


def test_labels_take_no_more_than_the_room_of_their_token() -> None:
    async def play() -> None:
        bodies = Bodies(EACH, 4 * EACH, wait_s=60)
        senders = [Sender(2 * MIB) for _ in range(64)]
        asking = [asyncio.create_task(each.ask(bodies)) for each in senders]
        most = 0
        for _ in range(3000):
            await asyncio.sleep(0)
            most = max(most, sum(each.came for each in senders))
        assert EACH - 2 * MIB < most <= EACH + len(senders) * (4 + PIECE)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    asyncio.run(asyncio.wait_for(play(), 100))


def test_of_those_that_wait_few_have_large_labels() -> None:
    async def play() -> None:
        bodies = Bodies(EACH, 4 * EACH, wait_s=60)
        first = bodies.begin("lab", "")
        await first.reach(EACH)
        waiting = [
            asyncio.create_task(bodies.begin("lab", "").reach(3 * MIB, MIB)) for _ in range(5)
        ]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(task.exception(), NodeUnavailable) for task in done)
        assert len(done) == 3, "two others hold three quarters of a MiB each"
        few = asyncio.create_task(bodies.begin("lab", "").reach(3 * MIB, PIECE))
        await asyncio.sleep(0.01)
        assert not few.done()
        for task in (*waiting, few):
            task.cancel()
        await asyncio.gather(*waiting, few, return_exceptions=True)

    asyncio.run(asyncio.wait_for(play(), 100))
