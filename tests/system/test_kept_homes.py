"""State directories that earlier versions wrote still open, and their jobs go on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from system.programs import Program, committed, record

HOMES = Path(__file__).parent.parent / "fixtures" / "homes"
KEPT = sorted(path for path in HOMES.iterdir() if path.is_dir() and path.name[0].isdigit())


@pytest.mark.parametrize("home", KEPT, ids=lambda home: home.name)
def test_a_job_that_an_earlier_version_left_half_done_goes_on(
    home: Path, hanse_home: Path, tmp_path: Path
) -> None:
    shutil.copytree(home, hanse_home)
    hanse_home.chmod(0o700)  # whatever mode the working tree was given
    done = committed("half done")
    assert list(done) == [(0, 20)]
    program = Program(tmp_path, (HOMES / "program.py").read_text())
    assert int(program.result()) == sum(x + 7 for x in range(40))
    assert sorted(item for _, item in program.ran()) == list(range(20, 40))
    kept = record("half done")
    assert kept is not None
    assert (kept.head.state, kept.head.done) == ("done", 40)


def test_a_home_of_every_version_is_kept() -> None:
    assert KEPT, f"{sys.executable} scripts/keep_home.py {HOMES}/VERSION makes one"
