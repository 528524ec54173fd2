"""Commands go on where a record is damaged, can remove it, and say whose directory it must be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from system.command import as_json, finished, hanse, open_there


@pytest.mark.parametrize(
    "what", ["size = 'abc'", "created_s = 9e999", "user = CAST(x'ff' AS TEXT)"]
)
def test_a_damaged_head_stops_no_command_and_can_be_removed(tmp_path: Path, what: str) -> None:
    state = open_there(tmp_path / "home")
    sound, harmed = (finished(state, abs, range(5), name) for name in ("sound", "harmed"))
    state.close()
    journal = sqlite3.connect(tmp_path / "home" / "journal.sqlite")
    with journal:
        what = what.replace("user", "username")
        journal.execute(f"UPDATE jobs SET {what} WHERE id = ?", (harmed.id,))
    journal.close()
    home = tmp_path / "home"
    (home / "logs").mkdir(exist_ok=True)
    (home / "logs" / f"{harmed.id}.jsonl").touch()
    assert hanse("jobs", home=home).returncode == 0
    found = as_json("jobs", home=home)["jobs"]
    assert [(job["id"], job["state"]) for job in found] == [
        (harmed.id, "damaged"), (sound.id, "done")
    ]  # fmt: skip
    assert hanse("gc", home=home).returncode == 0
    deep = hanse("doctor", "--deep", home=home)
    assert harmed.id in deep.stdout
    assert "Traceback" not in deep.stderr
    assert f"hanse rm {harmed.id}" in hanse("job", "harmed", home=home).stderr
    ran = hanse("rm", harmed.id, home=home)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [job["id"] for job in as_json("jobs", home=home)["jobs"]] == [sound.id]


def test_a_state_directory_that_others_may_write_to_is_named_by_every_command(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    ran = hanse("doctor", home=home)
    assert ran.returncode == 1
    assert "chmod go-w" in ran.stdout
    assert f"others may write to {home}" in hanse("jobs", home=home).stderr
