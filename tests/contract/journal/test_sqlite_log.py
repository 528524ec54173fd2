"""A log that is gone is noticed; one that was closed as it should be is not missed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from contract.journal.making import ME, JobId, add, bodies, head, line, program

from hanse.errors import JournalDamaged
from hanse.journal.sqlite import SqliteJournal

JOB = JobId("j-00000000abcd")
WRITES = """
one = head("logged", JobId("j-00000000abcd"))
run = journal.create(one, ME)
for n in range(20):
    add(journal, one, run, n)
print("wrote", flush=True)
"""


@pytest.fixture
def note(path: Path) -> Path:
    return Path(f"{path}.open")


def killed(path: Path) -> None:
    """The journal as a program leaves it that was killed."""
    with program(f"sqlite://{path}", WRITES + "time.sleep(600)") as other:
        assert line(other) == "wrote"
        other.kill()
        other.wait()


def opened(path: Path) -> SqliteJournal:
    journal = SqliteJournal(path)
    assert bodies(journal, JOB) == [b"body %d" % n for n in range(20)]
    return journal


def test_a_log_that_was_removed_after_a_kill_is_missed_in_words(path: Path, note: Path) -> None:
    SqliteJournal(path).close()
    killed(path)
    log = Path(f"{path}-wal")
    kept = log.read_bytes()
    log.unlink()
    Path(f"{path}-shm").unlink()
    for _ in range(2):
        with pytest.raises(JournalDamaged, match=rf"{log} is gone.* Put it back.*remove {note}"):
            SqliteJournal(path)
    log.write_bytes(kept)
    opened(path).close()
    assert not log.exists()
    assert not note.exists()


def test_who_has_no_log_can_go_on_as_the_message_says(path: Path, note: Path) -> None:
    SqliteJournal(path).close()
    killed(path)
    Path(f"{path}-wal").unlink()
    with pytest.raises(JournalDamaged, match=f"remove {note}"):
        SqliteJournal(path)
    note.unlink()
    journal = SqliteJournal(path)
    assert journal.heads() == []
    journal.close()


@pytest.mark.parametrize("first", ["writer", "reader"])
def test_the_note_is_there_while_any_writer_has_the_journal_open(
    path: Path, note: Path, first: str
) -> None:
    writer, reader = SqliteJournal(path), SqliteJournal(path)
    assert not note.exists()  # nothing is in the log yet
    one = head("logged", JOB)
    add(writer, one, writer.create(one, ME), 0, 20)
    assert note.exists()
    with program(f"sqlite://{path}", "journal.heads(); journal.close(); print('closed')") as other:
        assert line(other) == "closed"
    assert note.exists()
    closed, left = (writer, reader) if first == "writer" else (reader, writer)
    closed.close()
    assert note.exists()
    left.close()
    assert not note.exists()
    opened(path).close()


def test_a_kill_at_any_step_of_opening_and_closing_raises_no_alarm(path: Path) -> None:
    """Each call that changes a directory is the last of some program."""
    SqliteJournal(path).close()
    killed(path)
    for calls in range(1, 40):
        with program(
            f"sqlite://{path}",
            f"""
calls = 0
def strike(event, args):
    global calls
    if event in ("open", "os.remove", "os.rename") and str(args[0]).startswith({str(path)!r}):
        calls += 1
        if calls == {calls}:
            os.kill(os.getpid(), 9)
sys.addaudithook(strike)
more = open_journal(sys.argv[1], Path("/"))
add(more, head("logged", JobId("j-00000000abcd")), more.claim(JobId("j-00000000abcd"), ME), 19)
journal.close()
more.close()
journal = open_journal(sys.argv[1], Path("/"))
journal.close()
print("ended", flush=True)
""",
        ) as other:
            ended = line(other) == "ended"
            other.wait(30)
        opened(path).close()
        if ended:
            assert calls > 3
            return
    raise AssertionError("it never came to its end")


def test_a_note_that_cannot_be_made_costs_nothing(path: Path, note: Path) -> None:
    journal = SqliteJournal(path)
    os.mkdir(note)  # no file can be made there
    one = head("logged", JOB)
    add(journal, one, journal.create(one, ME), 0, 20)
    journal.close()
    note.rmdir()
    opened(path).close()
