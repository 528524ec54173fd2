"""The peers' virtual environments, under bench/.venvs. Standard library only: it makes the rest.

An environment that cannot be had (no such wheel, no Java) is left out, and the table says why.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENVS = ROOT / "bench" / ".venvs"
PACKAGES = {
    "light": ["--editable", str(ROOT), "joblib", "matplotlib"],
    "ray": ["ray"],
    "dask": ["dask[distributed]", "cryptography"],
    "spark": ["pyspark"],
}
ALL = ["numpy", "psutil"]
JAVA = "default-jre-headless"


def python_of(environment: str) -> Path:
    return VENVS / environment / "bin" / "python"


def why_not(environment: str) -> str | None:
    """Why an environment cannot be used; None if it can."""
    reason = VENVS / environment / "missing"
    if reason.exists():
        return reason.read_text().strip()
    return None if (VENVS / environment / "installed").exists() else "not installed: make bench"


def install(environments: list[str]) -> None:
    """Make those that are not there yet."""
    for environment in environments:
        folder = VENVS / environment
        wanted = [*PACKAGES[environment], *ALL]
        recipe = hashlib.sha256(repr((wanted, sys.version)).encode()).hexdigest()
        stamp = folder / "installed"
        if stamp.exists() and stamp.read_text() == recipe:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {environment}: {' '.join(wanted)}", flush=True)
        reason = _make(folder, wanted) or (_need_java() if environment == "spark" else None)
        folder.mkdir(parents=True, exist_ok=True)
        if reason is None:
            stamp.write_text(recipe)
        else:
            (folder / "missing").write_text(reason)
            print(f"  left out: {reason}", flush=True)


def _make(folder: Path, wanted: list[str]) -> str | None:
    """Why it could not be made, or None."""
    steps = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet",
         "--disable-pip-version-check", *wanted],
    )  # fmt: skip
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return (errors or done.stderr.strip().splitlines() or ["pip failed"])[0][:300]
    return None


def _need_java() -> str | None:
    """Spark runs in a Java virtual machine; Debian's package is taken where we may."""
    if shutil.which("java"):
        return None
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return f"PySpark needs Java: install it (Debian: apt-get install {JAVA})"
    print(f"  apt-get install {JAVA}", flush=True)
    done = subprocess.run(
        ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", JAVA],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or not shutil.which("java"):
        return f"PySpark needs Java, and apt-get install {JAVA} failed: {done.stderr[-200:]}"
    return None


def versions(environment: str, packages: list[str]) -> dict[str, str]:
    """What is installed there."""
    script = (
        "import sys, importlib.metadata as m\n"
        "for p in sys.argv[1:]:\n"
        "    try: print(p, m.version(p))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    done = subprocess.run(
        [str(python_of(environment)), "-c", script, *packages],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return dict(line.split() for line in done.stdout.splitlines())
