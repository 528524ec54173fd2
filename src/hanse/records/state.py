"""Where named jobs live: one directory with the journal, the blobs and the logs of one user.

HANSE_HOME moves it; by default it is the user's data directory, as the platform has it. With
HANSE_JOURNAL=postgresql://... the journal is there instead, and the blobs stay here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hanse import limits
from hanse.blobs.store import BlobStore
from hanse.errors import JournalError, UsageError
from hanse.journal import private
from hanse.journal.opening import open_journal
from hanse.journal.port import Journal

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class State:
    """The open state directory."""

    def __init__(self, home: Path, journal: Journal, blobs: BlobStore) -> None:
        self.home = home
        self.journal = journal
        self.blobs = blobs

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def close(self) -> None:
        self.journal.close()


def home_directory() -> Path:
    """HANSE_HOME, or the user's data directory for Hanse. It need not exist."""
    told = os.environ.get("HANSE_HOME")
    if told:
        return Path(told).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("hanse", appauthor=False))


def open_state(create: bool = True) -> State | None:
    """Open the state directory; without `create`, None if there is nothing yet.

    Raises JournalError if what is there cannot be used or is not this user's alone, UsageError if
    a variable is wrong.
    """
    home, url = home_directory(), os.environ.get("HANSE_JOURNAL") or None
    quota = quota_bytes()
    if not create and url is None and not home.exists():
        return None
    try:
        private.directory(str(home))
    except OSError as error:
        raise JournalError(
            f"the state directory {home} cannot be made: {error.strerror}. Set HANSE_HOME to a "
            "directory that you can write to"
        ) from error
    return State(home, open_journal(url, home), BlobStore(home / "blobs", quota))


def quota_bytes() -> int:
    """What blobs may take: HANSE_QUOTA, such as 500M or 20G. Raises UsageError."""
    told = os.environ.get("HANSE_QUOTA")
    if not told:
        return limits.QUOTA_BYTES
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", told.lower())
    if found is None:
        raise UsageError(f"HANSE_QUOTA={told!r} is not a size: write it as 500M or 20G")
    return int(float(found[1]) * _UNITS[found[2]])
