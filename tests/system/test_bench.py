"""The benchmarks run: every measure, with the contestants that need nothing installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import runner
from bench.measures import FAMILIES
from bench.measures.measure import Sizes

TINY = Sizes(
    items=500, submits=50, trips=5, uneven=20, arrays=2, leaves=20, chains=3, streamed=1000,
    recovery_items=4, recovery_item_s=0.2, text_files=20, largest_scale=1000,
)  # fmt: skip


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a run of these peers and families records."""
    monkeypatch.setattr(runner, "python_of", lambda environment: Path(sys.executable))
    monkeypatch.setattr(runner.machine, "describe", lambda peers, workers: {})

    def run(peers: list[str], families: set[str], **options: Any) -> list[dict[str, Any]]:
        chosen = [family for family in FAMILIES if family.name in families]
        path = tmp_path / "run.jsonl"
        runner.run(runner.Plan(peers, chosen, TINY, 2, rounds=1, **options), path)
        return [json.loads(line) for line in path.read_text().splitlines()]

    return run


@pytest.mark.parametrize("peer", ["hanse", "pool", "executor", "alone"])
def test_every_measure_gives_a_figure_or_says_why_not(figures: Any, peer: str) -> None:
    told = figures([peer], {f.name for f in FAMILIES} - {"recovery"})
    unexpected = [each for each in told if each.get("status") in ("failed", "wrong", "hung")]
    assert not unexpected
    measured = {each["measure"] for each in told if each.get("status") == "ok"}
    assert {"map_range", "map_list", "stream", "stream_memory", "words", "arrays"} <= measured


def test_hanse_offers_everything(figures: Any) -> None:
    told = figures(["hanse"], {f.name for f in FAMILIES})
    assert {each.get("status", "ok") for each in told} == {"ok"}


def test_a_contestant_that_hangs_is_ended_with_all_that_it_started(figures: Any) -> None:
    told = figures(
        ["pool"], {"recovery"}, limit_s=8.0
    )  # its map waits for the dead worker's item for ever
    assert [each["status"] for each in told if each["measure"] == "recovery"] == ["hung"]
    left = [
        p for p in psutil.process_iter(["cmdline"]) if "bench.sitting" in (p.info["cmdline"] or [])
    ]
    assert not left
