"""What could take the journal's file, or its log, away from a program that writes to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from contract.journal.making import ME, JobId, add, bodies, head, line, program, tell

from hanse.journal.sqlite import SqliteJournal

JOB = JobId("j-00000000abcd")
WRITES = """
one = head("safe", JobId("j-00000000abcd"))
run, count = journal.create(one, ME), 0
def write():
    global count
    for _ in range(5):
        add(journal, one, run, count)
        count += 1
write()
"""


def look_and_close(path: Path) -> None:
    """What `hanse jobs` does from another process: who closes last tidies up."""
    other = SqliteJournal(path)
    assert other.find("safe") is not None
    other.close()


def all_of_them(path: Path, count: int) -> None:
    journal = SqliteJournal(path)
    assert bodies(journal, JOB) == [b"body %d" % n for n in range(count)]
    assert journal.check() == []
    journal.close()


MORE_JOURNALS = {
    "a second": "more = open_journal(sys.argv[1], Path('/'))",
    "a second that is closed": "open_journal(sys.argv[1], Path('/')).close()",
    "a second whose marker was lost":
        "Path(sys.argv[1][9:] + '.id').unlink(); more = open_journal(sys.argv[1], Path('/'))",
}  # fmt: skip


@pytest.mark.parametrize("more", list(MORE_JOURNALS.values()), ids=list(MORE_JOURNALS))
def test_no_other_journal_of_a_program_costs_it_its_log(path: Path, more: str) -> None:
    with program(
        f"sqlite://{path}",
        f"{WRITES}\n{more}\nwrite(); print('wrote', flush=True)\n"
        "sys.stdin.readline(); write(); print('wrote', flush=True); time.sleep(600)",
    ) as other:
        assert line(other) == "wrote"
        look_and_close(path)
        files = Path(f"/proc/{other.pid}/fd").iterdir()
        names = [name for name in map(os.readlink, files) if "journal.sqlite" in name]
        assert names
        assert not [name for name in names if "deleted" in name]
        tell(other)
        assert line(other) == "wrote"
        other.kill()
        other.wait()
    all_of_them(path, 15)


@pytest.mark.parametrize("end", ["sys.exit()", "journal.close()", "os.kill(os.getpid(), 9)"])
def test_a_program_that_opens_the_file_itself_is_told_and_harms_nothing(
    path: Path, end: str
) -> None:
    with program(
        f"sqlite://{path}",
        f"""{WRITES}
open(sys.argv[1].removeprefix("sqlite://"), "rb").close()  # and its locks are gone
print("copied", flush=True)
sys.stdin.readline()
for attempt in range(3):
    try:
        add(journal, one, run, 5)
    except Exception as error:
        print(type(error).__name__, "log of the journal" in str(error), flush=True)
{end}""",
    ) as other:
        assert line(other) == "copied"
        look_and_close(path)
        keeps = SqliteJournal(path)
        another = head("another")
        run = keeps.create(another, ME)
        tell(other)
        assert [line(other) for _ in range(3)] == ["JournalDamaged True"] * 3
        other.wait(30)
        add(keeps, another, run, 0)
        keeps.close()
    all_of_them(path, 5)
