"""What only the journal in a file promises: no silent start, and damage is found and named."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from contract.journal.making import ME, Append, add, bodies, head, seal

from hanse import limits
from hanse.errors import JobBusy, JournalDamaged, JournalError, JournalUnavailable, JournalVersion
from hanse.ids import JobId
from hanse.journal import locks, schema
from hanse.journal.port import Head
from hanse.journal.sqlite import SqliteJournal

OLD = Path(__file__).parents[2] / "fixtures" / "journals"


@pytest.fixture
def filled(path: Path) -> tuple[Head, Head]:
    """A closed journal with two jobs, some entries each."""
    journal = SqliteJournal(path)
    one, two = head("one"), head("two")
    for which in (one, two):
        run = journal.create(which, ME)
        add(journal, which, run, 0, 200, payload=b"p" * 300)
    journal.close()
    return one, two


def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    before = os.umask(0o022)
    try:
        journal = SqliteJournal(path)
        journal.create(head(), ME)
    finally:
        os.umask(before)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite.id"} <= set(modes)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    journal.close()


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def swap(path: Path) -> None:
    other = path.parent.parent / "other" / "journal.sqlite"
    SqliteJournal(other).close()
    shutil.copy(other, path)


def scrape(path: Path) -> None:
    path.write_bytes(bytes(4096))


def cut(path: Path) -> None:
    os.truncate(path, 5000)


def replace(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (name)")
    other.close()


@pytest.mark.parametrize("harm", [lose, empty, swap, scrape, cut, replace])
def test_nothing_starts_silently_where_a_journal_was(
    path: Path, filled: tuple[Head, Head], harm: Callable[[Path], None]
) -> None:
    copy = path.read_bytes()
    harm(path)
    for _ in range(2):  # and looking changed nothing
        with pytest.raises(JournalDamaged, match=str(path)) as caught:
            SqliteJournal(path)
        assert "put" in str(caught.value)  # what to do
    path.write_bytes(copy)
    journal = SqliteJournal(path)
    assert len(bodies(journal, filled[0].id)) == 200
    journal.close()


def test_who_wants_an_empty_journal_can_have_one_as_the_message_says(
    path: Path, filled: tuple[Head, Head]
) -> None:
    path.unlink()
    with pytest.raises(JournalDamaged, match="remove that file"):
        SqliteJournal(path)
    Path(f"{path}.id").unlink()
    journal = SqliteJournal(path)
    assert journal.heads() == []
    journal.close()


def test_a_lost_marker_is_made_anew_and_nothing_else_is(
    path: Path, filled: tuple[Head, Head]
) -> None:
    marker = Path(f"{path}.id")
    before = marker.read_text()
    marker.unlink()
    journal = SqliteJournal(path)
    assert len(journal.heads()) == 2
    assert marker.read_text() == before
    journal.close()


@pytest.mark.parametrize("swapped", [False, True])
def test_a_journal_that_is_taken_away_in_use_is_not_written_to(path: Path, swapped: bool) -> None:
    journal = SqliteJournal(path)
    one = head("used")
    run = journal.create(one, ME)
    path.rename(path.with_name("away"))
    if swapped:
        swap(path)
    with pytest.raises(JournalDamaged, match="removed or exchanged"):
        add(journal, one, run, 0)
    journal.close()


def test_a_file_that_is_no_journal_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    for content in (b"my diary\n" * 1000, b"x"):
        path.write_bytes(content)
        with pytest.raises(JournalError):
            SqliteJournal(path)
        assert path.read_bytes() == content


def test_a_flipped_byte_anywhere_is_found_and_sound_jobs_stay_readable(
    path: Path, filled: tuple[Head, Head], tmp_path: Path
) -> None:
    one, two = filled
    whole = path.read_bytes()
    target = tmp_path / "flipped" / "journal.sqlite"
    target.parent.mkdir()
    shutil.copy(f"{path}.id", f"{target}.id")
    found = 0
    marks = [whole.index(b"body 7", 0), whole.rindex(b"body 199")]
    for offset in [0, 16, 100, 105, *marks, *range(4096 + 3, len(whole), 4096 + 1999)]:
        for end in ("-wal", "-shm"):
            Path(f"{target}{end}").unlink(missing_ok=True)
        flipped = bytearray(whole)
        flipped[offset] ^= 0x55
        target.write_bytes(flipped)
        try:
            journal = SqliteJournal(target)
        except JournalError:
            found += 1
            continue
        lines = journal.check()
        found += bool(lines)
        for which in (one, two):
            try:  # each job is whole, or is refused
                texts = bodies(journal, which.id)
                assert texts == [b"body %d" % n for n in range(200)]
            except JournalError:
                assert lines
        journal.close()
    assert found >= 6  # payloads have digests in the bodies: what is theirs is not seen here


def test_a_changed_body_is_named_and_only_its_job_is_refused(
    path: Path, filled: tuple[Head, Head]
) -> None:
    one, two = filled
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE entries SET body = 'body 8' WHERE job = ? AND seq = 7", (one.id,))
        raw.execute("DELETE FROM entries WHERE job = ? AND seq = 150", (two.id,))
    raw.close()
    journal = SqliteJournal(path)
    with pytest.raises(JournalDamaged, match=f"entry 7 of job {one.id} .*fresh=True"):
        bodies(journal, one.id)
    assert len(bodies(journal, one.id, first=8)) == 192
    with pytest.raises(JournalDamaged, match=f"entry 150 of job {two.id} is missing"):
        bodies(journal, two.id)
    assert [line.split(" in ")[0] for line in journal.check()] == [
        f"entry 7 of job {one.id}", f"entry 150 of job {two.id} is missing",
    ]  # fmt: skip
    three = head("three")
    add(journal, three, journal.create(three, ME), 0)
    journal.close()


def test_the_last_entries_do_not_vanish_unseen(path: Path, filled: tuple[Head, Head]) -> None:
    one, _two = filled
    with sqlite3.connect(path) as raw:
        raw.execute("DELETE FROM entries WHERE job = ? AND seq >= 190", (one.id,))
    raw.close()
    journal = SqliteJournal(path)
    with pytest.raises(JournalDamaged, match="entry 190"):
        bodies(journal, one.id)
    journal.close()


def test_a_missing_table_and_a_head_of_nonsense_are_damage(
    path: Path, filled: tuple[Head, Head]
) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE jobs SET size = 'many' WHERE name = 'one'")
        raw.execute("UPDATE jobs SET function = CAST(x'ff' AS TEXT) WHERE name = 'two'")
        raw.execute("DROP TABLE questions")
    raw.close()
    journal = SqliteJournal(path)
    for name in ("one", "two"):
        with pytest.raises(JournalDamaged, match=str(path)):
            journal.find(name)
    with pytest.raises(JournalDamaged, match="questions"):
        journal.questions([filled[0].id])
    assert len(journal.check()) == 2
    journal.close()


def test_a_writer_that_does_not_end_makes_others_say_so(
    path: Path, filled: tuple[Head, Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.journal.sqlite._SETTINGS", ("PRAGMA busy_timeout = 50",))
    journal = SqliteJournal(path)
    run = journal.claim(filled[0].id, ME)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="another program"):
            add(journal, filled[0], run, 200)
        assert len(bodies(journal, filled[0].id)) == 200  # readers do not wait for writers
        other.execute("ROLLBACK")
    other.close()
    add(journal, filled[0], run, 200)
    journal.close()


def test_a_journal_of_a_newer_hanse_is_refused_and_untouched(
    path: Path, filled: tuple[Head, Head]
) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE about SET value = '99' WHERE key = 'version'")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(JournalVersion, match=rf"version 99 .*up to {schema.VERSION}: install"):
        SqliteJournal(path)
    assert path.read_bytes() == before


def test_a_journal_of_version_1_is_brought_forward_and_goes_on(path: Path) -> None:
    path.parent.mkdir()
    for end in ("", ".id"):
        shutil.copy(f"{OLD / 'version-1.sqlite'}{end}", f"{path}{end}")
    journal = SqliteJournal(path)
    assert [(one.name, one.superseded) for one in journal.heads()] == [
        ("", False), ("sum", False), ("", False), ("sum", True),
    ]  # fmt: skip
    newest = journal.find("sum")
    assert newest is not None
    assert newest == Head(
        id=JobId("j-000000000103"), name="sum", function="module.function", script="script.py",
        user="ada", host="here", created_s=1_700_000_000.25, updated_s=1_700_000_001.5, done=3,
    )  # fmt: skip
    assert bodies(journal, newest.id) == [b"body 0", b"body 1", b"body 2"]
    assert journal.payloads(newest.id, [2]) == [b"payload"]
    assert len(list(journal.blobs())) == 2
    assert journal.check() == []
    run = journal.claim(newest.id, ME)
    assert run == 2
    add(journal, newest, run, 3)
    assert journal.questions([newest.id]) == {}
    assert journal.ask(newest.id, "cancel") == 1
    journal.close()


def test_a_migration_that_fails_leaves_the_journal_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    for end in ("", ".id"):
        shutil.copy(f"{OLD / 'version-1.sqlite'}{end}", f"{path}{end}")
    broken = (*schema.MIGRATIONS[0:1], (*schema.MIGRATIONS[1], "CREATE TABLE nonsense"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", broken)
        with pytest.raises(JournalError):
            SqliteJournal(path)
    journal = SqliteJournal(path)
    assert len(journal.heads()) == 4
    journal.close()


def test_locks_of_one_process_are_shared_by_its_journals(path: Path) -> None:
    first, second = SqliteJournal(path), SqliteJournal(path)
    one = head()
    first.create(one, ME)
    second.close()  # closes a descriptor only when no journal of this process needs it
    look = f"""
import sys; sys.path[:0] = {sys.path!r}
from hanse.journal.sqlite import SqliteJournal
print(SqliteJournal({str(path)!r}).holder({one.id!r}) is not None)
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    first.close()
    assert not locks._files


def test_a_journal_that_could_not_be_opened_leaves_nothing_open(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"my diary\n" * 1000)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(JournalError):
            SqliteJournal(path)
    assert set(os.listdir("/proc/self/fd")) == before
    assert not locks._files


def test_reading_bodies_does_not_read_payloads(path: Path) -> None:
    journal = SqliteJournal(path)
    one = head()
    run = journal.create(one, ME)
    journal.append([Append(one, run, [seal(one.id, n, b"b", bytes(10**6)) for n in range(10)])])
    journal.close()
    raw = path.read_bytes()
    for page in range(len(raw) // 4096 - 20, len(raw) // 4096):
        with open(path, "r+b") as file:  # any read of these pages would be noticed
            file.seek(page * 4096)
            file.write(b"\xff" * 4)
    journal = SqliteJournal(path)
    assert len(bodies(journal, one.id)) == 10
    assert journal.check()
    journal.close()


def test_a_busy_job_of_the_same_process_is_busy_too(path: Path) -> None:
    first, second = SqliteJournal(path), SqliteJournal(path)
    one = head("mine")
    first.create(one, ME)
    with pytest.raises(JobBusy, match="mine"):
        second.claim(one.id, ME)
    for journal in (first, second):
        journal.close()


def test_the_room_of_a_removed_job_goes_back_to_the_disk(path: Path) -> None:
    journal = SqliteJournal(path)
    small, big = head("small"), head("big")
    add(journal, small, journal.create(small, ME), 0)
    run = journal.create(big, ME)
    for n in range(20):
        add(journal, big, run, n, payload=bytes(100_000))
    journal.release(big.id)
    journal.remove(big.id)
    journal.close()
    assert path.stat().st_size < 200_000
    journal = SqliteJournal(path)
    assert bodies(journal, small.id) == [b"body 0"]
    assert journal.check() == []
    journal.close()


def test_the_log_on_disk_stays_bounded(path: Path) -> None:
    journal = SqliteJournal(path)
    one = head()
    run = journal.create(one, ME)
    add(journal, one, run, 0, payload=bytes(limits.JOURNAL_LOG_BYTES + 2**20))
    add(journal, one, run, 1)
    add(journal, one, run, 2)
    assert Path(f"{path}-wal").stat().st_size <= limits.JOURNAL_LOG_BYTES
    journal.close()


def test_waiting_for_another_that_opens_the_journal_ends(
    path: Path, filled: tuple[Head, Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_WAIT_S", 0.05)
    opening = f"""
import sys; sys.path[:0] = {sys.path!r}
from hanse.journal import locks
with locks.open_locks({str(path)!r} + ".locks").waiting(locks.OPENING):
    print("opening", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", opening], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(JournalUnavailable, match=r"has been opening .*\.locks"):
            SqliteJournal(path)
        other.communicate("")
    SqliteJournal(path).close()


def test_a_check_names_a_bounded_number_of_damages(path: Path) -> None:
    journal = SqliteJournal(path)
    one = head()
    run = journal.create(one, ME)
    add(journal, one, run, 0, 3000, payload=b"p" * 900)
    journal.close()
    raw = bytearray(path.read_bytes())
    for page in range(40, len(raw) // 4096):
        raw[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(raw)
    journal = SqliteJournal(path)
    lines = journal.check()
    assert 1 <= len(lines) <= limits.JOURNAL_DAMAGES + 3
    journal.close()
