"""`hanse quote`, before real nodes with prices."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from system.command import HANSE, SRC, as_json, environment, hanse
from system.nodes import Away
from system.real import until
from system.test_aims import federation
from system.test_links import Hosts, hosts, link

import hanse as this
from hanse.cli.quote import _run
from hanse.cli.shared import quoted

__all__ = ["hosts"]

SCRIPT = """
import functools, pathlib, sys, time
import hanse

def lies(item):
    return hanse.Data("north", "1GB")

def work(_value, item):
    time.sleep(0.05)
    return item

if __name__ == "__main__":
    with hanse.connect() as client:
        if "n" in sys.argv:
            client.map(pow, range(400), [2] * 400, name="n", fresh="fresh" in sys.argv)
        with_value = functools.partial(work, client.put("what all items share"))
        for result in client.map(with_value, range(400), data=lies):
            pathlib.Path("ran").touch()
"""


def test_a_script_is_quoted_by_a_sample_of_which_nothing_stays(
    hosts: Hosts, tmp_path: Path
) -> None:
    home, _ = federation(hosts)
    away = Away(home, tmp_path / "away")
    away.env = {**away.env, "PYTHONPATH": str(SRC)}  # the script's
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    told = away.json("quote", "--deadline", "1h", "--budget", "1000", "--sample", "12", script)
    assert told["items"] == 400
    assert 4 <= told["timed"] <= 12
    assert told["item_s"] >= 0.05
    fastest, *_, cheapest = told["rows"]
    assert len(fastest["sites"]) == 2
    assert len(cheapest["sites"]) == 1
    assert 400 * 0.02 < cheapest["cost"] < fastest["cost"], "each gigabyte moves"
    assert [row["met"] for row in told["rows"] if row["deadline_s"] == 3600] == ["sure"]
    assert not (tmp_path / "ran").exists(), "the script went no further"
    assert away.json("jobs")["jobs"] == [], "the sample is forgotten"
    only = away.json("quote", "--regions", "south", script)
    assert len(only["refused"]) == 1

    client = home.connect()
    with client:
        named = client.map(pow, range(400), [2] * 400, name="n")
        list(named)
    of_job = away.json("quote", "n", "--deadline", "1h")
    assert of_job["items"] == 0
    assert of_job["timed"] > 0
    assert away.json("quote", script, "n")["items"] == 0, "by its name"
    assert away.json("quote", script, "n", "fresh")["items"] == 400
    shown = away("quote", "--deadline", "1h", script)
    assert "DEADLINE" in shown.stdout
    assert "that were timed" in shown.stdout


NOTED = """
import os, time
import hanse

def work(item):
    with open(LEDGER, "a") as file:
        file.write(os.environ["HANSE_HOME"] + "\\n")
    time.sleep(0.05)

if __name__ == "__main__":
    with hanse.connect() as client:
        client.map(work, range(400))
"""


def test_a_sample_runs_only_where_the_job_would(hosts: Hosts, tmp_path: Path) -> None:
    home = hosts.node("home", "--cpus", "1", "--label", "spot")
    link(hosts.node("site", "--cpus", "1"), home)
    away = Away(home, tmp_path / "away")
    away.env = {**away.env, "PYTHONPATH": str(SRC)}
    script, ledger = tmp_path / "script.py", tmp_path / "ledger"
    script.write_text(NOTED.replace("LEDGER", repr(str(ledger))))
    assert away.json("quote", "--no-spot", script)["timed"]
    assert {Path(line).name for line in ledger.read_text().splitlines()} == {"site"}


INTERRUPTED = """
import pathlib, sys, time
import hanse

def work(item):
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(60)

if __name__ == "__main__":
    with hanse.connect(sys.argv[2]) as client:
        client.map(work, range(400)).wait()
"""


@pytest.mark.parametrize("place", ["node", "here"])
def test_nothing_stays_of_a_quote_that_is_interrupted_wherever_its_script_connects(
    hosts: Hosts, tmp_path: Path, place: str
) -> None:
    script, ran = tmp_path / "script.py", tmp_path / "ran"
    script.write_text(INTERRUPTED.replace("sys.argv[1]", repr(str(ran))))
    url, home, env = "here", tmp_path / "home", {"PYTHONPATH": str(SRC)}
    if place == "node":  # which the command itself is not told of, as a script may name any
        node = hosts.node("home")
        url, home = node.url, node.home
    quoting = subprocess.Popen(
        [*HANSE, "quote", str(script), "-", url], env=environment(home, **env), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    until(ran.exists)
    os.killpg(quoting.pid, signal.SIGINT)
    _, told = quoting.communicate(timeout=60)
    assert (quoting.returncode, "Traceback" in told) == (130, False)
    jobs = as_json("jobs", home=home, HANSE_URL=url, **env)["jobs"]
    assert jobs == []


def test_a_script_that_is_interrupted_before_its_map_is_quiet(tmp_path: Path) -> None:
    script, ran = tmp_path / "script.py", tmp_path / "ran"
    script.write_text(f"open({str(ran)!r}, 'w').close()\nimport time\ntime.sleep(60)")
    quoting = subprocess.Popen(
        [*HANSE, "quote", str(script)], env=environment(tmp_path / "home", PYTHONPATH=str(SRC)),
        text=True, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until(ran.exists)
    os.killpg(quoting.pid, signal.SIGINT)
    _, told = quoting.communicate(timeout=60)
    assert (quoting.returncode, told.strip()) == (130, "hanse: interrupted")


def test_a_script_without_a_map_has_no_quote(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("print('nothing')")
    told = hanse("quote", script, home=tmp_path / "home")
    assert told.returncode == 2
    assert "script.py made no map" in told.stderr
    there_is_none = hanse("quote", tmp_path / "other.py", home=tmp_path / "home")
    assert (there_is_none.returncode, "there is no script" in there_is_none.stderr) == (2, True)


def test_a_script_that_fails_is_not_said_to_have_no_map(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import hanse\nhanse.connect().map(abs, [1], data=lambda item: 1 / 0)")
    told = hanse("quote", script, home=tmp_path / "home", PYTHONPATH=str(SRC)).stderr
    assert "ZeroDivisionError" in told
    assert "script.py ended with exit code 1, so there is nothing to quote" in told


def test_a_sample_that_fails_and_one_that_is_not_run_are_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import hanse\nhanse.connect().map(int, ['many'] * 200)")
    for words, said in (
        ([], "The sample: 5 of 5 items failed. The first: raised ValueError: invalid literal"),
        (["--sample", "0"], "The sample: none was run"),
        (["--regions", ""], "regions must be names of regions"),
    ):
        told = hanse("quote", *words, script, home=tmp_path / "home", PYTHONPATH=str(SRC))
        assert said in told.stdout + told.stderr
        assert "get nothing" not in told.stdout


def test_what_this_machine_may_not_run_is_said_in_one_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import hanse\nhanse.connect().map(abs, range(200))")
    told = hanse("quote", "--regions", "south", script, home=tmp_path / "home", PYTHONPATH=str(SRC))
    assert (told.returncode, told.stdout) == (2, "")
    (said,) = told.stderr.splitlines()
    assert said.startswith("hanse: this program runs on no node, and its own machine cannot")
    assert said.endswith("it names no region and is not among those allowed: south")


CHANGED = """
import sys
import hanse

def work(item):
    return item OTHER

if __name__ == "__main__":
    with hanse.connect() as client:
        list(client.map(work, range(int(sys.argv[1])), name="kept"))
"""


def test_a_quote_refuses_what_a_run_would_refuse_in_its_words(tmp_path: Path) -> None:
    script, home, env = tmp_path / "script.py", tmp_path / "home", {"PYTHONPATH": str(SRC)}
    script.write_text(CHANGED.replace("OTHER", ""))
    assert hanse("run", script, "60", home=home, **env).returncode == 0
    assert as_json("quote", script, "60", home=home, **env)["items"] == 0
    for count, line in ((200, "it has more inputs than the 60 of before"),
                        (40, "it has 40 inputs, and had 60")):  # fmt: skip
        told = hanse("quote", script, str(count), home=home, **env)
        assert (told.returncode, told.stdout, line in told.stderr) == (2, "", True)
        words = told.stderr.removeprefix("hanse: ")
        assert words.startswith("the job 'kept' (j-")
        assert words in hanse("run", script, str(count), home=home, **env).stderr
    script.write_text(CHANGED.replace("OTHER", "+ 1"))
    told = hanse("quote", script, "60", home=home, **env)
    assert (told.returncode, "is recorded with something else" in told.stderr) == (2, True)


def test_nothing_is_imported_from_where_somebody_is_but_beside_the_script(tmp_path: Path) -> None:
    around, beside = tmp_path / "around", tmp_path / "beside"
    for name in ("hanse", "hanse/cli"):
        (around / name).mkdir(parents=True)
    for name in ("click.py", "queue.py", "signal.py", "hanse/__init__.py", "hanse/cli/__init__.py"):
        (around / name).write_text("raise SystemExit('it was taken')")
    beside.mkdir()
    (beside / "near.py").write_text("NEAR = 'near'")
    script = beside / "script.py"
    script.write_text("import click, queue, sys, near, hanse\n"
                      "print(near.NEAR, hanse.__file__, sys.argv[1:], '' in sys.path)")  # fmt: skip
    ran = subprocess.run(
        quoted.command(str(script), ["one"]), cwd=around, capture_output=True, text=True,
        check=False, timeout=90, env=environment(tmp_path / "home", PYTHONPATH=""),
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["near", this.__file__, "['one']", "False"]


def test_ctrl_c_is_heard_again_where_a_script_could_not_be_begun(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(FileNotFoundError):
        _run([str(tmp_path / "no such program")], {})
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
