"""All links of a node at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hanse import limits
from hanse.model.fit import Offer
from hanse.node.links import Links


class Link:
    def __init__(self, close: Callable[[], object]) -> None:
        self.close = close


def links(directory: Path, *closes: Callable[[], object]) -> Links:
    made = Links(None, directory / "links", "n", Offer(), None)  # type: ignore[arg-type]
    made._up = {str(number): Link(each) for number, each in enumerate(closes)}  # type: ignore[misc]
    return made


def test_all_homes_are_left_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(5)
    links(tmp_path, *[lambda: together.wait(30)] * 5).close()
    assert not together.broken


def test_a_home_that_does_not_answer_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_LEAVE_S", 0.01)
    never, left = threading.Event(), threading.Event()
    links(tmp_path, never.wait, left.set).close()
    assert left.wait(30)
    never.set()
