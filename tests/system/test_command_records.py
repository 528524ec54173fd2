"""Commands that speak of jobs on record: jobs, job, explain, cancel, rm, gc."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system.command import HANSE, Job, as_json, environment, finished, hanse, open_there

from hanse import limits
from hanse.cli.shared import exits
from hanse.ids import job_id
from hanse.payloads.payload import dump_one
from hanse.records.program import new_head, this_process
from hanse.records.state import State

DAY = 86_400


def double(n: Any) -> Any:
    return 2 * n


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_there(tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def four(state: State) -> dict[str, Job]:
    """A job in each state, the newest last."""
    now = time.time()
    return {
        "done": finished(state, double, range(10), "a", created_s=now - 400),
        "failed": finished(state, double, range(3), "b", {1: "no"}, created_s=now - 300),
        "interrupted": Job(state, double, "c", total=5, created_s=now - 200)
        .inputs(range(5)).done(0, [0, 2]).released(),
        "running": Job(state, double, "d", created_s=now - 100)
        .inputs(range(5), all_of_them=False).done(0, [0]),
    }  # fmt: skip


# --- jobs -----------------------------------------------------------------------------------------
def test_no_journal_means_no_jobs_and_none_is_made(tmp_path: Path) -> None:
    ran = hanse("jobs", home=tmp_path / "home")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "There are none" in ran.stderr
    assert as_json("jobs", home=tmp_path / "home") == {"jobs": [], "more": False}
    assert not (tmp_path / "home").exists()


def test_jobs_are_listed_newest_first_with_their_states(four: dict[str, Job]) -> None:
    home = four["done"].state.home
    rows = [row.split() for row in hanse("jobs", home=home).stdout.splitlines()]
    assert rows[0][:3] == ["ID", "NAME", "STATE"]
    assert [row[2] for row in rows[1:]] == ["running", "interrupted", "failed", "done"]
    assert [row[0] for row in rows[1:]] == [job.id for job in reversed(four.values())]
    told = as_json("jobs", home=home)["jobs"]
    assert [job["state"] for job in told] == ["running", "interrupted", "failed", "done"]
    assert [(job["done"], job["failed"], job["items"], job["total"]) for job in told] == [
        (1, 0, 5, None), (2, 0, 5, 5), (2, 1, 3, 3), (10, 0, 10, 10)
    ]  # fmt: skip
    assert told[0]["holder"]["pid"]
    assert told[1]["holder"] is None
    quiet = hanse("jobs", "-q", home=home)
    assert quiet.stdout.split() == [job.id for job in reversed(four.values())]


def test_jobs_can_be_chosen_by_state_and_number(four: dict[str, Job]) -> None:
    home = four["done"].state.home
    for name, job in four.items():
        assert hanse("jobs", "--state", name, "-q", home=home).stdout.split() == [job.id]
    some = as_json("jobs", "--limit", 2, home=home)
    assert [job["name"] for job in some["jobs"]] == ["d", "c"]
    assert some["more"]
    assert not as_json("jobs", "--limit", 4, home=home)["more"]


def test_superseded_jobs_are_shown_with_all_only(state: State) -> None:
    old, new = (finished(state, double, [1], "same") for _ in range(2))
    assert [job["id"] for job in as_json("jobs", home=state.home)["jobs"]] == [new.id]
    both = as_json("jobs", "--all", home=state.home)["jobs"]
    assert [(job["id"], job["superseded"]) for job in both] == [(new.id, False), (old.id, True)]
    assert as_json("job", "same", home=state.home)["id"] == new.id
    assert as_json("job", old.id, home=state.home)["superseded"]


def test_many_jobs_are_cut_and_that_is_said(state: State) -> None:
    for number in range(limits.JOBS_SHOWN + 60):
        Job(state, double, f"n{number}").released()
    ran = hanse("jobs", home=state.home)
    assert len(ran.stdout.splitlines()) == limits.JOBS_SHOWN + 1
    assert "--all" in ran.stderr
    ids = hanse("jobs", "--all", "-q", home=state.home).stdout.split()
    assert len(set(ids)) == limits.JOBS_SHOWN + 60


# --- job ------------------------------------------------------------------------------------------
def test_a_job_is_shown_by_id_and_by_name(four: dict[str, Job]) -> None:
    job = four["failed"]
    for name in (job.id, "b"):
        shown = hanse("job", name, home=job.state.home).stdout
        for words in (job.id, "failed", "2 of 3, 1 failed", "hanse run prog.py", "per item",
                      "1: raised ValueError: no", f"hanse retry {job.id} --failed"):  # fmt: skip
            assert words in shown
    assert hanse("job", "b", "-q", home=job.state.home).stdout == f"{job.id}\n"


def test_a_job_as_json_tells_all_that_is_shown(four: dict[str, Job]) -> None:
    told = as_json("job", "b", home=four["failed"].state.home)
    assert told["usage"]["items"] == 2
    assert told["usage"]["p50_s"] > 0
    assert told["usage"]["cpu_s"] == 2
    assert told["program"]["argv"] == ["prog.py"]
    assert told["program"]["command"] == "hanse run prog.py"
    [failure] = told["failures"]
    assert (failure["item"], failure["type"], failure["message"]) == (1, "ValueError", "no")
    assert "exception" not in failure


def test_an_interrupted_job_says_how_to_go_on(four: dict[str, Job]) -> None:
    shown = hanse("job", "c", home=four["done"].state.home).stdout
    assert "interrupted" in shown
    assert "To go on: hanse run prog.py" in shown


def test_all_failures_are_told_in_full(state: State) -> None:
    many = limits.FAILURES_SHOWN + 5
    job = Job(state, double).inputs(range(many))
    for item in range(many):
        job.failed(item, traceback="Traceback of its own", output="last words")
    job.ended("failed")
    shown = hanse("job", job.id, home=state.home).stdout
    assert "and 5 more" in shown
    told = hanse("job", job.id, "--failures", home=state.home).stdout
    assert told.count("Traceback of its own") == told.count("last words") == many
    rows = hanse("job", job.id, "--failures", "--json", home=state.home).stdout.splitlines()
    assert [json.loads(row)["item"] for row in rows] == list(range(many))
    quiet = hanse("job", job.id, "--failures", "-q", home=state.home).stdout.split()
    assert quiet == [str(item) for item in range(many)]


@pytest.mark.parametrize(
    ("name", "code"), [("a", exits.OK), ("b", exits.FAILED), ("c", exits.FAILED)]
)
def test_following_what_has_ended_ends_at_once_and_tells_how(
    four: dict[str, Job], name: str, code: int
) -> None:
    ran = hanse("job", name, "--follow", home=four["done"].state.home)
    assert (ran.stdout, ran.returncode) == ("", code)
    assert ran.stderr.startswith(f"{name}: ")
    rows = hanse("job", name, "-f", "--json", home=four["done"].state.home).stdout.splitlines()
    assert len(rows) == 1
    assert json.loads(rows[0])["name"] == name


def test_a_followed_job_is_told_of_until_it_ends(state: State) -> None:
    job = Job(state, double, "long").inputs(range(3))
    with subprocess.Popen([*HANSE, "job", "long", "--follow", "--json"], text=True,
                          stdout=subprocess.PIPE, env=environment(state.home)) as ran:  # fmt: skip
        assert ran.stdout
        assert json.loads(ran.stdout.readline())["done"] == 0
        job.done(0, [0, 2])
        assert json.loads(ran.stdout.readline())["done"] == 2
        job.done(2, [4]).ended()
        last = [json.loads(row) for row in ran.stdout][-1]
        assert ran.wait(30) == exits.OK
    assert (last["done"], last["state"]) == (3, "done")


def test_a_followed_job_that_is_removed_ends_with_3(state: State) -> None:
    job = Job(state, double, "long").inputs(range(3))
    with subprocess.Popen([*HANSE, "job", "long", "--follow", "--json"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(state.home)) as ran:  # fmt: skip
        assert ran.stdout
        assert ran.stdout.readline()
        job.released()
        state.journal.remove(job.id)
        ran.communicate(timeout=30)
        assert ran.returncode in (exits.NO_SUCH_JOB, exits.FAILED)


def test_a_job_of_which_nothing_is_recorded_yet_is_no_damage(state: State) -> None:
    """Its program may have been killed right after it made the job."""
    head = new_head(job_id(b"sixteen"), "young", "f", None)
    state.journal.create(head, this_process())
    state.journal.release(head.id)
    told = as_json("job", "young", home=state.home)
    assert (told["state"], told["program"]) == ("interrupted", None)
    assert head.id in hanse("job", "young", home=state.home).stdout
    for args in (["explain"], ["cancel"], ["job", "--failures"], ["export", "--to", "x.jsonl"]):
        ran = hanse(args[0], "young", *args[1:], home=state.home)
        assert ran.returncode == exits.USAGE
        assert f"hanse rm {head.id}" in ran.stderr
    assert hanse("rm", "young", home=state.home).returncode == exits.OK


def test_a_damaged_record_is_said_and_can_be_removed(state: State) -> None:
    job = finished(state, double, [1, 2])
    state.close()
    with sqlite3.connect(state.home / "journal.sqlite") as journal:
        changed = journal.execute("UPDATE entries SET body = x'00' WHERE seq = 2").rowcount
    journal.close()
    assert changed
    ran = hanse("job", job.id, home=state.home)
    assert ran.returncode == exits.WORLD
    assert "damaged" in ran.stderr
    assert "MEND  damage" in hanse("doctor", "--deep", home=state.home).stdout
    assert hanse("rm", job.id, home=state.home).returncode == exits.OK


# --- explain and cancel ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "words"),
    [("a", "waits for nothing"), ("b", "hanse retry"), ("c", "3 items wait"),
     ("d", "does not answer now")],
)  # fmt: skip
def test_the_record_explains_a_job_whose_program_does_not(
    four: dict[str, Job], name: str, words: str
) -> None:
    home = four["done"].state.home
    ran = hanse("explain", name, home=home)
    assert ran.returncode == 0
    assert words in ran.stdout
    told = as_json("explain", name, home=home)
    assert not told["answered"]
    assert any(words in row for row in told["lines"])


@pytest.mark.parametrize(
    ("answer", "lines"),
    [('{"lines": ["it waits", "for 3"], "eta_s": 4}', ["it waits", "for 3"]),
     ('["a", "b"]', ["a", "b"]), ("plain\nwords", ["plain", "words"]), ("7", ["7"])],
)  # fmt: skip
def test_the_program_that_runs_a_job_is_asked(state: State, answer: str, lines: list[str]) -> None:
    job = Job(state, double, "asked").inputs(range(3))
    with subprocess.Popen([*HANSE, "explain", "asked", "--json"], text=True,
                          stdout=subprocess.PIPE, env=environment(state.home)) as ran:  # fmt: skip
        answered(state, job, "explain", answer)
        assert ran.stdout
        told = json.loads(ran.stdout.read())
    assert told["answered"]
    assert told["lines"] == lines


def answered(state: State, job: Job, question: str, answer: str) -> None:
    """Wait for a question, as the program that runs the job would, and answer it."""
    from system.real import until

    until(lambda: job.id in state.journal.questions([job.id]))
    number, word = state.journal.questions([job.id])[job.id]
    assert word == question
    if question == "cancel":
        job.ended("cancelled")
    state.journal.answer(job.id, number, answer)


def test_cancel_asks_the_program_and_waits_for_it(state: State) -> None:
    job = Job(state, double, "long").inputs(range(3)).done(0, [0])
    with subprocess.Popen([*HANSE, "cancel", "long", "--json"], text=True,
                          stdout=subprocess.PIPE, env=environment(state.home)) as ran:  # fmt: skip
        answered(state, job, "cancel", "cancelled")
        assert ran.stdout
        told = json.loads(ran.stdout.read())
        assert ran.wait(30) == 0
    assert (told["state"], told["done"], told["ended_before"]) == ("cancelled", 1, False)


def test_cancel_says_when_the_program_does_not_answer(state: State) -> None:
    job = Job(state, double, "deaf").inputs(range(3))
    ran = hanse("cancel", "deaf", home=state.home)
    assert ran.returncode == exits.WORLD
    assert "does not answer" in ran.stderr
    assert job.id in ran.stderr


def test_cancel_ends_a_job_that_nobody_runs(four: dict[str, Job]) -> None:
    home = four["done"].state.home
    told = as_json("cancel", "c", home=home)
    assert (told["state"], told["done"], told["ended_before"]) == ("cancelled", 2, False)
    assert as_json("job", "c", home=home)["state"] == "cancelled"
    again = as_json("cancel", "c", home=home)
    assert again["ended_before"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_cancel_leaves_what_has_ended(four: dict[str, Job], name: str) -> None:
    home = four["done"].state.home
    before = as_json("job", name, home=home)["state"]
    assert "had ended before" in hanse("cancel", name, home=home).stdout
    assert as_json("job", name, home=home)["state"] == before


# --- rm and gc ------------------------------------------------------------------------------------
def blobs_of(state: State) -> int:
    return len([path for path in (state.home / "blobs").rglob("*") if len(path.name) == 64])


def large(n: int) -> bytes:
    return bytes([n]) * (2 * limits.INLINE_BYTES)


def test_rm_forgets_jobs_with_their_blobs_and_logs(state: State) -> None:
    gone, kept = (finished(state, large, [n], f"n{n}") for n in (1, 2))
    state.logs.mkdir()
    for job in (gone, kept):
        (state.logs / f"{job.id}.jsonl").write_text("")
    assert blobs_of(state) == 2
    told = as_json("rm", "n1", home=state.home)
    assert told["removed"] == [gone.id]
    assert told["bytes"] >= 2 * limits.INLINE_BYTES
    assert blobs_of(state) == 1
    assert [path.stem for path in state.logs.iterdir()] == [kept.id]
    assert hanse("job", gone.id, home=state.home).returncode == exits.NO_SUCH_JOB
    assert hanse("rm", kept.id, "n2", "-q", home=state.home).stdout == f"{kept.id}\n"


def test_rm_removes_nothing_if_one_is_wrong(four: dict[str, Job]) -> None:
    home = four["done"].state.home
    assert hanse("rm", "a", "nope", home=home).returncode == exits.NO_SUCH_JOB
    busy = hanse("rm", "a", "d", home=home)
    assert busy.returncode == exits.USAGE
    assert f"hanse cancel {four['running'].id} first" in busy.stderr
    assert len(hanse("jobs", "-q", home=home).stdout.split()) == 4


def test_gc_keeps_what_is_young_running_or_can_be_resumed(four: dict[str, Job]) -> None:
    home = four["done"].state.home
    for job in four.values():
        four["done"].state.saved.put(job.id, 0, dump_one("half way"))
    assert as_json("gc", home=home)["jobs"] == []
    some = as_json("gc", "--older-than", "350s", "--dry-run", home=home)
    assert some["jobs"] == []  # they ended just now
    every = as_json("gc", "--older-than", "0s", home=home)
    assert set(every["jobs"]) == {four["done"].id, four["failed"].id}
    assert set(four["done"].state.saved.jobs()) == {four["interrupted"].id, four["running"].id}
    assert len(hanse("jobs", "-q", home=home).stdout.split()) == 2


def test_gc_removes_the_old_the_superseded_and_what_only_they_needed(state: State) -> None:
    old = Job(state, large, "old").inputs([1]).done(0, [large(1)])
    old.ended(now_s=time.time() - limits.RECORDS_AGE_S - DAY)
    superseded, kept = (finished(state, large, [n], "same") for n in (2, 3))
    state.logs.mkdir()
    for id in (old.id, kept.id, "j-000000000000"):
        (state.logs / f"{id}.jsonl").write_text("")
    (state.logs / "notes.txt").write_text("not ours")
    would = as_json("gc", "--dry-run", home=state.home)
    assert set(would["jobs"]) == {old.id, superseded.id}
    assert blobs_of(state) == 3
    told = as_json("gc", home=state.home)
    assert set(told["jobs"]) == {old.id, superseded.id}
    assert told["blobs"] >= 2
    assert told["bytes"] >= 4 * limits.INLINE_BYTES
    assert blobs_of(state) == 1
    assert {path.name for path in state.logs.iterdir()} == {f"{kept.id}.jsonl", "notes.txt"}
    assert hanse("gc", home=state.home).stdout.startswith("0 jobs and 0 blobs")


def test_gc_of_nothing_makes_nothing(tmp_path: Path) -> None:
    assert as_json("gc", home=tmp_path / "home")["jobs"] == []
    assert not (tmp_path / "home").exists()
