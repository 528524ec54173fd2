"""What is reckoned for those who look waits its turn.

A quote, or what is expected of a job, may keep a core busy for seconds, and who may only look may
ask for it. So each token has one at a time, and all together a few: the threads and cores are there
for sites and jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from starlette.responses import Response

from hanse import limits
from hanse.errors import NodeUnavailable
from hanse.ids import JobId
from hanse.node.http.call import Call
from hanse.wire import api


class Turns:
    def __init__(self) -> None:
        self._few = asyncio.Semaphore(limits.QUOTES)
        self._each: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, call: Call) -> AsyncIterator[None]:
        """Raises NodeUnavailable if it does not come for long."""
        assert call.token is not None
        own = self._each.setdefault(call.token.account, asyncio.Lock())
        waiting = asyncio.timeout(limits.QUOTE_WAIT_S)
        try:
            async with waiting, own, self._few:
                waiting.reschedule(None)
                yield
        except TimeoutError:
            if not waiting.expired():
                raise
            raise NodeUnavailable("so much is asked for now: come again") from None

    async def quote(self, call: Call) -> Response:
        """What a job would take and cost. Nothing is submitted."""
        asked = await call.told(api.AskQuote, limits.ASKED_BYTES)
        async with self.turn(call):
            pauses = call.board.runtime.settling(asked.of)
            while (pause_s := await call.waiting(next, pauses, None)) is not None:
                await asyncio.sleep(pause_s)
            return call.answer(await call.waiting(call.board.quote, asked))

    async def progress(self, call: Call) -> Response:
        """How many items of a running job are out, and what it waits for."""
        async with self.turn(call):
            return call.answer(await call.waiting(call.board.progress, JobId(call.text("job"))))
