"""The journal in trouble while a job runs: a clear error or a wait with a reason, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import Server
from system.programs import Program, committed
from system.real import until

SUM = """
    import os, time
    import hanse

    def work(x):
        with open(os.environ["LOG"], "a") as log:
            log.write(f"{os.environ['RUN']} {x}\\n")
        time.sleep(0.005)
        return x, os.urandom(SIZE)

    def main():
        with hanse.connect(resources=hanse.Resources(cpus=2)) as client:
            job = client.map(work, range(600), name="sum")
            total = 0
            try:
                for x, _ in job:
                    total += x
            finally:
                print(job.explain(), flush=True)
            print(total)

    if __name__ == "__main__":
        main()
"""


@pytest.fixture
def database(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server.run("CREATE DATABASE trouble")
    monkeypatch.setenv("HANSE_JOURNAL", server.url("trouble"))
    yield server.url("trouble")
    server.run("DROP DATABASE trouble WITH (FORCE)")


def test_a_database_that_is_killed_and_started_again_is_waited_for(tmp_path, server, database):
    program = Program(tmp_path, SUM.replace("SIZE", "10"))
    process = program.start()
    until(lambda: len(program.lines()) > 100)
    server.kill()
    before = len(program.lines())
    until(lambda: len(program.lines()) > before + 20)  # work goes on meanwhile
    server.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert int(out.splitlines()[-1]) == sum(range(600))
    assert "trying again" in err
    assert "can be written again" in err
    assert sorted(item for _, item in program.ran()) == list(range(600))


def test_a_job_in_a_database_goes_on_after_the_program_was_killed(tmp_path, database):
    program = Program(tmp_path, SUM.replace("SIZE", "10"))
    program.kill_after(150)
    done = committed("sum")
    assert len(done) > 10
    assert int(program.result()) == sum(range(600))
    assert not [item for run, item in program.ran() if run == 2 and item in done]


def test_a_database_that_stays_away_ends_the_job_in_words_and_loses_nothing(
    tmp_path, server, database
):
    text = SUM.replace("SIZE", "10")
    program = Program(tmp_path, text.replace("import os, time", "import os, time\n    " + SHORT))
    process = program.start()
    until(lambda: len(program.lines()) > 100)
    server.kill()
    out, err = process.communicate(timeout=60)
    server.start()
    assert process.returncode == 1
    assert "JournalUnavailable" in err
    assert "secret" not in err + out
    done = committed("sum")
    program.write(text)
    assert int(program.result()) == sum(range(600))
    assert not [item for run, item in program.ran() if run == 2 and item in done]


SHORT = "import hanse.limits; hanse.limits.JOURNAL_PATIENCE_NS = 10**9"

MOUNTED = """
import os, subprocess, sys
home = sys.argv[1]
os.makedirs(home, exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", home], check=True)
run = lambda: subprocess.run([sys.executable, sys.argv[2]], text=True, capture_output=True)
first = run()
assert first.returncode == 1, first
assert "JournalFull" in first.stderr, first.stderr
assert home in first.stderr
subprocess.run(["mount", "-o", "remount,size=64m", home], check=True)
second = run()
assert second.returncode == 0, second.stderr
print(second.stdout.splitlines()[-1])
subprocess.run(["mount", "-o", "remount,ro", home], check=True)
third = run()
assert third.returncode == 1, third
assert "JournalError" in third.stderr and "read-only" in third.stderr.lower(), third.stderr
"""


def unshared(*command: str) -> list[str]:
    """The command, where mounts are its own; also for users without rights."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", *command]


def test_a_full_disk_ends_the_job_in_words_and_with_room_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "small"
    monkeypatch.setenv("HANSE_HOME", str(home))
    program = Program(tmp_path, SUM.replace("SIZE", "20_000"))
    monkeypatch.setenv("LOG", str(program.log))
    monkeypatch.setenv("RUN", "1")
    told = subprocess.run(
        unshared(sys.executable, "-c", MOUNTED, str(home), str(program.path)),
        text=True, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) == sum(range(600))
    ran = [item for _, item in program.ran()]
    assert set(ran) == set(range(600))
    assert len(ran) < 1000  # most of what the first run did was not done again
