"""`hanse doctor` and `hanse demo`, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from system.command import HANSE, as_json, environment, finished, hanse, open_there

from hanse.cli.shared import exits

NAMES = {"cores", "memory", "open files", "processes", "Python", "state directory", "free there",
         "journal", "hanse", "msgspec", "pyarrow"}  # fmt: skip


def large(n: int) -> bytes:
    return bytes([n]) * 200_000


def finding(told: dict[str, Any], name: str) -> dict[str, str]:
    [found] = [found for found in told["findings"] if found["name"] == name]
    return found


# --- doctor ---------------------------------------------------------------------------------------
def test_doctor_looks_at_everything_and_makes_nothing(tmp_path: Path) -> None:
    told = as_json("doctor", home=tmp_path / "home")
    assert told["healthy"]
    assert {found["name"] for found in told["findings"]} >= NAMES
    assert "none yet" in finding(told, "journal")["value"]
    assert not (tmp_path / "home").exists()
    ran = hanse("doctor", home=tmp_path / "home")
    for name in NAMES:
        assert name in ran.stdout


def test_doctor_knows_the_journal_and_checks_all_of_it_when_asked(tmp_path: Path) -> None:
    state = open_there(tmp_path / "home")
    finished(state, large, [1, 2])
    state.close()
    told = as_json("doctor", "--deep", home=state.home)
    assert told["healthy"]
    assert "1 jobs" in finding(told, "journal")["value"]
    assert finding(told, "deep check")["level"] == "ok"
    assert finding(told, "blobs")["value"].startswith("391 KiB of ")


def test_doctor_finds_damage_and_ends_with_1(tmp_path: Path) -> None:
    state = open_there(tmp_path / "home")
    finished(state, large, [1])
    state.close()
    [blob] = [path for path in (state.home / "blobs").rglob("*") if len(path.name) == 64]
    blob.write_bytes(b"something else" + blob.read_bytes()[14:])
    assert as_json("doctor", home=state.home)["healthy"]  # it is found by a deep look alone
    told = as_json("doctor", "--deep", home=state.home, code=exits.FAILED)
    assert not told["healthy"]
    found = [each for each in told["findings"] if each["name"] == "damage"]
    assert {each["level"] for each in found} == {"mend"}
    assert all(blob.name in each["value"] for each in found)
    assert any("entry" in each["value"] for each in found)  # and who needs it
    assert "MEND" in hanse("doctor", "--deep", home=state.home).stdout


@pytest.mark.parametrize(
    ("env", "name", "word"),
    [
        ({"HANSE_CPUS": "many"}, "cores", "number"),
        ({"HANSE_QUOTA": "much"}, "journal", "HANSE_QUOTA"),
    ],
)
def test_doctor_names_a_wrong_variable(
    tmp_path: Path, env: dict[str, str], name: str, word: str
) -> None:
    (tmp_path / "home").mkdir()
    told = as_json("doctor", home=tmp_path / "home", code=exits.FAILED, **env)
    found = finding(told, name)
    assert found["level"] == "mend"
    assert word in found["value"] + found["advice"]


def test_doctor_says_when_the_journal_cannot_be_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "journal.sqlite").write_bytes(b"no database" * 1000)
    ran = hanse("doctor", home=home)
    assert ran.returncode == exits.FAILED
    assert "MEND  journal" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_doctor_minds_limits(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *HANSE, "doctor"], text=True,
        capture_output=True, env=environment(home), check=False,
    )  # fmt: skip
    assert ran.returncode == exits.FAILED
    assert "ulimit -n 4096" in ran.stdout


# --- demo -----------------------------------------------------------------------------------------
def demo_environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    return environment(tmp_path / "home", TMPDIR=str(tmp_path / "tmp"))


def test_the_demo_loses_a_worker_and_proves_its_answer(tmp_path: Path) -> None:
    env = demo_environment(tmp_path)
    ran = subprocess.run([*HANSE, "demo"], capture_output=True, text=True, env=env, check=False)
    assert (ran.stderr, ran.returncode) == ("", exits.OK)
    assert "is killed now, with SIGKILL" in ran.stdout
    assert "the same answer from its record" in ran.stdout
    assert "Every count is the same: the answer is right." in ran.stdout
    assert os.listdir(tmp_path / "tmp") == []
    assert not (tmp_path / "home").exists()


def test_the_demo_tells_programs_too(tmp_path: Path) -> None:
    told = as_json("demo", home=tmp_path / "home")
    assert told["right"]
    assert told["killed"] > 1
    assert told["files"] > 100
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_cleans_up_when_it_is_interrupted(tmp_path: Path, number: int) -> None:
    env = demo_environment(tmp_path)
    with subprocess.Popen([*HANSE, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**env, "PYTHONUNBUFFERED": "1"}) as ran:  # fmt: skip
        assert ran.stdout
        for row in ran.stdout:
            if "SIGKILL" in row:
                break
        ran.send_signal(number)
        _, said = ran.communicate(timeout=30)
    assert (said, ran.returncode) == ("hanse: interrupted\n", exits.INTERRUPTED)
    assert os.listdir(tmp_path / "tmp") == []
