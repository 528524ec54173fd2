"""Large bodies of one token wait for each other, and only where all is full for another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine

import pytest

from hanse import limits
from hanse.errors import NodeUnavailable, WorldError
from hanse.limits import MIB
from hanse.node.http.bodies import Bodies, Body

EACH = 10 * MIB


def run(body: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 60))


def made(wait_s: float = 60) -> Bodies:
    return Bodies(EACH, 4 * EACH, wait_s)


async def asked(body: Body, nbytes: int) -> asyncio.Task[None]:
    """Its asking, as far as it comes now."""
    asks = asyncio.create_task(body.reach(nbytes))
    for _ in range(3):
        await asyncio.sleep(0)
    return asks


def test_what_finds_no_room_waits_until_there_is_some() -> None:
    async def play() -> None:
        bodies = made()
        first, second = bodies.begin("lab", ""), bodies.begin("lab", "")
        await first.reach(6 * MIB)
        waits = await asked(second, 5 * MIB)
        assert not waits.done()
        first.end()
        await waits

    run(play())


def test_who_waits_too_long_is_told_to_come_again() -> None:
    async def play() -> None:
        bodies = made(wait_s=0.01)
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
        bodies = made()
        first, small = bodies.begin("lab", ""), bodies.begin("lab", "")
        other, saved = bodies.begin("other", ""), bodies.begin("lab", "saves")
        await first.reach(10 * MIB)
        await small.reach(limits.BODY_FREE_BYTES)
        await other.reach(10 * MIB)
        await saved.reach(10 * MIB)

    run(play())


def test_one_that_is_alone_may_be_larger_than_all_together() -> None:
    async def play() -> None:
        bodies = made()
        for _ in range(3):
            body = bodies.begin("lab", "")
            await body.reach(MIB)
            await body.reach(1000 * MIB)
            body.end()

    run(play())


def test_a_large_one_is_not_passed_by_those_that_came_after_it() -> None:
    async def play() -> None:
        bodies = made()
        held = [bodies.begin("lab", "") for _ in range(4)]
        for body in held:
            await body.reach(2 * MIB)
        large = await asked(bodies.begin("lab", ""), 9 * MIB)
        for _ in range(10):
            small = bodies.begin("lab", "")
            waits = await asked(small, 2 * MIB)
            assert not waits.done()  # there would be room for it
        await bodies.begin("other", "").reach(MIB)  # another's goes on
        for body in held:
            assert not large.done()
            body.end()
        await large

    run(play())


def test_all_together_have_a_bound_and_wait_in_turn() -> None:
    async def play() -> None:
        bodies = made()
        held = [bodies.begin(f"lab {number}", "") for number in range(4)]
        for body in held:
            await body.reach(EACH)
        large, small = bodies.begin("late", ""), bodies.begin("later", "")
        large_in, small_in = await asked(large, EACH), await asked(small, MIB)
        assert not large_in.done()
        assert not small_in.done()
        await bodies.begin("late", "").reach(limits.BODY_FREE_BYTES)
        held[0].end()
        await large_in
        assert not small_in.done()
        large.end()
        await small_in

    run(play())


def test_of_those_larger_than_their_tokens_room_there_is_one_at_a_time() -> None:
    async def play() -> None:
        bodies = made()
        first, second, third = (bodies.begin(f"lab {number}", "") for number in range(3))
        await first.reach(1000 * MIB)
        waits = await asked(second, 1000 * MIB)
        assert not waits.done()
        await third.reach(EACH)  # nobody else waits for that
        first.end()
        await waits

    run(play())


def test_two_that_have_begun_do_not_wait_for_each_other() -> None:
    async def play() -> None:
        bodies = made()
        first, second = bodies.begin("lab", ""), bodies.begin("lab", "")
        await first.reach(MIB)
        await second.reach(MIB)
        first_in, second_in = await asked(first, EACH), await asked(second, EACH)
        await first_in
        assert not second_in.done()
        first.end()
        await second_in

    run(play())


def test_who_leaves_while_it_waits_is_in_nobodys_way() -> None:
    async def play() -> None:
        bodies = made()
        first, large, small = (bodies.begin("lab", "") for _ in range(3))
        await first.reach(5 * MIB)
        large_in, small_in = await asked(large, 9 * MIB), await asked(small, 4 * MIB)
        large_in.cancel()
        first.end()  # before it has noticed
        await small_in
        with pytest.raises(asyncio.CancelledError):
            await large_in
        large.end()
        small.end()
        await bodies.begin("lab", "").reach(EACH)

    run(play())


async def nothing() -> AsyncIterator[bytes]:
    await asyncio.get_running_loop().create_future()
    yield b""


def test_one_that_falls_silent_just_as_its_room_is_wanted_is_in_nobodys_way() -> None:
    async def play() -> None:
        bodies = Bodies(EACH, 4 * EACH, silent_s=0, grace_s=0, rate=1e12)
        silent, later = bodies.begin("lab", ""), bodies.begin("lab", "")
        await silent.reach(EACH)
        comes = asyncio.create_task(silent.next(nothing()))
        await asyncio.sleep(0)  # its time is over at the loop's next turn, and it hears of it later
        waits = await asked(later, EACH)
        with pytest.raises(WorldError, match="nothing more came"):
            await comes
        silent.end()
        await waits
        later.end()
        await bodies.begin("lab", "").reach(EACH)

    run(play())
