"""The same program has the same manifest however it is run, in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hanse.client.fingerprints.changes import changes
from hanse.client.fingerprints.manifest import Manifest

SOURCE = Path(__file__).parents[2] / "src"

HELPERS = """
import dataclasses, enum, functools, logging, re

LOG, WORD = logging.getLogger("x"), re.compile("[a-z]+")
LIMITS = {"low": {1, 2}, "high": {"a", "b"}}

class Color(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Point:
    x: int
    tags: set = dataclasses.field(default_factory=set)

class Reader:
    KINDS = frozenset({"a", "b", "c"})
    def __init__(self, names): self.names, self.self = set(names), self
    def read(self, path): return WORD.findall(path), LIMITS, Color.RED, Point(1)

@functools.lru_cache
def parse(text):
    LOG.info(text)
    return [word for word in text if word in {"x", "y", "z", None, 3.5}]
"""

PROGRAM = """
import functools, sys, threading
import numpy
import helpers

NAMES = {"one", "two", "three"}
TABLE = {name: helpers.parse for name in ("a", "b")}

def make(step):
    lock = threading.Lock()
    def count(reader, array, path, *, flags={"p", "q", "r"}):
        from helpers import Reader
        with lock:
            return helpers.parse(path), step, path in NAMES, TABLE, (lambda: count)
    return count

function = functools.partial(make(3), helpers.Reader("abc").read, numpy.arange(9))

if __name__ == "__main__":
    import msgspec
    from hanse.client.fingerprints.fingerprint import fingerprint
    open(sys.argv[1], "wb").write(msgspec.msgpack.encode(fingerprint(function)))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "helpers.py").write_text(HELPERS)
    (tmp_path / "script.py").write_text(PROGRAM)
    return tmp_path


Run = Callable[..., Manifest]


@pytest.fixture
def manifest(home: Path) -> Run:
    """Run Python with arguments, of which the last is where the manifest goes, and read it."""

    def run(*args: object, cwd: Path = home, seed: int = 0, stdin: str | None = None) -> Manifest:
        out = home / "manifest"
        out.unlink(missing_ok=True)
        more = {"PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": str(seed), "COLUMNS": "80"}
        command = [sys.executable, *map(str, args), *([] if stdin else [str(out)])]
        text = stdin.replace("OUT", repr(str(out))) if stdin else None
        ended = subprocess.run(
            command, cwd=cwd, env={**os.environ, **more}, input=text, text=True,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return msgspec.msgpack.decode(out.read_bytes(), type=Manifest)

    return run


HANSE = ("-c", "from hanse.cli.main import main; main()", "run")


def test_a_manifest_is_the_same_under_every_hash_seed(manifest: Run) -> None:
    first = manifest("script.py")
    assert {"helpers.parse", "class helpers.Reader", "value NAMES", "module helpers"} <= set(
        first.parts
    )
    assert all(manifest("script.py", seed=seed) == first for seed in range(1, 6))


def test_a_manifest_is_the_same_from_another_directory_and_by_hanse_run(
    manifest: Run, home: Path
) -> None:
    first = manifest("script.py")
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    assert manifest(home / "script.py", cwd=elsewhere) == first
    assert manifest("../script.py", cwd=elsewhere) == first
    assert manifest(*HANSE, "script.py") == first
    assert manifest(*HANSE, "../script.py", cwd=elsewhere) == first
    assert manifest("-m", "script") == first


def test_a_moved_project_is_the_same(manifest: Run, home: Path) -> None:
    first = manifest("script.py")
    moved = home / "moved"
    moved.mkdir()
    for name in ("helpers.py", "script.py"):
        (home / name).rename(moved / name)
    assert manifest(moved / "script.py") == first


def test_a_program_without_source_is_the_same_on_every_run(manifest: Run) -> None:
    by_c = [manifest("-c", PROGRAM, seed=seed) for seed in (1, 2)]
    assert by_c[0] == by_c[1]
    assert by_c[0].parts["helpers.parse"].source
    text = PROGRAM.replace("sys.argv[1]", "OUT")
    by_stdin = [manifest("-", stdin=text, seed=seed) for seed in (1, 2)]
    assert by_stdin[0] == by_stdin[1]
    assert changes(by_c[0], by_stdin[0]) == []  # how it was started is not what it is


def test_a_program_in_the_interactive_interpreter_is_the_same_on_every_run(manifest: Run) -> None:
    text = """
import helpers, msgspec
from hanse.client.fingerprints.fingerprint import fingerprint
def count(path, names={"a", "b"}):
    return helpers.parse(path)

open(OUT, "wb").write(msgspec.msgpack.encode(fingerprint(count)))
"""
    typed = [manifest("-i", "-q", stdin=text, seed=seed) for seed in (1, 2)]
    assert typed[0] == typed[1]
    assert {"count", "helpers.parse"} <= set(typed[0].parts)


def test_it_makes_no_difference_whether_bytecode_was_kept(manifest: Run, home: Path) -> None:
    first = manifest("-B", "script.py")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(home)], check=True, timeout=60)
    assert manifest("script.py") == first


def test_a_helper_that_changed_on_the_disk_is_told_by_the_next_run(
    manifest: Run, home: Path
) -> None:
    first = manifest("-B", "script.py")
    (home / "helpers.py").write_text(HELPERS.replace("3.5", "4.5") + "\n# a comment\n")
    lines = changes(first, manifest("-B", "script.py"))
    assert any(line.startswith("helpers.parse, which") for line in lines)
    assert any("4.5" in line for line in lines)
