"""Runs the tests of single parts and of the contracts with the lowest versions that pyproject.toml
names. Arguments go to pytest. Leaves .venv-lowest, which nobody needs afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-lowest"
PYTHON = VENV / "bin/python"
_BOUND = re.compile(r"([\w.-]+)(?:\[[^]]*\])?>=([\w.]+)")


def lowest() -> list[str]:
    """What the project names with a lower bound, at that bound."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*told["project"]["dependencies"], *told["dependency-groups"]["parts"]]
    for extra in told["project"]["optional-dependencies"].values():
        named += extra
    found = {match[1]: match[2] for match in map(_BOUND.match, named) if match is not None}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def install() -> None:
    """Its versions by uv, which is fast at finding what goes with them."""
    venv.create(VENV, clear=True, with_pip=True)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "uv"], check=True)
    pins, all_of_them = VENV / "lowest.txt", VENV / "all.txt"
    pins.write_text("\n".join(lowest()) + "\n")
    uv = [VENV / "bin/uv", "pip"]
    subprocess.run(
        [*uv, "compile", "--quiet", "--constraint", pins, "--all-extras", "--group", "parts",
         "--output-file", all_of_them, "pyproject.toml"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    subprocess.run([*pip, "--no-deps", "--requirement", all_of_them], check=True)
    subprocess.run([*pip, "--no-deps", "--editable", ROOT], check=True)


def main() -> int:
    install()
    tests = [PYTHON, "-m", "pytest", "tests/unit", "tests/contract", "--dist", "loadfile"]
    options = ["-n", os.environ.get("AT_ONCE", "4"), "-W", "ignore::DeprecationWarning"]  # theirs
    return subprocess.run([*tests, *options, *sys.argv[1:]], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
