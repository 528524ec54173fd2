"""Commands beside programs that run: real programs, real jobs, one journal between them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.command import HANSE, as_json, environment, hanse
from system.real import until

from hanse.cli.shared import exits

# Items take their orders from files, so that nothing here depends on how fast anything is.
PROGRAM = """
import os, sys, time, hanse

def work(n):
    with open(f"ran-{n}", "a") as log:
        log.write("x")
    time.sleep(0.02)  # long enough that items do not share a batch with the one that is held
    if n in (3, 5) and not os.path.exists("mended"):
        print(f"item {n} breaks")
        raise ValueError(f"broken {n}")
    if n == 3:
        print("mended!")
    while n == 7 and os.path.exists("hold"):
        time.sleep(0.01)
    return n * n

if __name__ == "__main__":
    with hanse.connect() as client:
        job = client.map(work, range(20), name="squares", on_error="collect")
        print("begun", flush=True)
        print(sum(value for value in job if isinstance(value, int)))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "prog.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextlib.contextmanager
def running(project: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """The program, with item 7 held back, and all others done."""
    (project / "hold").touch()
    with subprocess.Popen([*HANSE, "run", "-q", "prog.py"], cwd=project, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(home)) as ran:  # fmt: skip
        try:
            assert ran.stdout
            assert ran.stdout.readline() == "begun\n"
            until(lambda: as_json("job", "squares", home=home)["done"] == 17)
            yield ran
        finally:
            (project / "hold").unlink(missing_ok=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                ran.wait(20)
            ran.kill()


def ran_times(project: Path, item: int) -> int:
    return len((project / f"ran-{item}").read_text())


def test_a_running_job_is_seen_explained_and_followed_to_its_end(project: Path, home: Path) -> None:
    with running(project, home) as program:
        told = as_json("job", "squares", home=home)
        assert (told["state"], told["done"], told["failed"]) == ("running", 17, 2)
        assert told["holder"]["pid"] == program.pid
        assert hanse("jobs", "--state", "running", "-q", home=home).stdout == f"{told['id']}\n"
        assert "is run by process" in hanse("rm", "squares", home=home).stderr
        explained = as_json("explain", "squares", home=home)
        assert explained["answered"]
        assert explained["lines"]
        with subprocess.Popen([*HANSE, "job", "squares", "--follow"], stderr=subprocess.PIPE,
                              text=True, env=environment(home)) as follower:  # fmt: skip
            (project / "hold").unlink()
            assert follower.stderr
            said = follower.stderr.read()
            assert follower.wait(30) == exits.OK
        assert re.search(r"^squares: 20/20 \(100 %\).*2 failed", said, re.M)
        out, _ = program.communicate(timeout=30)
    assert out.split()[-1] == str(sum(n * n for n in range(20)) - 9 - 25)


def test_a_job_is_cancelled_from_outside(project: Path, home: Path) -> None:
    with running(project, home) as program:
        told = as_json("cancel", "squares", home=home)
        assert (told["state"], told["done"]) == ("cancelled", 17)
        _, said = program.communicate(timeout=30)
        assert program.returncode != 0
        assert "JobCancelled" in said
    assert as_json("job", "squares", home=home)["state"] == "cancelled"


def test_a_killed_programs_job_is_interrupted_and_can_be_cancelled_or_gone_on_with(
    project: Path, home: Path
) -> None:
    with running(project, home) as program:
        os.kill(program.pid, signal.SIGKILL)
        program.wait(30)
    until(lambda: as_json("job", "squares", home=home)["state"] == "interrupted")
    assert "hanse run prog.py" in hanse("explain", "squares", home=home).stdout
    before = ran_times(project, 0)
    ran = hanse("run", "-q", "prog.py", home=home, cwd=project)
    assert ran.returncode == 0, ran.stderr
    assert ran_times(project, 0) == before  # what was committed did not run again
    assert as_json("job", "squares", home=home)["done"] == 18


def test_an_interrupted_job_can_be_cancelled(project: Path, home: Path) -> None:
    with running(project, home) as program:
        os.kill(program.pid, signal.SIGKILL)
        program.wait(30)
    until(lambda: as_json("job", "squares", home=home)["state"] == "interrupted")
    told = as_json("cancel", "squares", home=home)
    assert (told["state"], told["done"]) == ("cancelled", 17)


def test_failed_items_are_retried_and_nothing_else(project: Path, home: Path) -> None:
    assert hanse("run", "-q", "prog.py", home=home, cwd=project).returncode == 0
    again = hanse("retry", "squares", "--failed", home=home, cwd=project)
    assert again.returncode == exits.FAILED, again.stderr
    assert "2 items were run again: 2 of them failed again" in again.stdout
    (project / "mended").touch()
    told = as_json("retry", "squares", "--failed", home=home)
    assert (told["done"], told["failed"], told["retried"]) == (20, 0, 2)
    assert "[3] mended!" in hanse("logs", "squares", home=home).stdout.splitlines()
    assert ran_times(project, 3) == 3
    assert ran_times(project, 0) == 1
    nothing = hanse("retry", "squares", "--failed", home=home)
    assert nothing.returncode == exits.USAGE
    assert "no failed items" in nothing.stderr
    final = hanse("run", "-q", "prog.py", home=home, cwd=project)
    assert final.stdout.split()[-1] == str(sum(n * n for n in range(20)))
    assert ran_times(project, 3) == 3


def test_a_failed_item_is_replayed_where_it_was(project: Path, home: Path) -> None:
    hanse("run", "-q", "prog.py", home=home, cwd=project)
    failed = hanse("replay", "squares", 3, home=home)
    assert failed.returncode == exits.FAILED
    assert failed.stderr.endswith("ValueError: broken 3\n")
    assert 'raise ValueError(f"broken {n}")' in failed.stderr
    assert ran_times(project, 3) == 2  # in the project's directory
    assert hanse("replay", "squares", 4, home=home).stdout == "16\n"
    assert as_json("job", "squares", home=home)["failed"] == 2  # nothing of it is recorded


def test_fresh_starts_over(project: Path, home: Path) -> None:
    for fresh in ([], ["--fresh"]):
        assert hanse("run", "-q", *fresh, "prog.py", home=home, cwd=project).returncode == 0
    assert ran_times(project, 0) == 2
    assert len(as_json("jobs", "--all", home=home)["jobs"]) == 2


NESTED = """
import os, signal, hanse

def inner(n):
    print("inner", n, file=open("ran", "a"))
    return n

def outer(n):
    with hanse.connect() as client:
        total = sum(client.map(inner, range(3), name=f"part-{n}"))
    if not os.path.exists(f"died-{n}"):
        open(f"died-{n}", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return total

with hanse.connect() as client:
    print(sum(client.map(outer, range(2), name="outer")))
    print(sum(client.map(outer, range(2), name="outer")))
"""


def test_fresh_starts_a_job_over_once_in_a_run_whichever_of_its_processes_comes_to_it(
    tmp_path: Path, home: Path
) -> None:
    (tmp_path / "nested.py").write_text(NESTED)
    for times in (1, 2):
        ran = hanse("run", "-q", "--fresh", "nested.py", home=home, cwd=tmp_path)
        assert ran.stdout == "6\n6\n", ran.stderr
        lines = (tmp_path / "ran").read_text().splitlines()
        assert sorted(lines) == sorted([f"inner {n}" for n in range(3)] * 2 * times)
        for n in range(2):
            (tmp_path / f"died-{n}").unlink()


def test_real_results_are_exported(project: Path, home: Path) -> None:
    hanse("run", "-q", "prog.py", home=home, cwd=project)
    target = project / "out.jsonl"
    assert hanse("export", "squares", "--to", target, home=home).returncode == 0
    rows = [json.loads(row) for row in target.read_text().splitlines()]
    assert [row["item"] for row in rows] == list(range(20))
    for n, row in enumerate(rows):
        if n in (3, 5):
            assert row["error"]["message"] == f"broken {n}"
        else:
            assert row["value"] == n * n


def test_folded_results_of_a_real_job_are_refused(project: Path, home: Path) -> None:
    text = PROGRAM.replace("print(sum(value for value in job if isinstance(value, int)))",
                           "import operator; print(job.reduce(operator.add))")  # fmt: skip
    (project / "prog.py").write_text(text)
    (project / "mended").touch()
    assert hanse("run", "-q", "prog.py", home=home, cwd=project).returncode == 0
    ran = hanse("export", "squares", "--to", project / "out.jsonl", home=home)
    assert ran.returncode == exits.USAGE
    assert "reduce()" in ran.stderr


# --- logs -----------------------------------------------------------------------------------------
SPEAKING = """
import os, subprocess, sys, time, hanse

def work(n):
    print(f"item {n} says\\x1b[31m red")
    print("and errs", file=sys.stderr)
    while n == 2 and os.path.exists("hold"):
        time.sleep(0.01)
    return n

if __name__ == "__main__":
    with hanse.connect() as client:
        print(len(list(client.map(work, range(3), name="speaking"))))
"""


def test_logs_show_what_items_printed_and_which(project: Path, home: Path) -> None:
    (project / "prog.py").write_text(SPEAKING)
    assert hanse("run", "-q", "prog.py", home=home, cwd=project).returncode == 0
    rows = hanse("logs", "speaking", home=home).stdout.splitlines()
    for n in range(3):
        assert f"[{n}] item {n} says\\x1b[31m red" in rows
        assert f"[{n}] and errs" in rows
    one = hanse("logs", "speaking", "--item", 1, home=home).stdout
    assert sorted(one.splitlines()) == ["and errs", "item 1 says\\x1b[31m red"]
    told = hanse("logs", "speaking", "--json", home=home).stdout.splitlines()
    pieces = [json.loads(row) for row in told]
    assert {(piece["item"], piece["stream"]) for piece in pieces} == {
        (n, stream) for n in range(3) for stream in ("stdout", "stderr")
    }
    assert hanse("logs", "speaking", "-q", home=home).stdout == ""
    assert hanse("logs", "speaking", "--item", 99, home=home).stdout == ""


def test_logs_are_followed_until_the_job_ends(project: Path, home: Path) -> None:
    (project / "prog.py").write_text(SPEAKING)
    (project / "hold").touch()
    with subprocess.Popen([*HANSE, "run", "-q", "prog.py"], cwd=project, text=True,
                          stdout=subprocess.DEVNULL, env=environment(home)) as program:  # fmt: skip
        until(lambda: hanse("job", "speaking", "-q", home=home).returncode == 0)
        with subprocess.Popen([*HANSE, "logs", "speaking", "--follow"], text=True,
                              stdout=subprocess.PIPE,
                              env=environment(home)) as follower:  # fmt: skip
            assert follower.stdout
            first = follower.stdout.readline()
            (project / "hold").unlink()
            rest = follower.stdout.read()
            assert follower.wait(30) == 0
        assert program.wait(30) == 0
    assert len((first + rest).splitlines()) == 6


# --- on a terminal, and interrupted ---------------------------------------------------------------
ON_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def test_a_terminal_sees_a_bar_of_a_job_that_another_program_runs(
    project: Path, home: Path
) -> None:
    with running(project, home):
        env = environment(home, TERM="xterm", COLUMNS="100")
        with subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, *HANSE, "job", "squares", "--follow"], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as follower:  # fmt: skip
            assert follower.stdin
            assert follower.stdout
            seen = b""
            while b"19/20 (95 %)" not in seen:
                chunk = os.read(follower.stdout.fileno(), 65536)
                assert chunk, seen
                seen += chunk
            follower.stdin.write(b"\x03")
            follower.stdin.flush()
            seen += follower.stdout.read()
            assert follower.wait(30) == exits.INTERRUPTED
        assert seen.rstrip().endswith(b"hanse: interrupted")
        assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")  # the cursor is back
        assert as_json("job", "squares", home=home)["state"] == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_retry_that_is_ended_loses_nothing(
    project: Path, home: Path, number: signal.Signals
) -> None:
    text = PROGRAM.replace("n == 7 and", "n == 5 and")
    (project / "prog.py").write_text(text)
    assert hanse("run", "-q", "prog.py", home=home, cwd=project).returncode == 0
    (project / "mended").touch()
    (project / "hold").touch()
    with subprocess.Popen([*HANSE, "retry", "squares", "--failed"], cwd=project, text=True,
                          stderr=subprocess.PIPE, env=environment(home)) as ran:  # fmt: skip
        until(lambda: as_json("job", "squares", home=home)["done"] == 19)
        busy = hanse("retry", "squares", "--failed", home=home)
        ran.send_signal(number)
        assert ran.stderr
        said = ran.stderr.read()
        assert ran.wait(30) in (exits.INTERRUPTED, -signal.SIGKILL)
    assert "Traceback" not in said
    assert busy.returncode == exits.USAGE
    until(lambda: as_json("job", "squares", home=home)["state"] != "running")
    (project / "hold").unlink()
    final = hanse("run", "-q", "prog.py", home=home, cwd=project)
    assert final.stdout.split()[-1] == str(sum(n * n for n in range(20))), final.stderr
    assert ran_times(project, 3) == 2
