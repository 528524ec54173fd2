"""Large bodies of one token wait for each other; nobody waits for another's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from hanse import limits
from hanse.errors import NodeUnavailable
from hanse.limits import MIB
from hanse.node.http.bodies import Bodies


def run(body: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 60))


def test_what_finds_no_room_waits_until_there_is_some() -> None:
    async def play() -> None:
        bodies = Bodies(10 * MIB)
        first, second = bodies.begin("lab", ""), bodies.begin("lab", "")
        await first.reach(6 * MIB)
        waits = asyncio.create_task(second.reach(5 * MIB))
        await asyncio.sleep(0)
        assert not waits.done()
        first.end()
        await waits

    run(play())


def test_who_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_WAIT_S", 0.01)

    async def play() -> None:
        bodies = Bodies(10 * MIB)
        first, second, third = (bodies.begin("lab", "") for _ in range(3))
        await first.reach(10 * MIB)
        with pytest.raises(NodeUnavailable):
            await second.reach(MIB)
        second.end()
        first.end()
        await third.reach(10 * MIB)

    run(play())


def test_neither_others_nor_small_ones_nor_what_is_saved_wait() -> None:
    async def play() -> None:
        bodies = Bodies(10 * MIB)
        first, small = bodies.begin("lab", ""), bodies.begin("lab", "")
        other, saved = bodies.begin("other", ""), bodies.begin("lab", "saves")
        await first.reach(10 * MIB)
        await small.reach(limits.BODY_FREE_BYTES)
        await other.reach(10 * MIB)
        await saved.reach(10 * MIB)

    run(play())


def test_one_that_is_alone_may_be_larger_than_all_together() -> None:
    async def play() -> None:
        bodies = Bodies(10 * MIB)
        for _ in range(3):
            body = bodies.begin("lab", "")
            await body.reach(MIB)
            await body.reach(1000 * MIB)
            body.end()

    run(play())
