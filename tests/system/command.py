"""The real `hanse` command in a process of its own, and jobs on record for it to speak of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hanse.blobs.store import BlobStore
from hanse.core.events import (
    Fact,
    ItemsFailed,
    JobEnded,
    JobGrown,
    JobSealed,
    JobSubmitted,
    SegmentCommitted,
)
from hanse.ids import JobId, LeaseId, job_id
from hanse.journal.opening import open_journal
from hanse.journal.port import Append, Entry
from hanse.model.failure import Cause, Failure
from hanse.model.job import JobSpec, JobState
from hanse.model.usage import Usage
from hanse.payloads.functions import name_of
from hanse.payloads.payload import Payload, dump_each, dump_one
from hanse.records.entries import Body, Stored, encode
from hanse.records.payloads import pack
from hanse.records.program import ProgramRecord, here, new_head, this_process
from hanse.records.program import encode as encode_program
from hanse.records.state import State
from hanse.records.tally import Tally

SRC = Path(__file__).parents[2] / "src"
INSTALLED = shutil.which("hanse", path=sysconfig.get_path("scripts"))
FROM_SOURCE = (
    f"import sys; sys.path.insert(1, {str(SRC)!r}); from hanse.cli.main import main; main()"
)
HANSE = [INSTALLED] if INSTALLED else [sys.executable, "-c", FROM_SOURCE]
Ran = subprocess.CompletedProcess[str]


def environment(home: Path, **more: str) -> dict[str, str]:
    env = {**os.environ, "HANSE_HOME": str(home), "HANSE_CPUS": "2", "COLUMNS": "200", **more}
    for name in ("HANSE_JOURNAL", "HANSE_PROGRESS", "HANSE_FRESH", "HANSE_URL"):
        env.pop(name, None)
    return {name: value for name, value in env.items() if value} | more


def hanse(*args: object, home: Path, cwd: Path | None = None, **env: str) -> Ran:
    """Run the command to its end."""
    return subprocess.run(
        [*HANSE, *map(str, args)], cwd=cwd or home.parent, capture_output=True, text=True,
        check=False, timeout=90, env=environment(home, **env), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def as_json(*args: object, home: Path, code: int = 0, **env: str) -> Any:
    """Run the command with --json; returns its one document."""
    ran = hanse(*args, "--json", home=home, **env)
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout)


def open_there(home: Path) -> State:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return State(home, open_journal(None, home), BlobStore(home / "blobs", None))


class Job:
    """A job that is written into the records fact by fact, held by this process until it is
    released."""

    def __init__(
        self, state: State, function: Callable[..., Any], name: str = "work", *,
        star: bool = False, total: int | None = None, entropy: bytes | None = None,
        created_s: float | None = None, **program: Any,
    ) -> None:  # fmt: skip
        self.state = state
        self.id: JobId = job_id(entropy or os.urandom(6))
        label = program.pop("label", name_of(function))
        head = new_head(self.id, name, label, total)
        head = msgspec.structs.replace(head, created_s=created_s or time.time())
        about: dict[str, Any] = {**here(), "argv": ["prog.py"], **program}
        with state.blobs.writing():
            packed = pack(dump_one(function), state.blobs.put)
            record = ProgramRecord(
                name=label, function=packed.header, manifest=b"", star=star, retries=0,
                timeout_s=None, raising=False, **about,
            )  # fmt: skip
            older = state.journal.find(name) if name else None
            self.run = state.journal.create(head, this_process(), older.id if older else None)
            self.tally, self.seq, self.size = Tally(head), 0, 0
            spec = JobSpec(name=name, fail_fast=False, total=total, durable=True)
            payload = Payload(1, encode_program(record))
            self.take(JobSubmitted(self.id, spec, 0), payload, more_blobs=packed.blobs)

    def take(
        self, fact: Fact, payload: Payload | None = None, failure: Failure | None = None,
        *, first: int | None = 0, usage: Usage | None = None, more_blobs: Sequence[Any] = (),
        now_s: float | None = None,
    ) -> None:  # fmt: skip
        """Record one fact."""
        with self.state.blobs.writing():
            packed = stored = None
            if payload is not None:
                packed = pack(payload, self.state.blobs.put)
                packed = msgspec.structs.replace(packed, blobs=[*packed.blobs, *more_blobs])
                stored = Stored(packed.digest, packed.nbytes, payload.count, first)
            entry: Entry = encode(self.id, self.seq, Body(fact, stored, failure, usage), packed)
            size = packed.nbytes if packed else 0
            self.tally.take(fact, now_s or time.time(), size + len(entry.body), usage)
            self.state.journal.append([Append(self.tally.head, self.run, [entry])])
        self.seq += 1

    def inputs(self, values: Sequence[Any], *, all_of_them: bool = True) -> Job:
        self.size += len(values)
        if values:
            self.take(JobGrown(self.id, self.size, {}), dump_each(list(values)))
        if all_of_them:
            self.take(JobSealed(self.id))
        return self

    def done(self, start: int, values: Sequence[Any]) -> Job:
        fact = SegmentCommitted(self.id, start, start + len(values), LeaseId(1))
        self.take(fact, dump_each(list(values)), usage=Usage({200: len(values)}, 10**9, 2**25))
        return self

    def failed(self, item: int, **why: Any) -> Job:
        told = {"cause": Cause.RAISED, "type": "ValueError", "message": "no", "host": "here"} | why
        failure = Failure(function=self.tally.head.function, item=item, **told)
        self.take(ItemsFailed(self.id, item, item + 1, failure.cause), None, failure)
        return self

    def ended(self, state: str = "done", now_s: float | None = None) -> Job:
        self.take(JobEnded(self.id, JobState(state)), now_s=now_s)
        return self.released()

    def released(self) -> Job:
        self.state.journal.release(self.id)
        return self


def finished(
    state: State, function: Callable[..., Any], inputs: Sequence[Any], name: str = "work",
    failures: Mapping[int, str] = {}, **more: Any,
) -> Job:  # fmt: skip
    """A job that has ended: the function's real values, and failures of some items."""
    job = Job(state, function, name, total=len(inputs), **more).inputs(inputs)
    for item, value in enumerate(inputs):
        if item in failures:
            job.failed(item, message=failures[item])
        else:
            job.done(item, [function(value)])
    return job.ended("failed" if failures else "done")
