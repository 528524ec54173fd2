"""The Nth write, sync, truncation and opening of a file fail, for every N; and the power goes."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract.journal.faulty import KINDS, Disk, Kind
from contract.journal.making import ME, add, bodies, head, job

from hanse.errors import JournalError
from hanse.journal.sqlite import SqliteJournal

APPENDS = 4
ONE = head("faults", job(0xFA))


class Run:
    """A short life of a journal on a disk; what it was promised is in `acknowledged`."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.acknowledged = -1  # the number of entries; -1 before the job was made
        self.errors: list[JournalError] = []
        self.journal: SqliteJournal | None = None
        try:
            self.journal = self.tried(lambda: SqliteJournal(path, connect=disk.connect))
            self.live(self.journal)
        except JournalError:
            pass  # kept in errors

    def live(self, journal: SqliteJournal) -> None:
        run = self.tried(lambda: journal.create(ONE, ME))
        self.acknowledged = 0
        for n in range(APPENDS):
            self.tried(lambda n=n: add(journal, ONE, run, n, payload=b"p" * 3000))
            self.acknowledged = n + 1
            assert self.tried(lambda: bodies(journal, ONE.id)) == expected(n + 1)

    def tried(self, call: Callable[[], Any]) -> Any:
        """As the runtime does: a call that failed is made again, a few times."""
        for attempt in range(3):
            try:
                return call()
            except JournalError as error:  # and nothing else is ever raised
                self.errors.append(error)
                if attempt == 2:
                    raise


def expected(count: int) -> list[bytes]:
    return [b"body %d" % n for n in range(count)]


def nothing_is_lost(path: Path, acknowledged: int) -> None:
    """Opened on a disk that works: all that was acknowledged, at most one append more."""
    journal = SqliteJournal(path)
    try:
        if acknowledged < 0 and journal.find("faults") is None:
            return
        found = bodies(journal, ONE.id)
        assert found == expected(len(found))
        assert acknowledged <= len(found) <= acknowledged + 1
        assert journal.check() == []
    finally:
        journal.close()


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for-ever"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_failing_operation_of_the_disk_loses_what_was_acknowledged(
    kind: Kind, for_ever: bool, tmp_path: Path
) -> None:
    draw = random.Random(f"{kind} {for_ever}")
    for nth in itertools.count(1):
        home = tmp_path / str(nth)
        disk = Disk(kind, nth, for_ever)
        run = Run(disk, home / "journal.sqlite")
        for name, kept in (("none", None), ("some", draw)):
            if home.exists():
                cut = tmp_path / f"{nth}-{name}"
                cut.mkdir()
                disk.power_cut(cut, kept)
                for end in (".id", ".open"):
                    marker = home / f"journal.sqlite{end}"
                    if marker.exists():
                        shutil.copy(marker, cut)
                nothing_is_lost(cut / "journal.sqlite", run.acknowledged)
        if run.journal is not None:
            run.journal.close()
        for connection in disk.connections:
            connection.close()
        nothing_is_lost(home / "journal.sqlite", run.acknowledged)
        if not disk.failed:
            assert not run.errors
            assert run.acknowledged == APPENDS
            assert nth > (1 if kind == "truncate" else 3)
            return
