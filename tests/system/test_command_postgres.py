"""The same commands on a journal in PostgreSQL, and what they say when it is not there."""

from __future__ import annotations

from pathlib import Path

from postgres import Server
from system.command import as_json, hanse

from hanse.cli.shared import exits

PROGRAM = """
import os, hanse

def work(n):
    if n == 3 and not os.path.exists("mended"):
        raise ValueError("broken")
    return bytes([n]) * 200_000

with hanse.connect() as client:
    job = client.map(work, range(10), name="large", on_error="collect")
    print(sum(isinstance(value, bytes) for value in job))
"""


def test_every_command_works_on_a_journal_in_postgresql(server: Server, tmp_path: Path) -> None:
    server.run("CREATE DATABASE commands")
    home, journal = tmp_path / "home", {"HANSE_JOURNAL": server.url("commands")}
    (tmp_path / "prog.py").write_text(PROGRAM)
    assert hanse("run", "-q", "prog.py", home=home, **journal).stdout == "9\n"
    [job] = as_json("jobs", home=home, **journal)["jobs"]
    assert (job["state"], job["done"], job["failed"]) == ("done", 9, 1)
    for args in (["job", "large"], ["job", "large", "--follow"], ["explain", "large"],
                 ["logs", "large"], ["cancel", "large"], ["doctor", "--deep"],
                 ["gc", "--dry-run"], ["export", "large", "--to", "out.jsonl"]):  # fmt: skip
        ran = hanse(*args, home=home, **journal)
        assert ran.returncode == exits.OK, (args, ran.stderr, ran.stdout)
    assert hanse("replay", "large", 3, home=home, **journal).returncode == exits.FAILED
    (tmp_path / "mended").touch()
    assert as_json("retry", "large", "--failed", home=home, **journal)["done"] == 10
    assert as_json("gc", "--older-than", "0s", home=home, **journal)["jobs"] == [job["id"]]
    assert hanse("job", "large", home=home, **journal).returncode == exits.NO_SUCH_JOB
    assert hanse("run", "-q", "prog.py", home=home, **journal).stdout == "10\n"
    assert hanse("rm", "large", home=home, **journal).returncode == exits.OK


def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://joe:secret@127.0.0.1:1/nothing"
    for args in (["jobs"], ["job", "x"], ["gc"], ["doctor"]):
        ran = hanse(*args, home=tmp_path / "home", HANSE_JOURNAL=url)
        assert ran.returncode == (exits.FAILED if args == ["doctor"] else exits.WORLD)
        assert "cannot be reached" in ran.stdout + ran.stderr
        assert "secret" not in ran.stdout + ran.stderr
