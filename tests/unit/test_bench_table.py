"""The table of the benchmarks tells what was recorded, also what speaks against Hanse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.table import full

MACHINE = {
    "measure": "machine",
    "value": {
        "processor": "a processor", "cores": 2, "workers": 2, "memory_gb": 8, "system": "Linux",
        "python": "CPython 3.11", "versions": {"hanse": "0.1.0"}, "missing": {"ray": "no wheel"},
        "load_before": 0.1, "date": "2026-01-01", "commit": "abc",
    },
}  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Any:
    """A page of these figures: (measure, contestant, value, or how it failed)."""

    def write(*figures: tuple[str, str, float | str]) -> str:
        lines: list[dict[str, Any]] = [MACHINE]
        for measure, peer, figure in figures:
            told = (
                {"status": figure, "said": "it said so"}
                if isinstance(figure, str)
                else {"status": "ok", "value": figure}
            )
            lines.append({"measure": measure, "peer": peer, **told})
        path = tmp_path / "run.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return full(path)

    return write


def row(page: str, title: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_a_goal_is_met_by_the_medians(page: Any) -> None:
    text = page(
        *[("map_range", "hanse", v) for v in (9e6, 5e6, 1e3)],
        *[("map_range", "pool", v) for v in (5e6, 5.5e6, 6e6)],
    )
    assert row(text, "map of 1,000,000")[2:] == ["5.00M/s", "5.50M/s, Pool", "0.91 x", "met"]


def test_a_goal_that_is_missed_and_a_peer_that_is_ahead_are_said(page: Any) -> None:
    text = page(("trip", "hanse", 300.0), ("trip", "executor", 150.0), ("trip", "pool", 100.0))
    assert row(text, "round trip")[-1] == "**not met**"
    assert "- round trip of one submit: ProcessPoolExecutor (2.00 x), Pool (3.00 x)" in text


def test_a_wrong_answer_in_any_round_is_no_figure(page: Any) -> None:
    text = page(("words", "hanse", 50.0), ("words", "ray", 99.0), ("words", "ray", "wrong"))
    assert row(text, "word count")[3] == "-"
    assert "- Ray, word count of this Python's library: wrong: it said so" in text


def test_a_peer_that_hung_is_told_and_counts_for_nothing(page: Any) -> None:
    text = page(("recovery", "hanse", 1.01), ("recovery", "pool", "hung"))
    assert row(text, "SIGKILL of 1 of 2")[-1] == "met"
    assert "hung: it said so" in text


def test_what_could_not_be_installed_is_told(page: Any) -> None:
    assert "Left out: Ray (no wheel)" in page(("trip", "hanse", 1.0))


def test_the_journal_is_measured_against_a_pool_without_one(page: Any) -> None:
    text = page(("map_journal", "hanse", 3e6), ("map_range", "pool", 6e6))
    assert row(text, "the same with a journal")[3:] == ["6.00M/s, Pool", "0.50 x", "**not met**"]
