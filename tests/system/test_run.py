"""`hanse run`, through the real command: the same as `python`, except for the progress."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from system.command import HANSE

SHOW = (
    "import sys; print(sys.argv, sys.path[0], __name__, __file__, sys.modules['__main__'].__file__)"
)
JOB = """
import sys, time, hanse

def work(n):
    time.sleep(0.01)
    if n % 40 == 0:
        print("said", n)
    return n

with hanse.connect() as client:
    print(sum(client.map(work, range(200))))
"""


def python(*args: str, cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=cwd, capture_output=True, text=True, check=False, **kwargs
    )


def hanse(*args: str, cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HANSE, *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **kwargs,
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "args",
    [
        ["s.py", "-x", "--help", "--", "--no-progress"],
        ["./s.py"],
        ["sub/../s.py"],
        ["sub"],
        ["-m", "s", "--quiet"],
        ["-m", "sub", "-m", "x"],
        ["-m", "sub.deep"],
    ],
    ids=" ".join,
)
def test_a_program_cannot_tell_that_it_was_not_started_by_python(
    tmp_path: Path, args: list[str]
) -> None:
    for file in ("s.py", "sub/__main__.py", "sub/deep.py"):
        write(tmp_path / file, SHOW)
    theirs = python(*args, cwd=tmp_path)
    ours = hanse("run", *args, cwd=tmp_path)
    assert (ours.stdout, ours.stderr, ours.returncode) == (theirs.stdout, "", 0)
    assert ours.stdout


def test_exit_handlers_still_find_the_program(tmp_path: Path) -> None:
    write(
        tmp_path / "s.py",
        "import atexit, sys\nword = 'here'\n"
        "atexit.register(lambda: print(word, sys.modules['__main__'].word))",
    )
    assert hanse("run", "s.py", cwd=tmp_path).stdout == "here here\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nope.py"], "hanse: cannot read nope.py: No such file or directory\n"),
        (["."], "hanse: . is a directory without a __main__.py\n"),
        (["-m", "nope.nope"], "hanse: there is no module named nope.nope\n"),
        (["-m", "importlib"], "hanse: importlib is a package without a __main__ module\n"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, args: list[str], said: str) -> None:
    ran = hanse("run", *args, cwd=tmp_path)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", said, 2)


@pytest.mark.parametrize(
    "program",
    [
        "def f():\n    1 / 0\nf()",
        "x = (",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('no') from e",
        "class Own(BaseException): pass\nraise Own('x')",
        "import sys; sys.exit(7)",
        "import sys; sys.exit('bye')",
        "import sys; sys.exit()",
        "import sys; sys.stdout.close()",
        "import sys; sys.excepthook = lambda *a: print('mine', a[0].__name__); 1 / 0",
    ],
)
def test_a_program_that_ends_badly_ends_as_under_python(tmp_path: Path, program: str) -> None:
    write(tmp_path / "s.py", program)
    theirs = python("s.py", cwd=tmp_path)
    ours = hanse("run", "s.py", cwd=tmp_path)
    assert (ours.stderr, ours.stdout) == (theirs.stderr, theirs.stdout)
    assert ours.returncode == theirs.returncode


def test_ctrl_c_ends_a_program_with_one_line(tmp_path: Path) -> None:
    write(tmp_path / "s.py", "import time\nprint('up', flush=True)\ntime.sleep(60)")
    with subprocess.Popen(
        [*HANSE, "run", "s.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout
        assert ran.stdout.readline() == b"up\n"
        ran.send_signal(signal.SIGINT)
        _, said = ran.communicate(timeout=30)
    assert (said, ran.returncode) == (b"hanse: interrupted\n", 130)


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("last", ["", "raise SystemExit(0)"])
def test_a_reader_that_goes_away_is_no_drama(tmp_path: Path, lines: int, last: str) -> None:
    program = f"import time; time.sleep(0.3)\nfor i in range({lines}): print(i)\n{last}"
    write(tmp_path / "s.py", program)
    with subprocess.Popen(
        [*HANSE, "run", "s.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout
        assert ran.stderr
        ran.stdout.close()
        assert ran.stderr.read() == b""
        assert ran.wait(30) == 141


def test_a_broken_pipe_of_the_programs_own_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "s.py", "raise BrokenPipeError('a socket of mine')")
    ran = hanse("run", "s.py", cwd=tmp_path)
    assert ran.stderr.endswith("BrokenPipeError: a socket of mine\n")
    assert ran.returncode == 1


def test_the_command_explains_itself(tmp_path: Path) -> None:
    assert "run " in hanse("--help", cwd=tmp_path).stdout
    assert "--no-progress" in hanse("run", "--help", cwd=tmp_path).stdout
    wrong = hanse("run", "--nope", "s.py", cwd=tmp_path)
    assert (wrong.returncode, "No such option" in wrong.stderr) == (2, True)


def test_the_command_knows_its_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"hanse \d+\.\d+\S*\n", hanse("--version", cwd=tmp_path).stdout)


def test_a_pipe_sees_a_last_line_and_no_control_characters(tmp_path: Path) -> None:
    write(tmp_path / "s.py", JOB)
    ran = hanse("run", "s.py", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "19900"
    assert re.search(r"^work: 200/200 \(100 %\), [\d.,]+/s, [\d.]+ s$", ran.stderr, re.M)
    assert "\x1b" not in ran.stderr


@pytest.mark.parametrize("how", ["option", "environment"])
def test_progress_can_be_turned_off(tmp_path: Path, how: str) -> None:
    write(tmp_path / "s.py", JOB)
    if how == "option":
        ran = hanse("run", "--no-progress", "s.py", cwd=tmp_path)
    else:
        ran = hanse("run", "s.py", cwd=tmp_path, env={**os.environ, "HANSE_PROGRESS": "0"})
    assert (ran.stderr, ran.returncode) == ("", 0)


# In a process of its own: a fork of pytest would take its threads and buffers along.
ON_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def on_terminal(args: list[str], cwd: Path, interrupt_on: bytes = b"") -> tuple[str, int]:
    """Run the command on a pseudo-terminal; returns all that it wrote there, and its status."""
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    env.pop("HANSE_PROGRESS", None)
    with subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *HANSE, *args],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as ran:
        assert ran.stdin
        assert ran.stdout
        seen = b""
        # When the terminal's holder dies, its terminal hangs up on the program.
        deadline = threading.Timer(120, ran.kill)
        deadline.start()
        while chunk := os.read(ran.stdout.fileno(), 65536):
            seen += chunk
            if interrupt_on and interrupt_on in seen:
                ran.stdin.write(b"\x03")
                ran.stdin.flush()
                interrupt_on = b""
        deadline.cancel()
        return seen.decode(), ran.wait(30)


def test_a_terminal_sees_a_live_bar_and_the_programs_prints_above_it(tmp_path: Path) -> None:
    write(tmp_path / "s.py", JOB)
    seen, status = on_terminal(["run", "s.py"], tmp_path)
    assert status == 0, seen
    live = [int(done) for done in re.findall(r"(\d+)/200 \(\d+ %\)", seen)]
    assert live == sorted(live)
    assert len(set(live)) >= 3
    assert re.search(r"[\d.]+ s left", seen)
    assert seen.rindex("\x1b[?25h") < seen.rindex("work: 200/200")  # the cursor is back
    screen = [line.rpartition("\x1b[2K")[2].strip("\r\n") for line in seen.split("\n")]
    for n in range(0, 200, 40):
        assert f"said {n}" in screen
    assert "19900" in screen


def test_a_program_that_is_killed_leaves_a_cursor(tmp_path: Path) -> None:
    killed = JOB.replace(
        "if n % 40 == 0:", "if n == 150: import os, signal; os.kill(PID, 9)\n    if 0:"
    )
    write(tmp_path / "s.py", f"import os\nPID = os.getpid()\n{killed}")
    seen, status = on_terminal(["run", "s.py"], tmp_path)
    assert status != 0
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")


def test_ctrl_c_on_a_terminal_leaves_it_tidy(tmp_path: Path) -> None:
    write(tmp_path / "s.py", JOB.replace("range(200)", "range(1_000_000)"))
    seen, status = on_terminal(["run", "s.py"], tmp_path, interrupt_on=b" left")
    assert status == 130, seen
    assert seen.rstrip().endswith("hanse: interrupted")
    assert "Traceback" not in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
