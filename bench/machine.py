"""What the figures were taken on: told in the results, so that a reader can weigh them."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from typing import Any

from bench import environments
from bench.peers import ENTRIES

ALSO = ["numpy"]


def describe(peers: list[str], workers: int) -> dict[str, Any]:
    """Machine, versions, and why a peer is left out."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "workers": workers,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": _versions(peers),
        "missing": {
            key: reason
            for key, entry in ENTRIES.items()
            if (reason := environments.why_not(entry.environment)) is not None
        },
        "load_before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


def _versions(peers: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for environment in sorted({ENTRIES[peer].environment for peer in peers}):
        wanted = [e.package for e in ENTRIES.values() if e.environment == environment and e.package]
        found |= environments.versions(environment, [*wanted, *ALSO])
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or "unknown"


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=environments.ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
