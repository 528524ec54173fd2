"""Where named jobs live: one directory with the journal, the blobs and the logs of one user.

HANSE_HOME moves it; by default it is the user's data directory, as the platform has it.

    home/journal.sqlite, home/blobs/, home/logs/, home/code/, home/saved/

With HANSE_JOURNAL the journal is elsewhere, and what belongs to it is in a directory of its own,
named by the journal's id: whatever one journal does not refer to, another one may.

    home/journals/<id>/blobs/, home/journals/<id>/logs/
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from hanse import limits
from hanse.blobs.codes import Codes
from hanse.blobs.saved import SavedStates
from hanse.blobs.store import BlobFile, BlobStore
from hanse.errors import JournalDamaged, JournalError, UsageError
from hanse.home import home_directory
from hanse.ids import BlobId
from hanse.journal import private
from hanse.journal.opening import is_own, may_be_there, open_journal
from hanse.journal.port import Journal

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Blobs(Protocol):
    def get(self, wanted: BlobId) -> BlobFile:
        """See `BlobStore.get`."""


class Records(Protocol):
    """Where records are read: this machine's, or a node's."""

    @property
    def journal(self) -> Journal: ...
    @property
    def blobs(self) -> Blobs: ...
    def code_directory(self, code: str) -> str:
        """Where the modules of a program are that were sent to where its job ran; empty if there
        are none. Raises CodeMissing."""


class State:
    """An open journal, and what belongs to it.

    Args:
        home: where its blobs and logs are: the state directory, or one in it for this journal.
    """

    def __init__(self, home: Path, journal: Journal, blobs: BlobStore) -> None:
        self.home = home
        self.journal = journal
        self.blobs = blobs

    @property
    def codes(self) -> Codes:
        """The code of projects, of a node's jobs."""
        return Codes(self.home / "code", self.blobs)

    def code_directory(self, code: str) -> str:
        return str(self.codes.find(code)) if code else ""

    @property
    def saved(self) -> SavedStates:
        """What items of jobs that go on have saved for later attempts."""
        return SavedStates(self.home / "saved", self.blobs)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def close(self) -> None:
        self.journal.close()


def open_state(create: bool = True, home: Path | None = None) -> State | None:
    """Open the state directory, by default the user's; without `create`, None if there is no
    journal yet.

    Raises JournalError if what is there cannot be used or is not this user's alone, UsageError if
    a variable is wrong.
    """
    home, url = home or home_directory(), os.environ.get("HANSE_JOURNAL") or None
    quota = quota_bytes()
    there = may_be_there(url, home)
    if create or (is_own(url, home) and (there or home.is_dir())):
        _make(home)
    if not create and not there:
        return None
    journal = open_journal(url, home)
    try:
        home = home if is_own(url, home) else home / "journals" / _name(journal)
        codes, saved = Codes(home / "code"), SavedStates(home / "saved")
        beside = lambda: codes.count() + saved.count()  # noqa: E731
        return State(home, journal, BlobStore(home / "blobs", quota, beside))
    except BaseException:
        journal.close()
        raise


def _name(journal: Journal) -> str:
    """The journal's id, which somebody else's database may have told: it becomes part of a path."""
    if re.fullmatch("[0-9a-f]{32}", journal.id) is None:
        raise JournalDamaged(f"the journal {journal.where} has no proper id: {journal.id!r}")
    return journal.id


def _make(home: Path) -> None:
    try:
        private.directory(str(home))
    except OSError as error:
        raise JournalError(
            f"the state directory {home} cannot be made: {error.strerror}. Set HANSE_HOME to a "
            "directory that you can write to"
        ) from error


def quota_bytes() -> int:
    """What blobs and code may take: HANSE_QUOTA, such as 500M or 20G. Raises UsageError."""
    told = os.environ.get("HANSE_QUOTA")
    if not told:
        return limits.QUOTA_BYTES
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", told.lower())
    if found is None:
        raise UsageError(f"HANSE_QUOTA={told!r} is not a size: write it as 500M or 20G")
    return int(float(found[1]) * _UNITS[found[2]])
