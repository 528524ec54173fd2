"""What a client has for its node goes in order, and whoever waits for that is never forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from system.real import until

from hanse.errors import NodeUnavailable, UsageError
from hanse.remote.outbox import Outbox


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    made = Outbox("the node")
    yield made
    made.close(0)


def unexpected(error: Exception) -> None:
    raise AssertionError(error)


def test_a_flush_waits_for_all_that_was_given_before(outbox: Outbox) -> None:
    came: list[int] = []
    free = threading.Event()
    outbox.send(lambda: free.wait(60) and None, unexpected)
    for number in range(100):
        outbox.send(lambda number=number: came.append(number), unexpected)  # type: ignore[misc]
    assert not outbox.flush(0)
    free.set()
    assert outbox.flush(60)
    assert came == list(range(100))


def test_what_the_node_is_against_is_told_and_keeps_nobody_waiting(outbox: Outbox) -> None:
    def refused() -> None:
        raise UsageError("no")

    told: list[Exception] = []
    outbox.send(refused, told.append)
    assert outbox.flush(60)
    assert [str(error) for error in told] == ["no"]


def test_who_waits_when_it_is_closed_hears_at_once_that_not_all_was_sent(outbox: Outbox) -> None:
    def away() -> None:
        raise NodeUnavailable("nobody is there")

    told: list[Exception] = []
    outbox.send(away, told.append)
    outbox.send(away, told.append)
    with ThreadPoolExecutor(4) as pool:
        flushes = [pool.submit(outbox.flush, 120) for _ in range(4)]
        until(lambda: len(outbox._news._waiters) >= 5)  # type: ignore[attr-defined]
        assert not outbox.close(0)
        assert not any(flush.result(45) for flush in flushes)
    assert not outbox.flush(600)
