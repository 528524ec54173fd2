"""One state directory serves several journals, and none of them loses anything to another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from postgres import Server
from system.command import as_json, hanse

from hanse.cli.shared import exits

PROGRAM = """
import sys, hanse

def work(n):
    print("item", n)
    return bytes([n]) * 200_000

with hanse.connect() as client:
    print(sum(map(len, client.map(work, range(3), name=sys.argv[1]))))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "prog.py").write_text(PROGRAM)
    return tmp_path / "home"


def run(home: Path, name: str, **env: str) -> None:
    ran = hanse("run", "-q", "prog.py", name, home=home, **env)
    assert ran.stdout.endswith("600000\n"), ran.stderr


def check(home: Path, name: str, **env: str) -> None:
    """The job's results and logs are all there."""
    ran = hanse("export", name, "--to", "out.jsonl", "--force", home=home, **env)
    assert ran.returncode == exits.OK, ran.stderr
    assert hanse("logs", name, home=home, **env).stdout.count("item") == 3
    assert as_json("doctor", "--deep", home=home, **env)["healthy"]


def the_other(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if kind == "sqlite":
        return {"HANSE_JOURNAL": f"sqlite://{tmp_path}/other.sqlite"}
    server: Server = request.getfixturevalue("server")
    server.run("CREATE DATABASE second")
    return {"HANSE_JOURNAL": server.url("second")}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_one_journal_does_not_know_another_ones_collection_leaves_alone(
    kind: str, request: pytest.FixtureRequest, home: Path
) -> None:
    other = the_other(kind, request, home.parent)
    run(home, "first")
    run(home, "second", **other)
    assert hanse("gc", home=home, **other).returncode == exits.OK
    check(home, "first")
    assert hanse("gc", home=home).returncode == exits.OK
    check(home, "second", **other)
    assert hanse("rm", "second", home=home, **other).returncode == exits.OK
    check(home, "first")


def test_the_home_directorys_own_journal_is_the_same_by_its_url(home: Path) -> None:
    run(home, "first")
    check(home, "first", HANSE_JOURNAL=f"sqlite://{home}/journal.sqlite")
    assert not (home / "journals").exists()


@pytest.mark.parametrize("args", [["jobs"], ["gc"], ["job", "x"], ["logs", "x"], ["doctor"]])
def test_who_only_reads_makes_no_journal(home: Path, args: list[str]) -> None:
    path = home.parent / "none.sqlite"
    for env in ({"HANSE_JOURNAL": f"sqlite://{path}"}, {}):
        before = sorted(os.listdir(home.parent))
        hanse(*args, home=home, **env)
        assert sorted(os.listdir(home.parent)) == before
    home.mkdir()
    assert hanse("jobs", home=home).returncode == exits.OK
    assert os.listdir(home) == []


def test_a_journal_that_is_gone_is_no_journal_that_never_was(home: Path) -> None:
    other = {"HANSE_JOURNAL": f"sqlite://{home.parent}/other.sqlite"}
    run(home, "second", **other)
    for end in ("", "-wal", "-shm"):
        (home.parent / f"other.sqlite{end}").unlink(missing_ok=True)
    ran = hanse("jobs", home=home, **other)
    assert ran.returncode == exits.WORLD
    assert "is gone" in ran.stderr
