"""What all commands have in common: words, exit codes, JSON, and readers that go away."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.command import HANSE, SRC, Job, as_json, environment, finished, hanse, open_there

from hanse.cli.main import COMMANDS, main
from hanse.cli.shared import exits
from hanse.records.state import State

ON_JOBS = (["job"], ["logs"], ["explain"], ["cancel"], ["retry", "--failed"], ["rm"],
           ["export", "--to", "x.jsonl"], ["replay"])  # fmt: skip


def double(n: int) -> int:
    return 2 * n


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


def arguments(command: list[str], job: str) -> list[str]:
    name, *options = command
    return [name, job, *(["0"] if name == "replay" else []), *options]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_there(tmp_path / "home")
    yield opened
    opened.close()


# --- help -----------------------------------------------------------------------------------------
def test_the_help_lists_every_command_and_every_exit_code(tmp_path: Path) -> None:
    said = hanse("--help", home=tmp_path / "home").stdout
    for name, (_, words) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(words)}$", said, re.M)
    for code, meaning in exits.MEANINGS.items():
        assert re.search(rf"^ +{code}  {re.escape(meaning)}$", said, re.M)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_begins_its_help_with_the_line_that_the_group_shows(name: str) -> None:
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help is not None
    first = " ".join(command.help.split("\n\n")[0].split())
    assert first.startswith(COMMANDS[name][1].rstrip("."))


SPEAKING = [name for name in COMMANDS if name not in ("run", "token")]


@pytest.mark.parametrize("name", [*SPEAKING, "token create", "token list", "token revoke"])
def test_every_command_can_speak_json_and_be_quiet(tmp_path: Path, name: str) -> None:
    said = hanse(*name.split(), "-h", home=tmp_path / "home").stdout
    assert "--json" in said
    assert "--quiet" in said
    both = hanse(*name.split(), "--json", "--quiet", home=tmp_path / "home")
    assert both.returncode == 2


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "s.py"]], ids=" ".join)
def test_help_and_run_import_no_other_command_and_nothing_heavy(
    tmp_path: Path, args: list[str]
) -> None:
    (tmp_path / "s.py").write_text("pass")
    code = (
        f"import sys; sys.path.insert(1, {str(SRC)!r}); sys.argv[1:] = {args!r}\n"
        "from hanse.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith(('hanse.', 'rich', 'msgspec'))))"
    )
    ran = python(code, tmp_path)
    loaded = eval(ran.stdout.splitlines()[-1])
    assert set(loaded) <= {
        "hanse.cli", "hanse.cli.main", "hanse.cli.shared", "hanse.cli.shared.exits",
        "hanse.cli.shared.command", "hanse.cli.shared.output", "hanse.cli.shared.pipes",
        "hanse.cli.run", "hanse.cli.shared.program", "hanse.errors",
    }, ran.stderr  # fmt: skip


# --- errors ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ON_JOBS, ids=" ".join)
@pytest.mark.parametrize("journal", [False, True], ids=["no journal", "journal"])
def test_a_job_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, command: list[str], journal: bool
) -> None:
    home = tmp_path / "home"
    if journal:
        open_there(home).close()
    ran = hanse(*arguments(command, "no\x1bpe"), home=home)
    assert (ran.stdout, ran.returncode) == ("", exits.NO_SUCH_JOB)
    assert re.fullmatch(r"hanse: there is no job 'no\\x1bpe'.*\n", ran.stderr)
    told = as_json(*arguments(command, "nope"), home=home, code=exits.NO_SUCH_JOB)
    assert told["error"]["code"] == "no-such-job"
    assert "'nope'" in told["error"]["message"]
    assert home.exists() == journal  # looking makes nothing


def test_a_name_that_is_nearly_right_is_recognised(state: State) -> None:
    finished(state, double, [1], "counting")
    assert "perhaps 'counting'" in hanse("job", "countign", home=state.home).stderr


@pytest.mark.parametrize(
    "args",
    [["jbos"], ["jobs", "--limit", "0"], ["jobs", "--state", "odd"], ["job"], ["rm"],
     ["gc", "--older-than", "soon"], ["replay", "x", "first"], ["replay", "x", "-1"],
     ["completion", "tcsh"], ["retry", "x"], ["export", "x"], ["job", "x", "-f", "--failures"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_says_what_is_right(tmp_path: Path, args: list[str]) -> None:
    ran = hanse(*args, home=tmp_path / "home")
    assert (ran.stdout, ran.returncode) == ("", exits.USAGE)
    assert "Error:" in ran.stderr
    told = as_json(*args, home=tmp_path / "home", code=exits.USAGE)
    assert told["error"]["code"] == "usage"


@pytest.mark.parametrize("command", [["jobs"], ["gc"], *ON_JOBS], ids=" ".join)
def test_a_journal_that_cannot_be_read_ends_with_4_and_names_it(
    tmp_path: Path, command: list[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "journal.sqlite").write_bytes(b"this is no database, " * 500)
    args = command if command in (["jobs"], ["gc"]) else arguments(command, "x")
    ran = hanse(*args, home=home)
    assert (ran.stdout, ran.returncode) == ("", exits.WORLD), ran.stderr
    assert re.fullmatch(r"hanse: .*journal\.sqlite.*\n", ran.stderr)
    told = as_json(*args, home=home, code=exits.WORLD)
    assert told["error"]["code"].startswith("journal")


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/below", "/proc/hanse"])
def test_a_state_directory_that_cannot_be_one_ends_with_4(tmp_path: Path, home: str) -> None:
    ran = hanse("jobs", home=Path(home), cwd=tmp_path)
    assert "Traceback" not in ran.stderr
    assert ran.returncode in (exits.OK, exits.WORLD)  # what is not there holds no jobs
    if ran.returncode == exits.WORLD:
        assert ran.stderr.startswith("hanse: ")


def test_a_variable_that_is_wrong_is_wrong_usage(tmp_path: Path) -> None:
    for name, value in (("HANSE_QUOTA", "much"), ("HANSE_JOURNAL", "mysql://x")):
        (tmp_path / "home").mkdir(exist_ok=True)
        ran = hanse("jobs", home=tmp_path / "home", **{name: value})
        assert ran.returncode == exits.USAGE
        assert name in ran.stderr


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(1, {str(SRC)!r}); sys.argv[1:] = ['jobs', '--json']\n"
        "from hanse.cli.shared import lookup\nfrom hanse.errors import InternalError\n"
        "def broken(): raise InternalError('of ours')\nlookup.records = broken\n"
        "from hanse.cli.main import main; main()"
    )
    ran = python(code, tmp_path)
    assert ran.returncode == exits.FAILED
    assert "Traceback" in ran.stderr
    assert json.loads(ran.stdout) == {"error": {"code": "internal", "message": "of ours"}}


# --- what is read by others -----------------------------------------------------------------------
@pytest.mark.parametrize("args", [["jobs", "--all"], ["jobs", "--json"], ["--help"], ["doctor"],
                                  ["completion", "bash"]], ids=" ".join)  # fmt: skip
def test_a_reader_that_goes_away_is_no_drama(state: State, args: list[str]) -> None:
    for number in range(3):
        finished(state, double, [number], f"job {number} " + "x" * 150)
    with subprocess.Popen([*HANSE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(state.home)) as ran:  # fmt: skip
        assert ran.stdout
        assert ran.stderr
        ran.stdout.close()
        assert ran.stderr.read() == b""
        assert ran.wait(30) == exits.BROKEN_PIPE


@pytest.mark.parametrize("args", [["job", "x", "--json"], ["jbos", "--json"]], ids=" ".join)
def test_an_error_is_told_though_the_reader_went_away(tmp_path: Path, args: list[str]) -> None:
    with subprocess.Popen([*HANSE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=environment(tmp_path / "home")) as ran:  # fmt: skip
        assert ran.stdout
        assert ran.stderr
        ran.stdout.close()
        said = ran.stderr.read()
        assert ran.wait(30) in (exits.NO_SUCH_JOB, exits.USAGE)
    assert "'x'" in said or "'jbos'" in said
    assert "Exception" not in said


@pytest.mark.parametrize("args", [["jobs"], ["jobs", "--json"], ["--help"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_said(state: State, args: list[str]) -> None:
    finished(state, double, [1])
    with open("/dev/full", "w") as full:
        ran = subprocess.run([*HANSE, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                             env=environment(state.home), check=False)  # fmt: skip
    assert ran.returncode == exits.WORLD
    assert ran.stderr == "hanse: No space left on device\n"


HOSTILE = "x\x1b[2J\r[red]bold[/red]\u202e\x9b1m"


def test_hostile_names_and_errors_are_shown_as_text(state: State) -> None:
    finished(state, double, [1, 2], HOSTILE, {1: HOSTILE}, label=HOSTILE, argv=[HOSTILE])
    id = as_json("jobs", home=state.home)["jobs"][0]["id"]
    for args in (["jobs"], ["job", id], ["job", id, "--failures"], ["explain", id],
                 ["job", id, "--json"], ["replay", id, "1"], ["cancel", id]):  # fmt: skip
        ran = hanse(*args, home=state.home)
        for stream in (ran.stdout, ran.stderr):
            assert all(c.isprintable() or c in "\n\t" for c in stream), args
    shown = hanse("jobs", home=state.home).stdout
    assert r"x\x1b[2J\r[red]bold[/red]\u202e\x9b1m" in shown


def test_a_terminal_that_knows_few_letters_is_served_too(state: State) -> None:
    finished(state, double, [1], "zähle 数")
    ran = hanse("jobs", home=state.home, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert "\\u6570" in ran.stdout


def test_a_terminal_sees_a_table_and_a_pipe_plain_text(state: State) -> None:
    finished(state, double, [1], "[bold]name[/bold]")
    code = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    ran = subprocess.run([sys.executable, "-c", code, *HANSE, "jobs"], capture_output=True,
                         text=True, env=environment(state.home, TERM="xterm"),
                         stdin=subprocess.DEVNULL, check=False)  # fmt: skip
    assert "\x1b[1m" in ran.stdout
    assert "[bold]name[/bold]" in ran.stdout
    assert "\x1b" not in hanse("jobs", home=state.home).stdout


# --- completion -----------------------------------------------------------------------------------
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_that_of_the_shell(tmp_path: Path, shell: str) -> None:
    ran = hanse("completion", shell, home=tmp_path / "home")
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert f"_HANSE_COMPLETE={shell}_complete" in ran.stdout
    assert as_json("completion", shell, home=tmp_path / "home")["script"] in ran.stdout


def completed(home: Path, *words: str) -> list[str]:
    ran = hanse(home=home, _HANSE_COMPLETE="bash_complete", COMP_WORDS=" ".join(("hanse", *words)),
                COMP_CWORD=str(len(words)))  # fmt: skip
    assert ran.stderr == ""
    return [row.split(",")[1] for row in ran.stdout.split("\n") if row]


def test_the_tab_key_completes_commands_options_ids_and_names(state: State) -> None:
    job = finished(state, double, [1], "counting")
    assert completed(state.home, "rep") == ["replay"]
    assert completed(state.home, "jobs", "--li") == ["--limit"]
    assert completed(state.home, "job", "cou") == ["counting"]
    assert completed(state.home, "rm", "counting", "j-") == [job.id]
    assert completed(state.home, "jobs", "--state", "d") == ["done"]


@pytest.mark.parametrize(
    "name",
    ["zz;touch${IFS}pwned;", "zz $(touch pwned)", "zz`touch pwned`", "zz\ntouch pwned"],
)
def test_the_tab_key_writes_no_name_that_a_shell_would_run(state: State, name: str) -> None:
    job = finished(state, double, [1], name)
    assert completed(state.home, "job", name[:2]) == [job.id]
    assert completed(state.home, "job", "j-") == [job.id]
    shown = hanse(home=state.home, _HANSE_COMPLETE="zsh_complete", COMP_WORDS="hanse job j-",
                  COMP_CWORD="2").stdout  # fmt: skip
    assert len(shown.rstrip("\n").split("\n")) == 3  # a kind, the id, and the name in one line


def test_the_tab_key_never_shows_an_error(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert completed(home, "job", "x") == []
    home.mkdir()
    (home / "journal.sqlite").write_bytes(b"no database" * 1000)
    assert completed(home, "job", "x") == []


def test_bash_itself_takes_the_script(state: State) -> None:
    finished(state, double, [1], "counting")
    script = hanse("completion", "bash", home=state.home).stdout
    bin = state.home / "bin"
    bin.mkdir()
    quoted = " ".join("'" + part.replace("'", "'\\''") + "'" for part in HANSE)
    (bin / "hanse").write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    (bin / "hanse").chmod(0o755)
    words = "COMP_WORDS=(hanse job cou); COMP_CWORD=2; _hanse_completion hanse cou job"
    ran = subprocess.run(
        ["bash", "-c", f'{script}\n{words}\necho "${{COMPREPLY[@]}}"'],
        capture_output=True, text=True, check=False,
        env=environment(state.home) | {"PATH": f"{bin}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("counting\n", "")


# --- Ctrl-C ---------------------------------------------------------------------------------------
def test_ctrl_c_ends_with_one_line_and_130(state: State) -> None:
    Job(state, double, "long").inputs([1, 2])  # held by this process: it does not end
    with subprocess.Popen([*HANSE, "job", "long", "--follow", "--json"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(state.home)) as ran:  # fmt: skip
        assert ran.stdout
        assert json.loads(ran.stdout.readline())["state"] == "running"
        ran.send_signal(signal.SIGINT)
        rest, said = ran.communicate(timeout=30)
    assert (said, ran.returncode) == ("hanse: interrupted\n", exits.INTERRUPTED)
    assert json.loads(rest)["error"]["code"] == "interrupted"


def test_a_stdout_that_is_closed_is_no_drama(state: State) -> None:
    finished(state, double, [1])
    for args in (["jobs"], ["jobs", "--json"]):
        ran = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *HANSE, *args], text=True,
                             stderr=subprocess.PIPE, env=environment(state.home),
                             check=False)  # fmt: skip
        assert (ran.stderr, ran.returncode) == ("", 0)
