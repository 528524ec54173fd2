"""Keep a state directory as this version of Hanse writes it, for the tests of later ones.

    python scripts/keep_home.py tests/fixtures/homes/0.1.0

Runs tests/fixtures/homes/program.py until half of its named job is done, kills it (SIGKILL), and
keeps what is left. `tests/system/test_kept_homes.py` resumes every home that is kept there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hanse.records.state import State, open_state

HOMES = Path(__file__).parent.parent / "tests" / "fixtures" / "homes"


def main(target: Path) -> None:
    if target.exists():
        raise SystemExit(f"{target} is there already: what a version wrote is kept as it is")
    os.environ["HANSE_HOME"] = str(target.absolute())
    told = {**os.environ, "BLOCK": "1", "RUN": "1", "LOG": os.devnull}
    process = subprocess.Popen([sys.executable, str(HOMES / "program.py")], env=told)
    state = None
    while state is None or not half_done(state):
        if process.poll() is not None:
            raise SystemExit("the program ended")
        time.sleep(0.1)
        state = state or open_state(create=False)
    process.kill()
    process.wait()
    state.close()  # the last to close moves the log into the journal
    for leftover in target.rglob("*.locks"):
        leftover.unlink()


def half_done(state: State) -> bool:
    head = state.journal.find("half done")
    return head is not None and head.done == 20


if __name__ == "__main__":
    main(Path(sys.argv[1]))
