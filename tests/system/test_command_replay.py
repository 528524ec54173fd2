"""`hanse replay`: an item again, in the foreground, as it was; and where it failed, a debugger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system.command import HANSE, Job, as_json, environment, finished, hanse, open_there

from hanse import limits
from hanse.cli.shared import exits
from hanse.records.state import State

MODULE = """
import os, sys, hanse
def inner(n):
    secret = n * 10
    return 1 // n
def work(n):
    print("it says", n)
    return inner(n)
def tell(n):
    item = hanse.current_item()
    return item.job, item.index, item.key, os.getcwd()
def pair(a, b): return a - b
def large(n): return "x" * n
def leave(n): sys.exit(3)
class Odd:
    def __repr__(self): raise ValueError
def odd(n): return Odd()
def hang(n):
    import time
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_there(tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Path]:
    """A directory with a module of the user's, which only this process can import."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "theirs.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("theirs", None)


def theirs(name: str) -> Callable[..., Any]:
    import theirs

    found: Callable[..., Any] = getattr(theirs, name)
    return found


def recorded(state: State, there: Path, name: str, inputs: list[Any], **more: Any) -> Job:
    job = Job(state, theirs(name), name, cwd=str(there), **more)
    return job.inputs(inputs).ended("failed")


def test_an_item_that_goes_well_shows_its_value(state: State, there: Path) -> None:
    job = recorded(state, there, "work", [0, 2])
    ran = hanse("replay", job.id, 1, home=state.home)
    assert (ran.stdout, ran.returncode) == ("it says 2\n0\n", exits.OK)
    assert f"theirs.work, item 1 of {job.id} (work)" in ran.stderr
    told = hanse("replay", job.id, 1, "--json", home=state.home)
    assert json.loads(told.stdout) == {"item": 1, "ok": True, "repr": "0"}
    assert "it says 2" in told.stderr


def test_an_item_that_fails_shows_the_users_frames_alone(state: State, there: Path) -> None:
    job = Job(state, theirs("work"), "work").inputs([0]).failed(0, message="once").ended("failed")
    ran = hanse("replay", "work", 0, home=state.home)
    assert (ran.stdout, ran.returncode) == ("it says 0\n", exits.FAILED)
    assert "It failed, on attempt 1: raised ValueError: once" in ran.stderr
    assert "in work" in ran.stderr
    assert "in inner" in ran.stderr
    assert ran.stderr.endswith("ZeroDivisionError: integer division or modulo by zero\n")
    assert os.path.join("hanse", "cli") not in ran.stderr
    told = as_json("replay", job.id, 0, home=state.home, code=exits.FAILED)
    assert (told["ok"], told["type"]) == (False, "builtins.ZeroDivisionError")
    quiet = hanse("replay", job.id, 0, "-q", home=state.home)
    assert (quiet.stderr, quiet.returncode) == ("", exits.FAILED)


def test_pdb_stops_where_it_failed(state: State, there: Path) -> None:
    job = recorded(state, there, "work", [0])
    ran = subprocess.run(
        [*HANSE, "replay", job.id, "0", "--pdb"], input="p secret + 7\nup\np n\nquit\n", text=True,
        capture_output=True, env=environment(state.home), check=False, timeout=60,
    )  # fmt: skip
    assert "return 1 // n" in ran.stdout
    assert "(Pdb) 7" in ran.stdout
    assert ran.returncode == exits.FAILED
    assert "Traceback" in ran.stderr


def test_pdb_and_json_exclude_each_other(state: State, there: Path) -> None:
    job = recorded(state, there, "work", [0])
    assert hanse("replay", job.id, 0, "--pdb", "-q", home=state.home).returncode == exits.USAGE


def test_the_item_is_where_and_who_it_was(state: State, there: Path) -> None:
    job = recorded(state, there, "tell", [5, 6])
    told = as_json("replay", job.id, 1, home=state.home)
    assert eval(told["repr"]) == (job.id, 1, f"{job.id}/1", str(there))


def test_a_directory_that_is_gone_is_no_reason_to_fail(state: State, there: Path) -> None:
    job = Job(state, theirs("tell"), "tell", cwd="/not/there").inputs([5]).ended()
    assert hanse("replay", job.id, 0, home=state.home).returncode == exits.OK


def test_several_arguments_arrive_in_their_order(state: State, there: Path) -> None:
    job = recorded(state, there, "pair", [(5, 3)], star=True)
    assert hanse("replay", job.id, 0, home=state.home).stdout == "2\n"


def test_a_function_that_travelled_by_value_needs_no_module(state: State) -> None:
    job = finished(state, lambda n: n + 1, [41])
    assert hanse("replay", job.id, 0, home=state.home).stdout == "42\n"


@pytest.mark.parametrize(("name", "shown"), [("odd", "whose __repr__ raises"), ("large", "xxx")])
def test_any_value_is_shown_within_bounds(state: State, there: Path, name: str, shown: str) -> None:
    job = recorded(state, there, name, [10**6])
    ran = hanse("replay", job.id, 0, home=state.home)
    assert ran.returncode == exits.OK
    assert shown in ran.stdout
    assert len(ran.stdout) < 2 * limits.REPR_CHARS


def test_a_function_that_exits_has_failed(state: State, there: Path) -> None:
    job = recorded(state, there, "leave", [1])
    ran = hanse("replay", job.id, 0, home=state.home)
    assert (ran.returncode, "SystemExit: 3" in ran.stderr) == (exits.FAILED, True)


def test_an_item_that_is_not_there_is_wrong_usage(state: State, there: Path) -> None:
    job = recorded(state, there, "work", [1, 2])
    ran = hanse("replay", job.id, 2, home=state.home)
    assert ran.returncode == exits.USAGE
    assert ran.stderr == f"hanse: job {job.id} has 2 items, numbered from 0\n"


def test_a_module_that_is_gone_is_said(state: State, there: Path) -> None:
    job = recorded(state, there, "work", [1])
    (there / "theirs.py").unlink()
    ran = hanse("replay", job.id, 0, home=state.home)
    assert ran.returncode == exits.USAGE
    assert "cannot be loaded here: ModuleNotFoundError" in ran.stderr


def test_ctrl_c_ends_it_with_one_line(state: State, there: Path) -> None:
    import signal

    job = recorded(state, there, "hang", [1])
    with subprocess.Popen([*HANSE, "replay", job.id, "0"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, env=environment(state.home)) as ran:  # fmt: skip
        assert ran.stdout
        assert ran.stdout.readline() == "up\n"
        ran.send_signal(signal.SIGINT)
        _, said = ran.communicate(timeout=30)
    assert ran.returncode == exits.INTERRUPTED
    assert "Traceback" not in said
    assert said.endswith("hanse: interrupted\n")
