"""Whoever follows a job of a node hears why it runs nowhere, and asks no more once it ran; whoever
lists many jobs keeps no home from its work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from hanse.core.events import JobEnded, SegmentCommitted
from hanse.ids import JobId, LeaseId
from hanse.journal.port import Entry, Head
from hanse.limits import JOBS_SHOWN, MS
from hanse.model.job import JobState
from hanse.node.board import Board
from hanse.records.entries import Body, Stored, encode
from hanse.remote import looking as remote
from hanse.remote.following import Following
from hanse.remote.records import NodeHead
from hanse.runtime import looking
from hanse.runtime.looking import Looking
from hanse.wire.api import Record

JOB = JobId("j-0123456789ab")
HEARTBEAT = bytes(4)


def frame(entry: Entry) -> bytes:
    data = msgspec.msgpack.encode(Record(entry.seq, entry.body, entry.check, None))
    return len(data).to_bytes(4, "big") + data


class Told:
    """A node's stream, and the source of whoever follows it: how often they had to ask by then."""

    url = "node"

    def __init__(self, pieces: Iterable[bytes], answers: Sequence[bool]) -> None:
        self._pieces, self._answers = pieces, iter(answers)
        self.asked = 0
        self.results: list[int] = []  # how often was asked before each of them
        self.over = threading.Event()

    def stream(self, path: str) -> Iterator[bytes]:
        yield from self._pieces

    def committed(self, *_: object) -> None:
        self.results.append(self.asked)

    def quiet(self) -> bool:
        self.asked += 1
        return next(self._answers)

    def ended(self, fact: JobEnded | None, error: BaseException | None) -> None:
        assert error is None
        self.over.set()


def follow(pieces: Iterable[bytes], *answers: bool) -> Told:
    told: Any = Told(pieces, answers)
    Following(
        told, told, JOB, told, post=lambda act: act(), first=0, feeder=0, returned=lambda: 0,
        grown=lambda size: None, ended=told.ended, quiet=told.quiet,
    )  # fmt: skip
    assert told.over.wait(60)
    found: Told = told
    return found


def segment(seq: int) -> bytes:
    fact = SegmentCommitted(JOB, seq, seq + 1, LeaseId(1))
    return frame(encode(JOB, seq, Body(fact, Stored(b"", 0, 1)), None))


def end(seq: int) -> bytes:
    return frame(encode(JOB, seq, Body(JobEnded(JOB, JobState.DONE)), None))


def test_a_job_that_is_quiet_is_asked_about_ever_more_seldom_until_there_is_an_answer() -> None:
    assert follow([HEARTBEAT] * 9 + [end(0)], *[False] * 4).asked == 4
    assert follow([HEARTBEAT] * 9 + [end(0)], False, True).asked == 2


def test_a_job_that_ran_is_not_asked_about_however_long_its_items_take() -> None:
    slow = [HEARTBEAT, *(piece for n in range(9) for piece in (segment(n), HEARTBEAT)), end(9)]
    assert follow(slow, False).results == [1] * 9


def test_how_many_items_run_is_asked_for_without_waiting_for_a_turn() -> None:
    class Dial:
        def ask(self, method: str, path: str, kind: type[NodeHead]) -> NodeHead:
            assert (method, path) == ("GET", f"/v1/jobs/{JOB}")
            return NodeHead(**about, running=7)

    about: dict[str, Any] = dict.fromkeys(("name", "function", "script", "user", "host"), "")
    about |= {"id": JOB, "created_s": 0.0, "updated_s": 0.0}
    client = remote.Looking()
    client._dial = Dial()  # type: ignore[assignment]
    assert client.running(JOB) == 7


def test_of_many_jobs_only_the_first_that_run_are_asked_why_they_do_not() -> None:
    heads = [
        Head(id=JobId(f"j-{n:012x}"), name="", function="f", script="", user="", host="",
             created_s=0, updated_s=0)
        for n in range(3 * JOBS_SHOWN)
    ]  # fmt: skip
    asked: list[JobId] = []

    def nowhere(jobs: Sequence[JobId]) -> dict[JobId, str]:
        asked.extend(jobs)
        return dict.fromkeys(jobs, "no site takes part")

    journal = SimpleNamespace(heads=lambda limit: heads[:limit])
    state = SimpleNamespace(journal=journal, directory=Path())
    runtime: Any = SimpleNamespace(state=lambda: state, nowhere=nowhere, running=lambda job: 3)
    board = Board(runtime)
    run: Any = {head.id: SimpleNamespace(over=False) for head in heads[::2]}
    board._held = run
    told = board.heads(100_000)
    assert asked == list(run)[:JOBS_SHOWN]
    assert [head.id for head in told if head.nowhere] == asked
    assert [head.id for head in told if head.holder] == list(run)
    assert [head.running for head in told] == [3, 0] * (len(told) // 2)


class Home(Looking):
    """A home with jobs that no site takes, each of which takes some time to look at."""

    def __init__(self, jobs: Sequence[JobId], each_ns: int) -> None:
        self.home: Any = SimpleNamespace(jobs={job: object() for job in jobs})
        self.loop: Any = self
        self.turns: list[int] = []  # what each took
        self._each_ns, self._now_ns = each_ns, 0

    def now_ns(self) -> int:
        return self._now_ns

    def ask(self, question: Callable[[], Any], timeout_s: float = 10) -> Any:
        begun_ns = self._now_ns
        answer = question()
        self.turns.append(self._now_ns - begun_ns)
        return answer

    def why(self, *_: object) -> str:
        self._now_ns += self._each_ns
        return "no site takes part"


def test_a_home_goes_on_with_its_work_while_it_says_why_many_jobs_run_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [JobId(f"j-{n:012x}") for n in range(JOBS_SHOWN)]
    for each_ns, turns in ((MS, 9), (20 * MS, JOBS_SHOWN), (0, 1)):
        home = Home(jobs, each_ns)
        monkeypatch.setattr(looking, "nowhere", home.why)
        assert list(home.nowhere([*jobs, JOB])) == jobs, "the last is not here any more"
        assert len(home.turns) in (turns, turns + 1)
        assert max(home.turns) <= max(6 * MS, each_ns)


def test_a_home_that_is_busy_holds_nobody_up_who_looks_at_a_job() -> None:
    class Busy(Looking):
        def ask(self, question: object, timeout_s: float = 10) -> None:
            raise TimeoutError

    assert Busy().nowhere([JOB]) == {}
