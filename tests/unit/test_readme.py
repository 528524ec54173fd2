"""What the README promises by number."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_machine_takes_three_commands_and_make_knows_them() -> None:
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## One machine in three commands\n")[2].partition("\n## ")[0]
    commands = re.findall(r"^\$ (.+?)(?:  +#.*)?$", section, re.MULTILINE)
    assert len(commands) == 3
    known = re.findall(r"^(\w[\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = [command.removeprefix("make ") for command in commands if command.startswith("make ")]
    assert made
    assert set(made) <= set(known)
