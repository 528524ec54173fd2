"""A job of 20,000 items, and all that goes wrong meanwhile. `make chaos SEEDS=200` runs others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosts import chaos


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(4))
def test_every_item_is_committed_once_whatever_fails(possible, seed, tmp_path, capsys):
    measured = chaos.run(seed, chaos.SITES, keep=Path("chaos-failed") / str(seed))
    with capsys.disabled():
        print(f"\n{measured}")
