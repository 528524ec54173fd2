"""`hanse submit`: a script runs on the node, and its sender may go."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from system.nodes import Away, rest
from system.real import until

from hanse.cli.shared import exits


@pytest.fixture
def away(node, tmp_path):
    return Away(node, tmp_path / "away")


@pytest.fixture
def write(tmp_path):
    def to_file(text: str, name: str = "work.py") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return to_file


def submit(away, *args):
    """The id of the job. Options stand before the script: what follows it is its own."""
    ran = away("submit", "--json", *args)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)["id"]


SPEAKS = """
    import os, sys
    print("arguments:", *sys.argv[1:])
    print("nothing here:", os.listdir("."), file=sys.stderr)
    assert __name__ == "__main__"
    assert [name for name in os.environ if "hanse_" in os.environ[name]] == ["HANSE_TOKEN"]
"""


def test_a_script_runs_there_with_its_arguments_and_its_output_comes_back(away, write):
    id = submit(away, write(SPEAKS), "--some", "-x", "word")
    following = away.start("logs", id, "--follow", "--item", "0")
    out = rest(following)
    assert "arguments: --some -x word\n" in out
    assert "nothing here: ['work.py']\n" in out
    shown = away("job", "work.py").stdout
    assert "done" in shown
    assert "--some -x word" in shown


def test_how_a_script_ends_can_be_seen(away, write):
    path = write("import sys; print('before the end', flush=True); sys.exit(7)")
    submit(away, "--name", "seven", path, "--quiet")
    following = away.start("job", "seven", "--follow", "--quiet")
    following.communicate(timeout=60)
    assert following.returncode == exits.FAILED
    told = away("job", "seven", "--failures").stdout
    assert "work.py ended with exit code 7" in told
    assert "before the end" in told


def test_what_a_command_line_runs_can_ask_its_node_for_more(away, write):
    path = write("""
        import hanse

        def square(x):
            return x * x

        if __name__ == "__main__":
            with hanse.connect() as client:
                print("sum", sum(client.map(square, range(100), name="inner")))
    """)
    done = away("submit", "--wait", "--shell", f"{sys.executable} {path}")
    assert f"sum {sum(x * x for x in range(100))}" in done.stdout, done.stderr
    assert "inner" in {job["name"] for job in away.json("jobs")["jobs"]}


def test_what_hanse_map_runs_is_of_the_machine_that_it_runs_on(away):
    ran = away("map", "--shell", 'echo "$HANSE_URL $HANSE_TOKEN" #', "1")
    assert ran.stdout.split() == ["here"], ran.stderr


WAITS = """
    import os, sys, time
    with open(sys.argv[1], "a") as file:
        print(os.getpid(), file=file, flush=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    print("ended well")
"""


def pids(path):
    return [int(row) for row in path.read_text().splitlines()] if path.exists() else []


def test_a_script_that_is_cancelled_leaves_no_process(away, write, tmp_path):
    id = submit(away, write(WAITS), tmp_path / "pids", tmp_path / "gate")
    until(lambda: pids(tmp_path / "pids"))
    assert away.json("cancel", id)["state"] == "cancelled"
    until(lambda: not psutil.pid_exists(pids(tmp_path / "pids")[0]))


def test_a_script_of_the_same_name_is_refused_while_one_runs_and_begins_anew_after(
    away, write, tmp_path
):
    path, gate = write(WAITS), tmp_path / "gate"
    first = submit(away, path, tmp_path / "pids", gate)
    until(lambda: pids(tmp_path / "pids"))
    refused = away("submit", path, tmp_path / "pids", gate)
    assert refused.returncode == exits.USAGE
    assert "--name" in refused.stderr
    gate.touch()
    rest(away.start("job", first, "--follow", "--quiet"))
    second = submit(away, path, tmp_path / "pids", gate)
    assert second != first
    assert "ended well" in rest(away.start("logs", second, "--follow"))


def test_a_script_runs_again_when_its_node_was_killed(away, node, write, tmp_path):
    id = submit(away, write(WAITS), tmp_path / "pids", tmp_path / "gate")
    until(lambda: len(pids(tmp_path / "pids")) == 1)
    node.kill()
    until(lambda: not psutil.pid_exists(pids(tmp_path / "pids")[0]))
    node.start()
    until(lambda: len(pids(tmp_path / "pids")) == 2)
    (tmp_path / "gate").touch()
    assert "ended well" in rest(away.start("logs", id, "--follow"))
    assert away.json("job", id)["state"] == "done"


def test_without_a_node_there_is_nowhere_to_submit_to(away, write):
    away.env = {}
    ran = away("submit", write(SPEAKS))
    assert ran.returncode == exits.USAGE
    assert "hanse login" in ran.stderr
