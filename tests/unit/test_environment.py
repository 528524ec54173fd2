"""Environments as values: what may be sent, what they are called, what workers of one find."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from hanse import limits
from hanse.client.options import Options
from hanse.engines.environments.own import MODULES, own_directory
from hanse.engines.environments.store import digest_of
from hanse.engines.local.pythons import OWN, Built
from hanse.errors import UsageError
from hanse.model.environment import Environment
from hanse.model.fit import Requires

HASHED = """\
# This file was made by uv pip compile --generate-hashes
--index-url https://pypi.org/simple
numpy==2.1.0 \\
    --hash=sha256:0123 \\
    --hash=sha256:4567
    # via -r requirements.in
tiny @ https://example.org/tiny-1.0-py3-none-any.whl ; python_version > "3.8"
"""


def test_a_lock_file_as_uv_writes_it_is_taken_as_it_is() -> None:
    taken = Environment(requirements=HASHED)
    assert taken.text == HASHED
    assert taken.words == "a requirements file of 2 packages"
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(taken), type=Environment)
    assert (sent, sent.name) == (taken, taken.name)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-r other.txt", "no other files"),
        ("-e .", "no other files"),
        ("--constraint /etc/shadow", "no other files"),
        ("  --requirement=x", "no other files"),
        ("./wheels/a.whl", "is a path"),
        ("../a", "is a path"),
        ("/srv/a", "is a path"),
        ("~/a", "is a path"),
        ("a @ https://ann:secret@example.org/a.whl", "a password"),
        ("--index-url https://:token@example.org/simple", "a password"),
        ("--index-url https://example.org/${AWS_SECRET}", "a variable"),
    ],
)
def test_what_means_something_else_elsewhere_is_refused(line: str, words: str) -> None:
    for text in (line, f"numpy\n{line}\nscipy"):
        with pytest.raises(ValueError, match=words) as caught:
            Environment(requirements=text)
        assert "secret@" not in str(caught.value)
        data = msgspec.msgpack.encode({"requirements": text})
        with pytest.raises(msgspec.ValidationError):  # nor does it come in from outside
            msgspec.msgpack.decode(data, type=Environment)


@given(st.text(min_size=1, max_size=50))
def test_a_package_is_one_line_of_the_file_and_no_option(text: str) -> None:
    try:
        made = Environment(packages=("numpy", text))
    except ValueError:
        return
    first, second = made.text.splitlines()
    assert (first, second) == ("numpy", text)
    assert not second.lstrip().startswith("-")
    assert made.name  # it can be encoded


def test_it_has_bounds() -> None:
    Environment(packages=("a",) * limits.ENVIRONMENT_PACKAGES)
    with pytest.raises(ValueError, match="at most"):
        Environment(packages=("a",) * (limits.ENVIRONMENT_PACKAGES + 1))
    with pytest.raises(ValueError, match="at most"):
        Environment(requirements="a" * (limits.ENVIRONMENT_BYTES + 1))
    with pytest.raises(ValueError, match="or of"):
        Environment()
    with pytest.raises(ValueError, match="or of"):
        Environment(packages=("a",), requirements="b")


def test_its_name_is_of_what_it_holds() -> None:
    some = [
        Environment(packages=("a", "b")), Environment(packages=("b", "a")),
        Environment(packages=("a",)), Environment(requirements="a\nb"),
    ]  # fmt: skip
    assert len({each.name for each in some}) == len({digest_of(each) for each in some}) == 4
    assert Requires(environment=some[0].name).key != Requires(environment=some[1].name).key
    assert Requires().key == ()


def test_options_replace_packages_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("a==1\n")
    told = Options(packages=["b"])
    locked = told.but(requirements=tmp_path / "lock.txt")
    assert locked.environment == Environment(requirements="a==1\n")
    assert locked.but(packages=["c"]).environment == Environment(packages=("c",))
    assert told.but(retries=3).environment == Environment(packages=("b",))
    assert told.but(packages=[]).environment is None
    assert told.key != locked.key != Options().key
    (tmp_path / "lock.txt").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        assert Options(requirements=tmp_path / "lock.txt").environment


def test_all_that_hanse_needs_is_linked_into_an_environment(tmp_path: Path) -> None:
    """Whatever pyproject names, and what that needs in turn."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    waiting = tomllib.loads(project.read_text())["project"]["dependencies"]
    needed: set[str] = set()
    while waiting:
        told = Requirement(waiting.pop())
        name = told.name.replace("-", "_").replace("markdown_it_py", "markdown_it").lower()
        if name not in needed and (told.marker is None or told.marker.evaluate({"extra": ""})):
            needed.add(name)
            waiting += importlib.metadata.requires(told.name) or []
    assert needed | {"hanse"} <= set(MODULES)
    own = own_directory(tmp_path)
    there = {name for name in MODULES if find_spec(name.partition(".")[0]) is not None}
    code = "import sys, importlib; list(map(importlib.import_module, sys.argv[1:]))"
    command = [
        sys.executable,
        "-S",
        "-I",
        "-c",
        f"import sys; sys.path.append({str(own)!r}); {code}",
    ]
    subprocess.run([*command, *sorted(there)], check=True)
    assert own_directory(tmp_path) == own_directory(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_workers_of_an_environment_import_its_packages_and_the_programs_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", ["/project", "/usr/lib/python3", "/v/lib/site-packages",
                                      "/usr/lib/python3/dist-packages"])  # fmt: skip
    built = Built("key", "/environments/key/env", "/environments/hanse-1")
    *before, last = built.path()
    assert before[:2] == ["/project", "/usr/lib/python3"]
    assert all(path.startswith("/environments/key/env/") for path in before[2:])
    assert len(before) >= 3
    assert last == "/environments/hanse-1"
    assert OWN.path() == sys.path
