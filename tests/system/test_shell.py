"""Command lines as items: `hanse map --shell` and `hanse submit --shell`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from system.command import HANSE, environment, hanse
from system.nodes import Away
from system.real import until

from hanse.cli.shared import exits
from hanse.cli.shared.shells import filled

SAY = f"{shlex.quote(sys.executable)} -c 'import sys; print(sys.argv[1:])'"


@pytest.fixture
def away(node, tmp_path):
    return Away(node, tmp_path / "away")


@pytest.fixture
def files(tmp_path):
    for i in range(5):
        (tmp_path / f"file {i}").write_text(f"content {i}\n")
    return [f"file {i}" for i in range(5)]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_input_is_one_word_of_the_command(values):
    line = filled("run --to={} {}", values[0])
    assert shlex.split(line) == ["run", f"--to={values[0]}", values[0]]
    assert shlex.split(filled("run", values[0])) == ["run", values[0]]


def test_output_comes_in_the_order_of_the_inputs(hanse_home, files):
    ran = hanse("map", "--shell", "cat {}; echo aside >&2", *files, home=hanse_home)
    assert ran.returncode == exits.OK, ran.stderr
    assert ran.stdout == "".join(f"content {i}\n" for i in range(5))
    assert ran.stderr.count("aside\n") == 5


def test_inputs_may_come_by_stdin_and_hostile_ones_are_text(hanse_home):
    inputs = ["$(touch hacked)", "`id`", "a'b", "; exit 3"]
    process = start("map", "--shell", SAY, home=hanse_home)
    out, err = process.communicate("\n".join(inputs) + "\n", timeout=60)
    assert out.splitlines() == [repr([one]) for one in inputs], err


def start(*args, home):
    return subprocess.Popen(
        [*HANSE, *args], env=environment(home), text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_failed_commands_are_told_with_their_exit_codes_and_others_go_on(hanse_home):
    command = "if [ {} = kill ]; then kill -9 $$; fi; exit {}"
    ran = hanse("map", "--json", "--shell", command, "0", "3", "kill", home=hanse_home)
    assert ran.returncode == exits.FAILED
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["exit_code"] for one in told] == [0, 3, -9]
    assert [one["input"] for one in told] == ["0", "3", "kill"]


def test_where_and_with_what_a_command_runs_can_be_said(hanse_home, tmp_path):
    (tmp_path / "there").mkdir()
    ran = hanse(
        "map", "--cwd", "there", "--env", "ONE=1", "--env", "TWO", "--shell",
        "pwd; echo $ONE $TWO; echo", "x", home=hanse_home, TWO="two",
    )  # fmt: skip
    assert ran.stdout.split() == [str(tmp_path / "there"), "1", "two", "x"], ran.stderr
    missing = hanse("map", "--env", "NOT_THERE", "--shell", "true", "x", home=hanse_home)
    assert missing.returncode == exits.USAGE
    nowhere = hanse("map", "--cwd", "nowhere", "--shell", "true", "x", home=hanse_home)
    assert nowhere.returncode == exits.FAILED
    assert "there is no directory" in nowhere.stderr


def test_a_named_map_runs_nothing_twice(hanse_home, tmp_path):
    command = f"echo {{}} | tee -a {shlex.quote(str(tmp_path / 'ran'))}"
    for _ in range(2):
        ran = hanse("map", "--name", "once", "--shell", command, "a", "b", home=hanse_home)
        assert ran.stdout.split() == ["a", "b"], ran.stderr
    assert sorted((tmp_path / "ran").read_text().split()) == ["a", "b"]


def test_ctrl_c_ends_what_runs(hanse_home, tmp_path):
    process = start(
        "map", "--shell", f"echo $$ > {shlex.quote(str(tmp_path / 'pid'))}; sleep 1000 #", "x",
        home=hanse_home,
    )  # fmt: skip
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == exits.INTERRUPTED
    until(lambda: not os.path.exists(f"/proc/{int((tmp_path / 'pid').read_text())}"))


def test_a_command_is_submitted_and_its_end_can_be_seen(away, tmp_path):
    ran = away("submit", "--quiet", "--shell", "echo to stdout; echo to stderr >&2; pwd; exit 7")
    id = ran.stdout.strip()
    assert ran.returncode == 0, ran.stderr
    following = away.start("job", id, "--follow", "--quiet")
    following.communicate(timeout=60)
    assert following.returncode == exits.FAILED
    printed = away("logs", id, "--item", "0").stdout
    assert "to stdout\n" in printed
    assert "to stderr\n" in printed
    assert "ended with exit code 7" in away("job", id, "--failures").stdout


def test_waiting_for_a_command_is_like_running_it(away):
    ran = away("submit", "--wait", "--shell", "echo said; echo aside >&2; exit 5")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("said\n", "aside\n", 5)
    assert away("submit", "--wait", "--shell", "true").returncode == 0


def test_either_a_script_or_a_command(away):
    assert away("submit").returncode == exits.USAGE
    assert away("submit", "--shell", "true", "script.py").returncode == exits.USAGE


def test_a_map_of_commands_runs_on_the_node(away, files, tmp_path):
    ran = away("map", "--cwd", tmp_path, "--shell", "cat {}", *files)
    assert ran.stdout == "".join(f"content {i}\n" for i in range(5)), ran.stderr
