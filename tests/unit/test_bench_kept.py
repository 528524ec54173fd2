"""The bench of placement goes on where it was interrupted, with what the same code has found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from placement import lines
from placement.lines import Kept


def test_what_was_found_is_kept_but_for_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "results" / "unfinished.jsonl"
    first = Kept(path)
    first.add("one", {"Hanse": [1.5, True]})
    with path.open("a") as file:
        file.write('{"task": "tw')
    again = Kept(path)
    again.add("three", 3)
    last = Kept(path)
    assert (first.resumed, again.resumed) == (False, True)
    assert (last.get("one"), last.get("two"), last.get("three")) == (
        {"Hanse": [1.5, True]},
        None,
        3,
    )
    last.end()
    assert not path.exists()


def test_what_other_code_has_found_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unfinished.jsonl"
    Kept(path).add("one", 1)
    monkeypatch.setattr(lines, "_SOURCES", (Path(__file__).parent,))
    assert Kept(path).get("one") is None
