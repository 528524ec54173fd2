"""Runs the families of measures: each round, every contestant in turn, each in its own process.

A contestant that hangs in a measure is killed there with all that it started; what is left of its
round runs in another process, and the measure is not tried with it again. A contestant that has
taken a family's patience (seconds, its starts and all rounds together) has no further round of
it: the table says how often each ran. Every single figure goes to a file of JSON lines as it comes.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from bench import machine, watch
from bench.environments import python_of
from bench.measures.measure import Family, Sizes, as_dict
from bench.peers import ENTRIES

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
OPEN_LIMIT_S = 60.0  # to start workers, and to end them; Ray takes five seconds
SAMPLE_S = 0.25
IDLE_S = 1.0  # after which a contestant that has nothing to do counts as idle


@dataclass
class Plan:
    """What to run.

    Attributes:
        rounds: of each measure at most.
        limit_s: a measure that takes longer is killed.
        patience_s: a family that took a contestant this long in all is not repeated.
        until_s: no turn begins later than that (monotonic); what has no figure by then has none.
    """

    peers: list[str]
    families: list[Family]
    sizes: Sizes
    workers: int
    rounds: int = 5
    limit_s: float = 120.0
    patience_s: float = 120.0
    until_s: float = float("inf")


@dataclass
class Bookkeeping:
    """What has been spent, and what is over."""

    out: TextIO
    spent: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    over: set[tuple[str, str]] = field(default_factory=set)  # hung, failed or not offered

    def write(self, **record: Any) -> None:
        self.out.write(json.dumps(record) + "\n")
        self.out.flush()


def run(plan: Plan, path: Path) -> None:
    """Run it all; the records are appended to the file."""
    for folder in (path.parent, RESULTS):
        folder.mkdir(parents=True, exist_ok=True)
    with path.open("a") as out:
        books = Bookkeeping(out)
        books.write(measure="machine", value=machine.describe(plan.peers, plan.workers))
        for family in plan.families:
            for number in range(min(plan.rounds, family.rounds or plan.rounds)):
                for peer in plan.peers:
                    _round(plan, family, peer, number, books)


def _round(plan: Plan, family: Family, peer: str, number: int, books: Bookkeeping) -> None:
    """One contestant's turn: in one process, or in several if it hangs."""
    if books.spent[peer, family.name] > plan.patience_s:
        return
    left = [m.key for m in family.measures if (peer, m.key) not in books.over]
    while left and time.monotonic() < plan.until_s:
        began, before = time.monotonic(), len(left)
        sitting = Sitting(plan, family, peer, left)
        for record in sitting.records():
            done = record["measure"]
            if done == "about":
                books.write(peer=peer, **record)
                continue
            left = [key for key in left if key != done]
            record.pop("seconds", None)
            if record["status"] != "ok":
                books.over.add((peer, done))
            _tell(peer, number, record)
            for each in _split(record):
                books.write(peer=peer, family=family.name, round=number, **each)
        books.spent[peer, family.name] += time.monotonic() - began
        if not sitting.went_on or len(left) == before:
            return


def _split(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A measure may give several figures at once."""
    value = record.get("value")
    if not isinstance(value, dict):
        yield record
        return
    for key, each in value.items():
        yield {**record, "measure": key, "value": each}


def _tell(peer: str, number: int, record: dict[str, Any]) -> None:
    said = record.get("value", record.get("said"))
    print(f"{time.strftime('%H:%M:%S')} {record['measure']:14} {peer:10} round {number + 1}: "
          f"{record['status']} {said}", flush=True)  # fmt: skip


class Sitting:
    """A contestant's process from its start to the end of everything that it started."""

    def __init__(self, plan: Plan, family: Family, peer: str, measures: list[str]) -> None:
        self._plan, self._family, self._peer, self._measures = plan, family, peer, measures
        self.went_on = False  # whether it got as far as to begin a measure
        self._begun: str | None = None  # the measure that it is in
        self._limit_s = plan.limit_s
        self._series: list[tuple[float, float]] = []  # (seconds, MB) of a watched measure
        self._began, self._next_sample = 0.0, float("inf")

    def records(self) -> Iterator[dict[str, Any]]:
        """What came of each measure. Nothing of the process is left afterwards."""
        mark, folder = uuid.uuid4().hex, tempfile.mkdtemp(prefix="bench-", dir=RESULTS)
        short = tempfile.mkdtemp(prefix="b-")  # sockets need short paths
        reading, writing = os.pipe()
        try:
            with (
                open(os.path.join(folder, "said"), "w+") as said,
                self._start(mark, folder, short, writing, said) as process,
            ):
                os.close(writing)
                try:
                    yield from self._listen(process, reading, said)
                finally:
                    process.kill()  # it has ended, or it is to
        finally:
            os.close(reading)
            left = watch.end_all(mark)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(short, ignore_errors=True)
        if left:
            print(f"         {self._peer} left processes: {', '.join(sorted(set(left)))}")

    def _start(
        self, mark: str, folder: str, short: str, fd: int, said: TextIO
    ) -> subprocess.Popen[str]:  # fmt: skip
        spec = {"peer": self._peer, "workers": self._plan.workers, "fd": fd,
                "measures": self._measures, "sizes": as_dict(self._plan.sizes)}  # fmt: skip
        environment = {
            **os.environ, watch.MARK: mark, "HANSE_HOME": folder,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "RAY_TMPDIR": short, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0",
            "TMPDIR": short, "SPARK_LOCAL_IP": "127.0.0.1", "BENCH_BEGAN": repr(time.monotonic()),
        }  # fmt: skip
        interpreter = python_of(ENTRIES[self._peer].environment)
        environment["PYSPARK_PYTHON"] = environment["PYSPARK_DRIVER_PYTHON"] = str(interpreter)
        return subprocess.Popen(
            [str(interpreter), "-m", self._family.program, json.dumps(spec)],
            cwd=ROOT, env=environment, pass_fds=(fd,), start_new_session=True, text=True,
            stdin=subprocess.PIPE, stdout=said, stderr=said,
        )  # fmt: skip

    def _listen(
        self, process: subprocess.Popen[str], fd: int, said: TextIO
    ) -> Iterator[dict[str, Any]]:
        """Lines as they come, until the process has ended or has hung."""
        rest, deadline = b"", time.monotonic() + OPEN_LIMIT_S
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if now > deadline:
                    yield from self._hung(process)
                    return
                if now >= self._next_sample:
                    self._sample(process.pid)
                if selector.select(min(deadline, self._next_sample) - now):
                    data = os.read(fd, 1 << 16)
                    if not data:
                        break
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        yield from self._take(process, json.loads(line))
                        deadline = time.monotonic() + self._limit_s
        yield from self._ended(process, said)

    def _take(
        self, process: subprocess.Popen[str], line: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        if "begin" in line:
            self._begun, self.went_on = line["begin"], True
            self._limit_s = min(line["limit_s"] or self._plan.limit_s, self._plan.limit_s)
            if line["watched"]:
                self._series, self._began = [], time.monotonic()
                self._sample(process.pid)
        elif "ask" in line:
            time.sleep(IDLE_S)
            answer = watch.idle_memory(process.pid, line["ask"]["idle"])
            assert process.stdin is not None
            process.stdin.write(json.dumps(answer) + "\n")
            process.stdin.flush()
        elif "about" in line:
            yield {"measure": "about", "status": "ok", "value": line["about"]}
        elif "end" in line:
            self._begun, self._next_sample = None, float("inf")
            yield {"measure": line.pop("end"), **line}
            if self._series and line["status"] == "ok":
                peak = max(held for _, held in self._series)
                yield {"measure": "stream_memory", "status": "ok", "value": peak,
                       "series": self._series}  # fmt: skip
            self._series = []

    def _sample(self, pid: int) -> None:
        held, now = watch.memory_mb(pid), time.monotonic()
        self._series.append((round(now - self._began, 2), round(held, 1)))
        self._next_sample = now + SAMPLE_S

    def _hung(self, process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        process.kill()
        process.wait()
        yield from self._unfinished("hung", f"no end within {self._limit_s:.0f} s")

    def _ended(self, process: subprocess.Popen[str], said: TextIO) -> Iterator[dict[str, Any]]:
        """The line was closed: by the end of the process, or by its death in mid-measure."""
        try:
            code = process.wait(OPEN_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code:
            said.seek(0)
            last = said.read().strip().splitlines()[-1:] or ["no word"]
            yield from self._unfinished("failed", f"exit code {code}: {last[0][:300]}")

    def _unfinished(self, status: str, said: str) -> Iterator[dict[str, Any]]:
        """The measure that it was in; all of them, if its workers never came up."""
        begun = [self._begun] if self._begun else [] if self.went_on else self._measures
        for key in begun:
            yield {"measure": key, "status": status, "said": said}
