"""Programs that tests start, kill and start again, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from system.real import until

from hanse.model.ranges import RangeSet
from hanse.records.record import JobRecord, open_record
from hanse.records.state import open_state


class Program:
    """One script, run again and again. Its items write what they do to `log`."""

    def __init__(self, directory: Path, text: str) -> None:
        self.path = directory / "program.py"
        self.log = directory / "log"
        self.log.touch()
        self.write(text)
        self.runs = 0

    def write(self, text: str) -> None:
        self.path.write_text(textwrap.dedent(text))

    def start(self, *args: str, env: Mapping[str, str] = {}) -> subprocess.Popen[str]:
        """Begin a run; it is a process group of its own."""
        self.runs += 1
        told = {**os.environ, "LOG": str(self.log), "RUN": str(self.runs), **env}
        return subprocess.Popen(
            [sys.executable, "-W", "error", str(self.path), *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told,
            process_group=0,
        )  # fmt: skip

    def run(self, *args: str, env: Mapping[str, str] = {}) -> tuple[int, str, str]:
        """Run to the end: exit code, output, errors."""
        process = self.start(*args, env=env)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, out, err

    def result(self, *args: str, env: Mapping[str, str] = {}) -> str:
        """The last line of a run that went well."""
        code, out, err = self.run(*args, env=env)
        assert code == 0, err
        return out.splitlines()[-1]

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def ran(self) -> list[tuple[int, int]]:
        """(run, item) for every item that began, from lines `run item`."""
        pairs = []
        for line in self.lines():
            run, item = line.split()
            pairs.append((int(run), int(item)))
        return pairs

    def kill_after(self, lines: int, *args: str) -> subprocess.Popen[str]:
        """Start a run and kill it (SIGKILL) once so many more lines are in the log."""
        before = len(self.lines())
        process = self.start(*args)
        until(lambda: len(self.lines()) >= before + lines or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process


def record(name: str) -> JobRecord | None:
    """What the journal holds of a job now."""
    state = open_state(create=False)
    if state is None:
        return None
    head = state.journal.find(name)
    try:
        return open_record(state, head) if head is not None else None
    finally:
        state.close()


def committed(name: str) -> RangeSet:
    """The items of the job that are done for good."""
    found = record(name)
    if found is None:
        return RangeSet()
    done = RangeSet(found.settled)
    for start, stop in found.failed:
        done.remove(start, stop)
    return done
