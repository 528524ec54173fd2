"""A head that is damaged costs its own job only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from contract.journal.making import ME, add, bodies, head

from hanse.errors import JobBusy, JournalDamaged
from hanse.journal.sqlite import SqliteJournal

HARMS = [
    "size = 'abc'", "size = 1.5", "done = -1", "created_s = 9e999", "updated_s = -9e999",
    "ended_s = 1e18", "function = CAST(x'ff' AS TEXT)", "summary = 'text'", "state = x'00'",
    "total = 'many'",
]  # fmt: skip


def harm(path: Path, sql: str) -> None:
    with sqlite3.connect(path) as raw:
        assert raw.execute(f"UPDATE jobs SET {sql} WHERE name = 'harmed'").rowcount == 1
    raw.close()


@pytest.mark.parametrize("what", HARMS)
def test_a_damaged_head_is_listed_as_that_and_can_be_removed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "journal.sqlite"
    journal = SqliteJournal(path)
    one, harmed, two = head("one"), head("harmed"), head("two")
    for each in (one, harmed, two):
        add(journal, each, journal.create(each, ME), 0)
    harm(path, what)
    found = journal.heads()
    assert [each.id for each in found] == [two.id, harmed.id, one.id]
    assert [each.state for each in found] == ["running", "damaged", "running"]
    assert found[0] == two
    assert found[2] == one
    for key in ("harmed", harmed.id):
        with pytest.raises(JournalDamaged, match=f"hanse rm {harmed.id}"):
            journal.find(key)
    assert journal.holder(harmed.id) == ME
    other = SqliteJournal(path)
    with pytest.raises(JobBusy, match="harmed"):
        other.claim(harmed.id, ME)
    journal.release(harmed.id)
    other.remove(harmed.id)
    assert journal.heads() == [two, one]
    assert bodies(journal, one.id) == [b"body 0"]
    journal.close()
    other.close()


@pytest.mark.parametrize(
    "what", ["holder_pid = 'x'", "holder_since_s = 9e999", "holder_host = CAST(x'ff' AS TEXT)"]
)
def test_a_job_whose_holder_cannot_be_read_is_held_all_the_same(tmp_path: Path, what: str) -> None:
    path = tmp_path / "journal.sqlite"
    journal, other, one = SqliteJournal(path), SqliteJournal(path), head("harmed")
    journal.create(one, ME)
    harm(path, what)
    found = other.holder(one.id)
    assert found is not None
    assert found.host == "an unknown machine"
    with pytest.raises(JobBusy, match="an unknown machine"):
        other.claim(one.id, ME)
    journal.close()
    assert other.holder(one.id) is None
    other.close()
