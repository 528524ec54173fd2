"""Two real processes at one journal: who holds, who died, who was only asleep."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from contract.journal.making import (
    ME,
    Holder,
    JobId,
    Open,
    add,
    bodies,
    head,
    line,
    program,
    tell,
    until,
)

from hanse.errors import Fenced, JobBusy

HOLD = """
one = head("shared", JobId("j-00000000abcd"))
run = journal.create(one, Holder("there", os.getpid(), 1.0))
add(journal, one, run, 0)
print("held", flush=True)
"""
JOB = JobId("j-00000000abcd")
KILLED = JobId("j-0000000000aa")


def test_another_process_that_holds_a_job_is_named(opened: Open, url: str) -> None:
    journal = opened()
    with program(url, HOLD + "sys.stdin.readline(); journal.release(one.id); print(flush=True)\n"
                 "sys.stdin.readline()") as other:  # fmt: skip
        assert line(other) == "held"
        assert journal.holder(JOB) == Holder("there", other.pid, 1.0)
        with pytest.raises(JobBusy, match=f"'shared' .*process {other.pid} on there"):
            journal.claim(JOB, ME)
        with pytest.raises(JobBusy, match="shared"):
            journal.create(head("shared"), ME)
        tell(other)
        line(other)
        assert journal.holder(JOB) is None
        assert journal.claim(JOB, ME) == 2


def test_a_killed_holder_gives_its_job_back(opened: Open, url: str) -> None:
    journal = opened()
    with program(url, HOLD + "time.sleep(600)") as other:
        assert line(other) == "held"
        other.kill()
        other.wait()
        until(lambda: journal.holder(JOB) is None)
        assert journal.claim(JOB, ME) == 2
    assert bodies(journal, JOB) == [b"body 0"]


def test_a_forked_child_does_not_keep_its_parents_jobs(opened: Open, url: str) -> None:
    journal = opened()
    forks = """
if os.fork() == 0:
    try:
        journal.find("shared")
    except Exception as error:
        print(type(error).__name__, "forked" in str(error), flush=True)
else:
    print("parent", flush=True)
time.sleep(600)
"""
    with program(url, HOLD + forks) as other:
        assert line(other) == "held"
        assert {line(other), line(other)} == {"JournalError True", "parent"}
        assert journal.holder(JOB) == Holder("there", other.pid, 1.0)
        other.kill()  # the child lives on
        other.wait()
        until(lambda: journal.holder(JOB) is None)
        assert journal.claim(JOB, ME) == 2


def test_a_forked_child_that_ends_as_usual_takes_nothing_with_it(opened: Open, url: str) -> None:
    forks = """
import gc
for n in range(1, 6):
    journal.find("shared")
    child = os.fork()
    if child == 0:
        del journal
        gc.collect()
        sys.exit()
    os.waitpid(child, 0)
    add(journal, one, run, n)
print("still here", flush=True)
time.sleep(600)
"""
    with program(url, HOLD + forks) as other:
        assert line(other) == "held"
        assert line(other) == "still here"
        journal = opened()
        assert journal.holder(JOB) == Holder("there", other.pid, 1.0)
        with pytest.raises(JobBusy):
            journal.claim(JOB, ME)
        assert bodies(journal, JOB) == [b"body %d" % n for n in range(6)]
        assert journal.check() == []


def test_a_holder_that_slept_while_another_took_over_is_fenced(
    opened: Open, url: str, lose_lock: Callable[[], None]
) -> None:
    sleeper = """
sys.stdin.readline()
try:
    add(journal, one, run, 1)
except Exception as error:
    print(type(error).__name__, flush=True)
    sys.stdin.readline()
    try:
        add(journal, one, run, 1)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""
    with program(url, HOLD + sleeper) as other:
        assert line(other) == "held"
        os.kill(other.pid, signal.SIGSTOP)
        lose_lock()
        journal = opened()
        run = journal.claim(JOB, ME)
        add(journal, head("shared", JOB), run, 1)
        os.kill(other.pid, signal.SIGCONT)
        tell(other)
        words = line(other)
        if words == "JournalUnavailable":  # it noticed a lost connection first: the caller retries
            tell(other)
            words = line(other)
        assert words == Fenced.__name__
    assert bodies(journal, JOB) == [b"body 0", b"body 1"]


def test_only_one_of_many_that_create_the_same_name_gets_it(opened: Open, url: str) -> None:
    racer = """
sys.stdin.readline()
for n in range(20):
    try:
        journal.create(head(f"race {n}", JobId("j-%06x%06x" % (os.getpid() % 2**24, n))), ME)
        print(n, flush=True)
    except Exception as error:
        assert type(error).__name__ == "JobBusy", error
print("done", flush=True)
time.sleep(600)
"""
    opened()
    with program(url, racer) as one, program(url, racer) as two:
        tell(one)
        tell(two)
        won: list[list[int]] = [[], []]
        for which, process in enumerate((one, two)):
            while (word := line(process)) != "done":
                won[which].append(int(word))
        assert sorted(won[0] + won[1]) == list(range(20))


def test_many_processes_may_open_a_journal_that_is_not_there_yet(url: str, opened: Open) -> None:
    text = "journal.create(head(id=JobId('j-%012x' % os.getpid())), ME); print('made', flush=True)"
    with program(url, text) as one, program(url, text) as two, program(url, text) as three:
        assert [line(one), line(two), line(three)] == ["made"] * 3
    assert len(opened().heads()) == 3


def test_acknowledged_entries_outlive_a_kill_at_any_moment(opened: Open, url: str) -> None:
    appends = """
job = JobId("j-0000000000aa")
one = head("kill", job)
start = 0 if journal.find(job) is None else len(bodies(journal, job))
run = journal.create(one, ME)
for n in range(start, 10**9):
    add(journal, one, run, n)
    print(n, flush=True)
"""
    draw = random.Random(20)
    journal = opened()
    for _ in range(20):
        with program(url, appends) as other:
            last = line(other)
            time.sleep(draw.random() * 0.03)  # not for a condition: any moment is right
            other.kill()
            assert other.stdout is not None
            for text in other.stdout.read().splitlines():
                last = text
            other.wait()
        found = bodies(journal, KILLED)
        assert found == [b"body %d" % n for n in range(len(found))]
        assert len(found) - int(last) in (1, 2)  # one more may be there than was said
        until(lambda: journal.holder(KILLED) is None)
    assert journal.check() == []


def test_whoever_dies_sleeps_or_loses_its_lock_the_record_is_of_one_run_after_another(
    url: str, opened: Open, lose_lock: Callable[[], None]
) -> None:
    """Three processes want one job. Each takes it when it can and appends under its run; they are
    killed, stopped and robbed of their locks at random moments."""
    rival = """
from hanse.errors import Fenced, JobBusy, JournalUnavailable
one, run = head("contested", JobId("j-0000000000cc")), 0
print("open", flush=True)
while True:
    try:
        if not run:  # as a program that is started again
            journal.close()
            journal = open_journal(sys.argv[1], Path("/nonexistent"))
            claimed = journal.claim(one.id, ME)
            count = len(bodies(journal, one.id))
            run = claimed
        entry = seal(one.id, count, b"%d %d" % (run, count))
        journal.append([Append(one, run, [entry])])
        os.write(1, b"%d %d\\n" % (run, count))  # in one piece, or not at all
        count += 1
    except (Fenced, JobBusy):
        run = 0
        time.sleep(0.001)
    except JournalUnavailable:
        time.sleep(0.001)
"""
    draw = random.Random(7)
    first = opened()
    first.create(head("contested", JobId("j-0000000000cc")), ME)
    first.close()
    acknowledged: list[str] = []
    with ExitStack() as rivals:
        for _ in range(6):
            three = [rivals.enter_context(program(url, rival)) for _ in range(3)]
            assert [line(one) for one in three] == ["open"] * 3
            threads = [
                threading.Thread(target=lambda out=one.stdout: acknowledged.extend(out or ()))
                for one in three
            ]
            for thread in threads:
                thread.start()
            before = len(acknowledged)
            until(lambda before=before: len(acknowledged) > before)  # type: ignore[misc]
            for one in draw.choices(three, k=6):
                one.send_signal(signal.SIGSTOP)
                lose_lock()
                time.sleep(draw.random() * 0.03)  # not for a condition: any moment is right
                one.send_signal(signal.SIGCONT)
            for one in three:
                assert one.poll() is None  # it met no error but those it knows
                one.kill()
            for thread in threads:
                thread.join()
    journal = opened()
    found = [body.decode() for body in bodies(journal, JobId("j-0000000000cc"))]
    runs = [int(text.split()[0]) for text in found]
    assert runs == sorted(runs)
    assert len(set(runs)) >= 6
    assert [int(text.split()[1]) for text in found] == list(range(len(found)))
    assert {text.strip() for text in acknowledged} <= set(found)
    assert len(set(acknowledged)) == len(acknowledged)


def test_a_process_killed_while_it_makes_the_journal_is_in_nobodys_way(
    url: str, opened: Open
) -> None:
    draw = random.Random(5)
    for _ in range(8):
        path = [p for p in sys.path if p]
        text = f"""
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from hanse.journal.opening import open_journal
import hanse.journal.sqlite, hanse.journal.postgres
print(flush=True)
open_journal({url!r}, Path("/nonexistent"))
"""
        with subprocess.Popen(
            [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True
        ) as opening:
            line(opening)
            time.sleep(draw.random() * 0.02)  # not for a condition: any moment is right
            opening.kill()
        journal = opened()
        assert journal.check() == []
        journal.close()
        if url.startswith("sqlite"):
            home = Path(url.removeprefix("sqlite://")).parent
            url = f"sqlite://{home.parent}/{home.name}x/journal.sqlite"
