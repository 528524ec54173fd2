"""`python -m placement` from bench/, or `python -m bench.placement` from the repository."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from placement.run import SEEDS, STRIDE, main  # noqa: E402

main(
    int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS,
    HERE / "results",
    int(sys.argv[2]) if len(sys.argv) > 2 else STRIDE,
)
