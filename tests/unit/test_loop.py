"""The loop: what a callback may do to the descriptors of others."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from hanse.runtime.loop import Loop


@pytest.fixture
def loop() -> Loop:
    def raise_it(error: BaseException) -> None:
        raise error

    return Loop(raise_it)


def ready_pipe() -> int:
    read, write = os.pipe()
    os.write(write, b"x")
    os.close(write)
    return read


def test_a_descriptor_that_a_callback_closed_is_not_called_in_the_same_step(loop: Loop) -> None:
    called: list[str] = []
    fds = [ready_pipe(), ready_pipe()]

    def close_other(fd: int) -> Callable[[], None]:
        def callback() -> None:
            called.append("first")
            (other,) = {*fds} - {fd}
            loop.unwatch(other)
            os.close(other)
            loop.unwatch(fd)
            loop.call_at(loop.now_ns() + 10_000_000, loop.stop)

        return callback

    for fd in fds:
        loop.watch(fd, close_other(fd))
    loop.run()
    assert called == ["first"]
