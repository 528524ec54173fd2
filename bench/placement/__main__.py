"""`python -m placement` from bench/, or `python -m bench.placement` from the repository.

With `quick` a few windows and seeds: nothing is written. Else the number of seeds, and of windows
of the spot zones for each deadline. Where rows are left out for want of data the last line says
which, and the exit code is 1.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from placement.run import SEEDS, WINDOWS, main  # noqa: E402

asked = sys.argv[1:]
if asked == ["quick"]:
    with tempfile.TemporaryDirectory() as folder:
        without = main(4, Path(folder), 3, keep=False)
else:
    without = main(
        int(asked[0]) if asked else SEEDS,
        HERE / "results",
        int(asked[1]) if len(asked) > 1 else WINDOWS,
    )
sys.exit(without or 0)
