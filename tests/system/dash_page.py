"""A page with made-up jobs and sites, for tests and for looking at: very many, and hostile ones.

python -m system.dash_page DIRECTORY JOBS SITES
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from hanse.core.events import (
    AttemptFailed,
    ItemsFailed,
    JobEnded,
    JobGrown,
    JobSealed,
    JobSubmitted,
    SegmentCommitted,
)
from hanse.ids import JobId, LeaseId
from hanse.journal.port import Append, Head, Holder
from hanse.model.failure import Cause, Failure
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import Amount
from hanse.node.dash.serving import serve
from hanse.node.dash.sight import Out
from hanse.payloads.payload import Payload
from hanse.records.entries import Body, Ran, Stored, encode
from hanse.records.logs import LogWriter, log_path
from hanse.records.payloads import pack
from hanse.records.program import ProgramRecord, pack_program
from hanse.records.state import State, open_state
from hanse.wire.api import MachineInfo, Progress, SiteSeen

HOSTILE = "<script>window.hurt=1</script><img src=x onerror=window.hurt=1>\u202e\x1b[31m\"'&amp;"
FAILING = JobId("j-00000000f000")  # has a record with everything in it
STATES = ("running", "interrupted", "done", "failed", "cancelled")
MACHINES = 40  # of the timeline
LEASES = 20  # of each


class MadeUp:
    """See `Sight`: a node whose jobs and sites move all the while."""

    def __init__(self, state: State, sites: int) -> None:
        self.state = state
        self._sites = sites

    def about(self) -> dict[str, Any]:
        return {"kind": "node", "name": "made up", "version": "0", "region": "eu-west"}

    def is_run(self, head: Head) -> bool:
        return int(head.id[-1], 16) % 2 == 0

    def leased(self) -> dict[JobId, int]:
        now = int(time.time())
        return {JobId(f"j-{at:012x}"): (at * 7 + now) % 500 for at in range(0, 1000, 10)}

    def progress(self, job: JobId) -> Progress:
        return Progress(running=3, lines=["About 3 min left.", HOSTILE])

    def machines(self) -> list[MachineInfo]:
        return [
            MachineInfo(
                site="here" if at else HOSTILE, host=f"machine-{at:03}", engine="ray",
                offers=Amount(cpus_milli=8000), uses=Amount(cpus_milli=3000 * (at % 3)),
                runs={f"j-{at:012x}": at % 3} if at % 3 else {},
            )
            for at in range(min(self._sites, 100))
        ]  # fmt: skip

    def leases(self, job: JobId) -> list[Out]:
        return []

    def costs(self) -> dict[JobId, float]:
        return {JobId("j-00000000000a"): 12.5}

    def sites(self) -> list[SiteSeen]:
        now = int(time.time())
        return [_site(at, now) for at in range(self._sites)]


def _site(at: int, now: int) -> SiteSeen:
    leases = (at + now // (1 + at % 10)) % 17
    return SiteSeen(
        id=f"ann/site-{at:04}" if at else HOSTILE, state="at work" if leases else "idle",
        incarnation=1, capacity=Amount(cpus_milli=16_000, memory_bytes=64 << 30),
        free=Amount(cpus_milli=16_000 - 1000 * min(leases, 16)), leases=leases,
        runs={f"j-{at % 100 * 10:012x}": leases} if leases else {}, heard_s=0.5, trip_s=0.02,
        python="3.12", packages=40, allow=[] if at else [HOSTILE],
        region=f"region-{at % 7}" if at else HOSTILE, price=0.000058 * at, spot=at % 3 == 1,
    )  # fmt: skip


def make(state: State, jobs: int) -> None:
    now = time.time()
    holder = Holder("made-up", 1, now)
    for at in range(jobs):
        id, name = JobId(f"j-{at:012x}"), f"job {at}" if at else HOSTILE
        kept = STATES[at % len(STATES)]
        head = Head(
            id=id, name=name, function="work" if at else HOSTILE, script="x.py",
            user=f"user{at % 7}", host="made-up", created_s=now - 60 * (jobs - at),
            updated_s=now - 60 * (jobs - at) + at, size=1000, total=1000, done=at % 1001,
            failed=at % 3, state="running" if kept == "interrupted" else kept,
        )  # fmt: skip
        state.journal.create(head, holder)
        state.journal.release(id)
    _make_failing(state, holder, now)


def _make_failing(state: State, holder: Holder, now: float) -> None:
    """A job of 40 machines, some of whose items failed, with a log."""
    items = MACHINES * LEASES * 10
    head = Head(
        id=FAILING, name="the failing one", function="work", script="x.py", user="ann",
        host="made-up", created_s=now - 300, updated_s=now, ended_s=now, size=items, total=items,
        done=items - 80, failed=80, state="done",
    )  # fmt: skip
    program = ProgramRecord(
        name="work", function=b"", manifest=b"", star=False, retries=1, timeout_s=None,
        raising=False, argv=["census.py", HOSTILE], cwd="/tmp", sys_path=[], python="3.12.1",
        hanse="0.1.0",
    )  # fmt: skip
    run = state.journal.create(head, holder)
    put = state.blobs.put
    packed = pack_program(program, None, None, put)
    stored = Stored(packed.digest, packed.nbytes, 1)
    entries = [
        encode(FAILING, 0, Body(JobSubmitted(FAILING, JobSpec(name="work"), 0), stored), packed)
    ]
    value = pack(Payload(1, b"x"), put)
    held = Stored(value.digest, value.nbytes, 1)

    def add(body: Body) -> None:
        entries.append(
            encode(FAILING, len(entries), body, value if body.stored is not None else None)
        )

    add(Body(JobGrown(FAILING, items, {}), held))
    add(Body(JobSealed(FAILING)))
    for lease in range(MACHINES * LEASES):
        turn, machine = divmod(lease, MACHINES)
        at_ms = int(now * 1000) - 200_000 + turn * 9000 + machine * 37
        ran = Ran(f"rack{machine // 8}/machine-{machine:02}", at_ms + 8500, 8_000_000)
        first, id = lease * 10, LeaseId(lease + 1)
        bad = lease % 10 == 3
        add(Body(SegmentCommitted(FAILING, first, first + 10 - bad, id), held, ran=ran))
        if bad:
            add(Body(AttemptFailed(FAILING, first + 9, Cause.RAISED, id), ran=ran))
            failure = Failure(
                cause=Cause.RAISED, function="work", item=first + 9, attempt=2, host="m",
                type="ValueError", message=HOSTILE, output=HOSTILE,
                traceback=f'Traceback (most recent call last):\n  File "x"\n{HOSTILE}',
            )  # fmt: skip
            fact = ItemsFailed(FAILING, first + 9, first + 10, Cause.RAISED, id)
            add(Body(fact, failure=failure, ran=ran))
    add(Body(JobEnded(FAILING, JobState.DONE)))
    state.journal.append([Append(head, run, entries)])
    state.journal.release(FAILING)
    log = LogWriter(log_path(state.home, FAILING), print)
    log.write(3, "stdout", "before\n")
    log.write(9, "stderr", HOSTILE + "\n")
    log.close()


def main() -> None:
    state = open_state(home=Path(sys.argv[1]))
    assert state is not None
    make(state, int(sys.argv[2]))
    serve(
        MadeUp(state, int(sys.argv[3])), 0,
        lambda url, code: print(f"{url}/#code={code}", flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
