"""The directory where this user's records are. Imported when programs start: nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path


def home_directory() -> Path:
    """HANSE_HOME, or the user's data directory for Hanse. It need not exist."""
    told = os.environ.get("HANSE_HOME")
    if told:
        return Path(told).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("hanse", appauthor=False))
