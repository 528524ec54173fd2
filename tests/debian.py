"""What tests need from Debian, installed when the first test needs it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence


def install(*packages: str) -> None:
    """Install Debian's packages. Fails in words where that cannot be done."""
    names = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise RuntimeError(
            f"these tests need {names}: install that, or run them as root where apt-get is, so"
            " that they can"
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with open("/tmp/hanse-debian.lock", "ab") as lock:  # apt waits for nobody
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run(quiet, packages)


def _run(quiet: dict[str, str], packages: Sequence[str]) -> None:
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-q", *command], check=True, env=quiet, timeout=300)
