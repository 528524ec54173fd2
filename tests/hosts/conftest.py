"""Hosts are made by root on Linux; elsewhere these tests are skipped, but never in CI."""

from __future__ import annotations

import os

import pytest
from hosts import machines


@pytest.fixture(scope="session")
def possible() -> None:
    """Hosts can be made here."""
    why = machines.why_not()
    if why and os.environ.get("CI") == "true":
        pytest.fail(f"CI must be able to make hosts: {why}")
    if why:
        pytest.skip(why)
