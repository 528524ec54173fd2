"""Colours of a rehearsal's pictures: told apart by people who see few colours too, on light and on
dark ground (after Okabe and Ito)."""

from __future__ import annotations

from typing import Final

JOBS: Final = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7fbf", "#a0a020",
)  # fmt: skip
FAULTS: Final = {
    "evicted": "#d62728",
    "killed": "#8c1a1a",
    "frozen": "#a5dcf5",
    "cut": "#e8c050",
    "slow": "#c9a5e8",
}
LOST: Final = "#999999"


def of_job(number: int) -> str:
    return JOBS[number % len(JOBS)]
