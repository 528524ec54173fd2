"""What only the journal in PostgreSQL promises: it outlives its server, and keeps a password."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
from contract.journal.making import ME, add, bodies, head, line, until
from postgres import Server

from hanse.errors import (
    JobBusy,
    JournalDamaged,
    JournalError,
    JournalUnavailable,
    JournalVersion,
    UsageError,
)
from hanse.ids import job_number
from hanse.journal import schema
from hanse.journal.postgres import PostgresJournal

Run = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def sql(server: Server, database: str) -> Run:
    """Runs a statement in the test's database, beside any journal."""
    return lambda text: server.run(text, database.rpartition("/")[2])


@pytest.fixture
def journal(database: str) -> Iterator[PostgresJournal]:
    opened = PostgresJournal(database)
    yield opened
    opened.close()


END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hanse'"
)


def with_patience(call: Callable[[], object]) -> object:
    """As the runtime does: what may pass is tried again."""
    found = []

    def tried() -> bool:
        try:
            found.append(call())
        except JournalUnavailable:
            return False
        return True

    until(tried)
    return found[0]


def test_a_server_killed_in_the_middle_loses_no_acknowledged_entry_and_doubles_none(
    server: Server, journal: PostgresJournal
) -> None:
    one = head("outlives")
    run = journal.create(one, ME)
    acknowledged = 0
    draw = random.Random(3)
    stop = threading.Event()
    kill_at: list[int] = []

    def strike() -> None:
        for _ in range(3):
            kill_at.append(acknowledged + draw.randrange(1, 40))
            until(lambda: acknowledged >= kill_at[-1])
            server.kill()
            server.start()
        stop.set()

    striking = threading.Thread(target=strike)
    striking.start()
    try:
        while not stop.is_set():
            with_patience(partial(add, journal, one, run, acknowledged, 3, payload=b"p" * 2000))
            acknowledged += 3
    finally:
        striking.join()
    assert with_patience(lambda: bodies(journal, one.id)) == [
        b"body %d" % n for n in range(acknowledged)
    ]
    assert journal.check() == []


def test_a_broken_session_says_so_once_and_the_job_is_still_held(
    journal: PostgresJournal, database: str, sql: Run
) -> None:
    one = head("held")
    run = journal.create(one, ME)
    add(journal, one, run, 0)
    assert journal.heads() == [one]
    sql(END_SESSIONS)
    with pytest.raises(JournalUnavailable, match="cannot be reached"):
        add(journal, one, run, 1)
    add(journal, one, run, 1)
    with pytest.raises(JournalUnavailable):
        journal.heads()
    assert journal.heads() == [one]
    other = PostgresJournal(database)
    with pytest.raises(JobBusy, match="held"):
        other.claim(one.id, ME)
    assert other.holder(one.id) == ME
    journal.release(one.id)
    assert other.claim(one.id, ME) == run + 1
    other.close()


def test_a_holder_with_nothing_to_write_takes_its_lock_again(
    journal: PostgresJournal, database: str, sql: Run
) -> None:
    one = head("idle")
    run = journal.create(one, ME)
    other = PostgresJournal(database)
    for _ in range(2):  # a proxy that ends idle sessions, a failover
        sql(END_SESSIONS)
        with suppress(JournalUnavailable):  # the session that reads was ended, too
            journal.questions([one.id])
        with pytest.raises(JobBusy, match="idle"):
            with_patience(lambda: other.claim(one.id, ME))
    add(journal, one, run, 0)
    other.close()


def test_a_job_locked_by_the_ghost_of_the_broken_session_is_locked_again_later(
    journal: PostgresJournal, database: str, sql: Run
) -> None:
    one = head("ghost")
    run = journal.create(one, ME)
    sql(END_SESSIONS)
    number = (0x4841 << 48) + job_number(one.id)
    with psycopg.connect(database, autocommit=True) as ghost:
        ghost.execute("SELECT pg_advisory_lock(%s)", (number,))
        with pytest.raises(JournalUnavailable):
            add(journal, one, run, 0)
        add(journal, one, run, 0)  # the run is still ours
    until(lambda: journal.holder(one.id) is None)
    add(journal, one, run, 1)
    assert journal.holder(one.id) == ME


def test_release_and_close_after_the_server_is_gone_raise_nothing(
    server: Server, database: str
) -> None:
    journal = PostgresJournal(database)
    one, two = head(), head()
    journal.create(one, ME)
    journal.create(two, ME)
    server.kill()
    try:
        journal.release(one.id)
        with pytest.raises(JournalUnavailable):
            journal.claim(one.id, ME)
        journal.close()
    finally:
        server.start()


def test_a_commit_whose_answer_was_lost_is_given_again(journal: PostgresJournal, sql: Run) -> None:
    one = head()
    run = journal.create(one, ME)
    writer = journal.connected()
    honest = writer.run

    def loses_the_answer(text: str, values: object = ()) -> object:
        found = honest(text, values)  # type: ignore[arg-type]
        if text == "COMMIT":
            sql(END_SESSIONS)
            honest("SELECT 1")
        return found

    writer.run = loses_the_answer  # type: ignore[assignment,method-assign]
    with pytest.raises(JournalUnavailable):
        add(journal, one, run, 0, 2)
    add(journal, one, run, 0, 2)
    assert with_patience(lambda: bodies(journal, one.id)) == [b"body 0", b"body 1"]


def test_a_stalled_transaction_does_not_keep_others_out_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hanse.journal import postgres

    settings = [text for text in postgres._SETTINGS if "timeout" not in text]
    monkeypatch.setattr(postgres, "_SETTINGS", [*settings, "SET lock_timeout TO 100"])
    first, second = PostgresJournal(database), PostgresJournal(database)
    one = head()
    run = first.create(one, ME)
    with first.transaction() as sql:
        sql.run("SELECT 1 FROM jobs FOR UPDATE")
        with pytest.raises(JournalUnavailable, match="lock timeout"):
            second.ask(one.id, "cancel")
    assert second.ask(one.id, "cancel")
    add(first, one, run, 0)
    for journal in (first, second):
        journal.close()


def test_no_error_and_no_name_of_a_journal_shows_its_password(server: Server, sql: Run) -> None:
    if not server.run("SELECT 1 FROM pg_roles WHERE rolname = 'secret'"):
        server.run("CREATE ROLE secret LOGIN SUPERUSER PASSWORD 'hunter2@x/y'")
    right = f"postgresql://secret:hunter2%40x%2Fy@127.0.0.1:{server.port}/hanse"
    journal = PostgresJournal(right)
    assert journal.where == f"postgresql://secret@127.0.0.1:{server.port}/hanse"
    journal.close()
    server.run("DROP SCHEMA hanse CASCADE", "hanse")
    for url, kind in [
        (right.replace("hunter2", "hunter2not"), JournalError),
        (right.replace(str(server.port), "1"), JournalUnavailable),
        (right.replace("%40x%2Fy", "@ss"), UsageError),
        (right.replace("%2F", "/"), UsageError),
        (right.replace(str(server.port), "port"), UsageError),
        (right.replace("%40x%2Fy", "%zz"), UsageError),
        (right.replace("%40x%2Fy", "?x"), UsageError),
        (right.replace("%40x%2Fy", "#x"), JournalError),
        (right + "?nonsense=hunter2", UsageError),
    ]:
        with pytest.raises((JournalError, UsageError)) as caught:
            PostgresJournal(url)
        assert type(caught.value) is kind, (url, caught.value)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value, chain=True)), url


def test_a_server_that_says_nothing_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(JournalUnavailable, match=f"127.0.0.1:{port}"):
            PostgresJournal(f"postgresql://ada@127.0.0.1:{port}/x?connect_timeout=2")


def test_what_will_not_pass_is_not_called_unavailable(server: Server, database: str) -> None:
    nobody = database.replace("hanse@", "nobody@")
    nowhere = database.rpartition("/")[0] + "/nowhere"
    for url in (nobody, nowhere):
        with pytest.raises(JournalError, match="does not exist") as caught:
            PostgresJournal(url)
        assert type(caught.value) is JournalError
    if not server.run("SELECT 1 FROM pg_roles WHERE rolname = 'guest'"):
        server.run("CREATE ROLE guest LOGIN")
    with pytest.raises(JournalError, match="permission denied"):
        PostgresJournal(database.replace("hanse@", "guest@"))


def test_a_server_that_became_read_only_is_unavailable(
    server: Server, journal: PostgresJournal, database: str, sql: Run
) -> None:
    one = head()
    run = journal.create(one, ME)
    name = database.rpartition("/")[2]
    sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    sql(END_SESSIONS)
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            add(journal, one, run, 0)
    server.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    sql(END_SESSIONS)
    with_patience(lambda: add(journal, one, run, 0))


def test_missing_tables_and_changed_bodies_are_damage(journal: PostgresJournal, sql: Run) -> None:
    one, two = head("one"), head("two")
    for which in (one, two):
        add(journal, which, journal.create(which, ME), 0, 5)
    sql(f"UPDATE hanse.entries SET body = 'x' WHERE seq = 3 AND job = '{one.id}'")
    with pytest.raises(JournalDamaged, match=f"entry 3 of job {one.id}"):
        bodies(journal, one.id)
    (line,) = journal.check()
    assert f"entry 3 of job {one.id}" in line
    assert len(bodies(journal, two.id)) == 5
    sql("DROP TABLE hanse.entries")
    with pytest.raises(JournalDamaged, match="entries"):
        bodies(journal, two.id)


def test_a_journal_of_a_newer_hanse_is_refused(database: str, sql: Run) -> None:
    PostgresJournal(database).close()
    sql("UPDATE hanse.about SET value = '99' WHERE key = 'version'")
    with pytest.raises(JournalVersion, match="version 99"):
        PostgresJournal(database)


def test_a_journal_of_version_1_is_brought_forward(
    database: str, sql: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema.bring_forward, "__defaults__", (1,))
        PostgresJournal(database).close()
    columns = (
        "id, name, function, script, username, host, created_s, updated_s, state, size, done,"
        " failed, stored_bytes, summary, entries, run, holder_host, holder_pid, holder_since_s"
    )
    for id in ("j-000000000001", "j-000000000002"):
        sql(f"INSERT INTO hanse.jobs ({columns}) VALUES ('{id}', 'sum', 'f', 's', 'ada', 'here',"
            " 1, 2, 'running', 0, 0, 0, 0, '', 0, 1, 'here', 1, 1)")  # fmt: skip
    journal = PostgresJournal(database)
    assert [(one.id, one.superseded) for one in journal.heads()] == [
        ("j-000000000002", False), ("j-000000000001", True),
    ]  # fmt: skip
    found = journal.find("sum")
    assert found is not None
    add(journal, found, journal.claim(found.id, ME), 0)
    assert journal.ask(found.id, "cancel") == 1
    journal.close()


def test_without_psycopg_the_error_says_what_to_install() -> None:
    text = """
import sys
sys.modules["psycopg"] = None
from pathlib import Path
from hanse.journal.opening import open_journal
try:
    open_journal("postgresql://ada:hunter2@nowhere/x", Path("/"))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UsageError")
    assert "pip install 'hanse[postgres]'" in done.stdout
    assert "hunter2" not in done.stdout


def test_the_server_of_these_tests_ends_with_a_killed_test_run(tmp_path: Path) -> None:
    text = f"""
import sys; sys.path[:0] = {[p for p in sys.path if p] + [str(Path(__file__).parents[2])]!r}
from postgres import serving
with serving() as server:
    print(server.directory, server._process.pid, flush=True)
    sys.stdin.read()
"""
    runner = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    directory, pid = line(runner).split()
    os.kill(runner.pid, signal.SIGKILL)
    runner.communicate()
    until(lambda: not psutil.pid_exists(int(pid)))
    until(lambda: not Path(directory).exists())
