"""Results of a job in coroutines: `async for result in job`, `await job`.

No thread waits for them: the loop's own thread is told when something arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from hanse.client.job import in_notebook

if TYPE_CHECKING:
    from hanse.client.job import Job
    from hanse.client.results import Part, Results

T = TypeVar("T")
_LOOK_S: Final = 0.5


async def each(job: Job[T]) -> AsyncIterator[T]:
    """Results as iterating the job hands them out."""
    if job._rest is not None:
        for value in job._rest:
            yield value
    while (part := await _next_part(job._results, job.comes_next())) is not None:
        error = job.took(part)
        assert job._rest is not None
        for value in job._rest:
            yield value
        if error is not None:
            raise error
    job.end_of_results()


async def everything(job: Job[T]) -> list[T]:
    """All results, as a list; read without waiting for anybody."""
    job.run_ahead()
    return [value async for value in each(job)]


async def _next_part(results: Results, start: int | None) -> Part | None:
    loop = asyncio.get_running_loop()
    while True:
        arrived = loop.create_future()
        results.when_news(partial(_wake, loop, arrived))
        try:
            return results.take(start, 0)
        except TimeoutError:
            # A kernel of a notebook hears of Ctrl-C only when its loop wakes (ipykernel 7).
            every_s = _LOOK_S if in_notebook() else None
            while not arrived.done():
                await asyncio.wait([arrived], timeout=every_s)


def _wake(loop: asyncio.AbstractEventLoop, arrived: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_set, arrived)
    except RuntimeError:
        pass  # the loop was closed: nobody waits there any more


def _set(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
